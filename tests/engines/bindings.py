"""TensorRT's own Python bindings, of three releases, where TensorRT itself can't be installed.

The bindings are small wheels; the libraries that they link are not. Shared objects with the nine symbols that they ask
for let them be imported, which is enough to look at their API and to make type stubs of it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vljepa_edge.support.assets import Asset, fetch
from vljepa_edge.support.cache import cache_dir

_SYMBOLS = (
    *("createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL"),
    *("createNvOnnxParser_INTERNAL", "createNvOnnxParserRefitter_INTERNAL", "getNvOnnxParserVersion"),
    *("getBuilderPluginRegistry", "getPluginRegistry", "initLibNvInferPlugins"),
)
_LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
# What stubs of these modules get wrong: a parameter named as a keyword, one without a default after ones with, and
# `bool`, which the module has as a data type of its own.
_FIXES = (
    (r"\bin: ", "in_: "),
    (r"channel_axis: ([\w.]+)\)", r"channel_axis: \1 = ...)"),
    (r"(-> |(?<=\w): )bool\b", r"\1builtins.bool"),
)


def _asset(version: str, tag: str, sha256: str, size: int) -> Asset:
    return Asset(
        name="tensorrt_cu12_bindings", version=version, kind="wheel",
        filename=f"tensorrt_cu12_bindings-{version}-cp311-none-{tag}_x86_64.whl", sha256=sha256, size=size,
        licence="NVIDIA proprietary", source="https://pypi.org/project/tensorrt-cu12-bindings/",
        files=("tensorrt_bindings/*",), note="used by tests only",
    )  # fmt: skip


BINDINGS = {
    "10.3": _asset(
        "10.3.0", "manylinux_2_17", "59ace22d7f2ca1e9dcde2cb0cb5916912cb3cd5a9d72dd7852be0160d9b3a0ee", 1_111_069
    ),
    "10.16": _asset(
        "10.16.1.11", "manylinux_2_28", "150ef2b672487e29a8ea916353467c3e199994fb33589167e3641a928e243aa7", 1_346_362
    ),
    "11.4": _asset(
        "11.4.0.106", "manylinux_2_28", "e2ab48f316bbff6a7a44a30e94a9ceb0d2cf6645ff39feadecfa68d7cb7a94bf", 1_260_590
    ),
}


def environment(release: str) -> dict[str, str]:
    """Variables with which `import tensorrt_bindings` gives a release. AssetError, or OSError without a compiler."""
    folder = fetch(BINDINGS[release])
    paths = {"PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(_libraries(release.partition(".")[0]))}
    return {**os.environ, **paths}


def stubs(release: str) -> Path:
    """A folder with `tensorrt/__init__.pyi`, made once."""
    made = cache_dir() / "stubs" / f"tensorrt-{BINDINGS[release].version}"
    if not made.is_dir():
        with _new_folder(made) as part:
            module = "tensorrt_bindings.tensorrt"
            command = [sys.executable, "-m", "pybind11_stubgen", module, "-o", str(part), "--ignore-all-errors"]
            subprocess.run(command, env=environment(release), check=True, capture_output=True)
            text = (part / "tensorrt_bindings" / "tensorrt.pyi").read_text()
            for wrong, right in _FIXES:
                text = re.sub(wrong, right, text)
            (part / "tensorrt").mkdir()
            head, tail = "# mypy: ignore-errors\nimport builtins\n", "\n__version__: str\n"
            text = text.replace("from __future__ import annotations\n", "").replace(f"{module}.", "")
            (part / "tensorrt" / "__init__.pyi").write_text(head + text + tail)
            shutil.rmtree(part / "tensorrt_bindings")
            part.rename(made)
    return made


def _libraries(major: str) -> Path:
    made = cache_dir() / "stubs" / f"libraries-{major}"
    if not made.is_dir():
        with _new_folder(made) as part:
            source = part / "empty.c"
            source.write_text("".join(f"void* {symbol}(void) {{ return 0; }}\n" for symbol in _SYMBOLS))
            for library in _LIBRARIES:
                name = f"lib{library}.so.{major}"
                command = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", str(part / name), str(source)]
                subprocess.run(command, check=True, capture_output=True)
            part.rename(made)
    return made


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards unless it was renamed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="partial-", dir=target.parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
