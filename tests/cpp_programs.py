"""The programs of bindings/tests, compiled once for all tests of Python that drive them, and for `make cpp-test`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "cpp"


@cache
def program(name: str, folder: str = "tests") -> Path:
    """The path of a program of the build; skips the test where it can't be compiled."""
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    if find_spec("cmake") is None:
        pytest.skip("the package cmake is not installed")
    with _one_at_a_time():
        _configure()
        _cmake("--build", str(BUILD), "--parallel", "2", "--target", name)
    return BUILD / folder / name


def compiled(source: Path) -> Path:
    """A program of one file of C or C++, linked as a user would link it."""
    library = program("vljepa" if source.suffix == ".c" else "vljepa_static", folder="")
    out = source.with_suffix("")
    libraries = Path(openvino_cmake()).parent / "libs"
    command = ["c++", "-std=c++17"] if source.suffix == ".cpp" else ["cc", "-std=c11", "-Wall", "-Wextra", "-Werror"]
    command += [f"-I{ROOT / 'bindings' / 'include'}", str(source), "-o", str(out), f"-Wl,-rpath,{BUILD}:{libraries}"]
    if source.suffix == ".c":
        command += [f"-L{library.parent}", "-lvljepa"]
    else:
        command += [str(library.parent / "libvljepa.a"), *map(str, libraries.glob("libopenvino.so.*"))]
    subprocess.run(command, check=True)
    return out


def openvino_cmake() -> str:
    """The folder of the openvino package in which CMake finds its headers and libraries."""
    spec = find_spec("openvino")
    assert spec is not None and spec.submodule_search_locations
    return str(Path(spec.submodule_search_locations[0]) / "cmake")


@cache
def _configure() -> None:
    """As `make cpp-test` does."""
    options = [
        "-DVLJEPA_TESTS=ON",
        "-DVLJEPA_EXAMPLES=ON",
        "-DCMAKE_BUILD_TYPE=Release",
        f"-DOpenVINO_DIR={openvino_cmake()}",
    ]
    if root := os.environ.get("ONNXRUNTIME_ROOT"):
        options += ["-DVLJEPA_ONNXRUNTIME=ON", f"-DONNXRUNTIME_ROOT={root}"]
    _cmake("-S", str(ROOT / "bindings"), "-B", str(BUILD), *options)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Of the processes that run tests, one builds."""
    BUILD.parent.mkdir(exist_ok=True)
    with (BUILD.parent / "cpp.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


def _cmake(*arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "cmake", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
