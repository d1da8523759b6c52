"""The builder and the engine call only what TensorRT 10.3 (JetPack 6), 10.16 and 11.4 (JetPack 7) have.

Types are checked by mypy against stubs made of NVIDIA's bindings, and names are looked up in the bindings themselves.
"""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.bindings import BINDINGS, environment, stubs
from vljepa_edge.support.assets import AssetError

ROOT = Path(__file__).parents[2]
PARTS = (
    "engines/tensorrt/engine",
    "engines/tensorrt/log",
    "export/tensorrt/network",
    "export/tensorrt/timings",
    "export/tensorrt/build",
)
MODULES = [f"vljepa_edge/{name}.py" for name in PARTS]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        (platform.system(), platform.machine(), sys.version_info[:2]) != ("Linux", "x86_64", (3, 11)),
        reason="the pinned bindings are for Python 3.11 on x86-64 Linux",
    ),
]


@pytest.fixture(params=BINDINGS)
def release(request: pytest.FixtureRequest) -> str:
    try:
        environment(request.param)
    except AssetError as error:
        pytest.skip(f"TensorRT's bindings can't be fetched: {error}")
    except FileNotFoundError:
        pytest.skip("there is no C compiler (cc) to make TensorRT's bindings load")
    return str(request.param)


def names_used(path: Path) -> set[str]:
    """The dotted names that a module takes from `trt`, such as MemoryPoolType.WORKSPACE."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if parts and isinstance(node, ast.Name) and node.id == "trt":
            found.add(".".join(reversed(parts)))
    return found


def missing(names: set[str], release: str) -> set[str]:
    """Those that the real bindings don't have."""
    code = (
        "import sys, operator, tensorrt_bindings as trt\n"
        "def has(name):\n"
        "    try: operator.attrgetter(name)(trt)\n"
        "    except AttributeError: return False\n"
        "    return True\n"
        "print(*[name for name in sys.argv[1:] if not has(name)])"
    )
    command = [sys.executable, "-c", code, *sorted(names)]
    return set(
        subprocess.run(command, env=environment(release), check=True, capture_output=True, text=True).stdout.split()
    )


def test_every_name_exists(release: str) -> None:
    used = set[str]().union(*(names_used(ROOT / module) for module in MODULES))
    assert {"Builder", "OnnxParser", "Runtime", "NetworkDefinitionCreationFlag.STRONGLY_TYPED"} <= used
    assert missing(used, release) == set()
    assert missing({"BuilderFlag.INT8"}, release) == ({"BuilderFlag.INT8"} if release == "11.4" else set())


def test_calls_are_typed_as_the_bindings_have_them(release: str, tmp_path: Path) -> None:
    """A file of wrong calls is checked along: its errors show that the stubs are looked at."""
    wrong = tmp_path / "wrong_calls.py"
    wrong.write_text(
        "import tensorrt as trt\n\n\n"
        "def wrong(builder: trt.Builder, network: trt.INetworkDefinition) -> None:\n"
        "    builder.build_engine(network)\n"
        "    trt.Builder(3)\n"
        "    builder.create_builder_config().int8_calibrator_of_mine\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", *MODULES, str(wrong)]
    search = {**os.environ, "MYPYPATH": str(stubs(release))}
    done = subprocess.run(command, cwd=ROOT, env=search, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    ours = [line for line in errors if "wrong_calls.py" not in line]
    assert ours == [], "\n".join(ours)
    assert len(errors) == 3, done.stdout + done.stderr
