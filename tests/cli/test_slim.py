"""`vljepa slim` names and removes what the runtime never loads, and nothing that it does."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa

slim = importlib.import_module("vljepa_edge.cli.slim")  # the package has the function under this name


@pytest.fixture
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the names of OpenVINO's libraries, in one like OpenVINO's."""
    package = tmp_path / "openvino"
    folder = package / "libs"
    installed = slim.openvino_package()
    assert installed is not None
    for each in ("libs", "tools", "include/openvino", "frontend/jax", "frontend/onnx"):
        (package / each).mkdir(parents=True)
    for path in (installed / "libs").iterdir():
        (folder / path.name).write_bytes(b"x" * 1000)
    (folder / "libopenvino_intel_gpu_plugin.so").write_bytes(b"x" * 50_000)
    (package / "include" / "openvino" / "openvino.hpp").write_bytes(b"x" * 50_000)
    monkeypatch.setattr(slim, "openvino_package", lambda: package)
    return folder


def test_without_apply_nothing_is_removed(vljepa: Vljepa, libraries: Path) -> None:
    before = sorted(libraries.iterdir())
    run = vljepa("slim")
    assert run.status == 0 and "libopenvino_intel_gpu_plugin.so" in run.out and "--apply" in run.out
    assert sorted(libraries.iterdir()) == before


def test_apply_removes_what_it_lists_and_keeps_what_the_cpu_needs(vljepa: Vljepa, libraries: Path) -> None:
    before = {path.name for path in libraries.iterdir()}
    listed = vljepa("slim", "--json").json
    done = vljepa("slim", "--apply", "--json").json
    assert listed["removed"] is False and done == {**listed, "removed": True}
    left = {path.name for path in libraries.iterdir()}
    assert before - left == {Path(row["file"]).name for row in done["files"]} - {"tools", "include", "jax"}
    assert sorted(path.name for path in libraries.parent.iterdir()) == ["frontend", "libs"]
    assert [path.name for path in (libraries.parent / "frontend").iterdir()] == ["onnx"]
    (headers,) = (row for row in done["files"] if Path(row["file"]).name == "include")
    assert headers["bytes"] >= 50_000  # of the file in it
    kept = ("libopenvino.so", "libopenvino_intel_cpu_plugin", "libopenvino_onnx_frontend", "libtbb.so")
    assert all(any(name.startswith(part) for name in left) for part in kept)
    assert not any("gpu" in name for name in left)
    assert vljepa("slim").out.startswith("nothing to remove")


@pytest.mark.slow
def test_the_runtime_works_without_what_is_removed(tmp_path: Path) -> None:
    """On a copy of the installed OpenVINO, really slimmed."""
    installed = slim.openvino_package()
    assert installed is not None
    package = shutil.copytree(installed, tmp_path / "openvino", symlinks=True)
    for path in slim.unused(package):
        slim.remove(path)
    code = (
        "import openvino, numpy as np, vljepa_edge\n"
        "print(openvino.__file__)\n"
        "print(len(vljepa_edge.load().classify(np.zeros((64, 64, 3), np.uint8), ['cat', 'dog'])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    place, count = done.stdout.split()
    assert Path(place).is_relative_to(tmp_path) and count == "2"
