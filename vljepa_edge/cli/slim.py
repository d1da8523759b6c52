"""`vljepa slim`: remove the parts of OpenVINO that this runtime never loads, where every megabyte counts."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.support.install import pip_install

UNUSED = {
    "libs/*_intel_gpu_plugin.*": "GPU device",
    "libs/cache.json": "tuning cache of the GPU device",
    "libs/*_intel_npu_plugin.*": "NPU device",
    "libs/*_tensorflow_frontend.*": "TensorFlow reader",
    "frontend/tensorflow": "TensorFlow reader, its Python part",
    "libs/*_tensorflow_lite_frontend.*": "TensorFlow Lite reader",
    "libs/*_pytorch_frontend.*": "PyTorch reader",
    "frontend/pytorch": "PyTorch reader, its Python part",
    "libs/*_paddle_frontend.*": "Paddle reader",
    "frontend/paddle": "Paddle reader, its Python part",
    "libs/*_jax_frontend.*": "JAX reader",
    "frontend/jax": "JAX reader, its Python part",
    "libs/*_gguf_frontend.*": "GGUF reader",
    "tools": "conversion tools",
    "include": "headers for programs in C++",
}
"""Files and folders of the package openvino. The runtime reads ONNX and runs on the CPU device, nothing else."""


def openvino_package() -> Path | None:
    """OpenVINO's folder, found without importing it; None when it is not installed from a wheel."""
    spec = importlib.util.find_spec("openvino")
    places = map(Path, spec.submodule_search_locations or ()) if spec is not None else ()
    return next((folder for folder in places if (folder / "libs").is_dir()), None)


def unused(package: Path) -> dict[Path, str]:
    """The files and folders of OpenVINO's folder that the runtime never loads, and what each is for."""
    return {path: what for pattern, what in UNUSED.items() for path in sorted(package.glob(pattern))}


def remove(path: Path) -> None:
    """Remove a file or a folder. Raises OSError."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _size(path: Path) -> int:
    """What a file or a folder takes on the disk, in bytes."""
    return sum(each.lstat().st_blocks * 512 for each in (path, *path.rglob("*")))


def slim(
    apply: Annotated[bool, typer.Option("--apply", help="Remove them. Without it, they are only listed.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Free about 80 MB of an installation: OpenVINO's GPU and NPU devices, readers of other formats, and headers.

    They are files of the package openvino, so other programs in the same environment lose them too;
    `pip install --force-reinstall openvino` brings them back.

    \b
    Examples:
      vljepa slim
      vljepa slim --apply
      vljepa slim --apply --json
    """
    package = openvino_package()
    found = unused(package) if package is not None else {}
    sizes = {path: _size(path) for path in found}
    if apply:
        for path in found:
            remove(path)
    total = sum(sizes.values())
    if as_json:
        rows = [{"file": str(path), "bytes": sizes[path], "what": what} for path, what in found.items()]
        print_json({"removed": apply, "bytes": total, "files": rows})
        return
    out = console()
    for path, what in found.items():
        out.print(f"{sizes[path] / 1e6:6.1f} MB  {path.name}  ({what})")
    if not found:
        out.print("nothing to remove: OpenVINO has no parts here that the runtime doesn't use")
    elif apply:
        out.print(f"removed {total / 1e6:.1f} MB; `{pip_install('--force-reinstall', 'openvino')}` brings them back")
    else:
        out.print(f"{total / 1e6:.1f} MB can go; `vljepa slim --apply` removes them")
