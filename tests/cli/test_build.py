"""`vljepa build` writes engines, says what they are, and says what is wrong where it can't."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa
from tests.engines.conftest import forget_parts, import_parts
from tests.engines.fake_cuda import FakeCuda
from tests.engines.fake_tensorrt import FakeTensorRt
from vljepa_edge.support.install import install_extra


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeTensorRt]:
    """TensorRT and CUDA, as stand-ins."""
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    cuda = FakeCuda()
    trt = FakeTensorRt(cuda)
    import_parts(monkeypatch, trt, cuda)
    yield trt
    forget_parts()


def test_engines_are_built_and_run(vljepa: Vljepa, gpu: FakeTensorRt, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "engines"
    run = vljepa("build", "--out", out, "--workspace", 64, "--profiles", "query=1:8:64", "--json")
    assert run.status == 0, run.err
    assert {key: run.json[key] for key in ("out", "bundle", "gpu", "compute_capability", "tensorrt")} == {
        "out": str(out), "bundle": "toy 0", "gpu": "Fake Orin", "compute_capability": "8.7", "tensorrt": "10.3.0",
    }  # fmt: skip
    assert run.json["plans"]["graphs/predictor.onnx"]["int8_layers"] == 0
    assert set(gpu.workspaces) == {64 << 20}
    shapes = json.loads((out / "engines.json").read_text())["plans"]["graphs/predictor.onnx"]["shapes"]
    assert shapes["query_mask"] == [[1, 1], [1, 8], [1, 64]]
    streamed, expected = (
        vljepa("stream", video, "--engine", engine, "--policy", "uniform:period=3", "--json").json_lines
        for engine in (f"tensorrt:{out}", "onnxruntime")
    )
    assert [line.get("text") for line in streamed] == [line.get("text") for line in expected]


def test_people_are_told_what_was_built(vljepa: Vljepa, gpu: FakeTensorRt, toy: Path, tmp_path: Path) -> None:
    run = vljepa("build", toy, "--out", tmp_path / "engines")
    assert run.status == 0
    assert "graphs/predictor.onnx: 0.0 MB, int8 in 0 of " in run.out
    assert f"run with --engine tensorrt:{tmp_path / 'engines'}" in run.out
    assert "Fake Orin (compute capability 8.7, 16 multiprocessors), TensorRT 10.3.0" in run.out


def test_doctor_tries_the_engines_and_says_that_they_are_not_verified(
    vljepa: Vljepa, gpu: FakeTensorRt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toy: Path
) -> None:
    def check() -> dict[str, str]:
        return next(c for c in vljepa("doctor", "--json").json["checks"] if c["name"] == "engine tensorrt")

    assert check()["status"] == "missing"
    assert check()["fix"] == "vljepa build BUNDLE --out FOLDER"
    assert vljepa("build", "--out", tmp_path / "engines").status == 0
    monkeypatch.setenv("VLJEPA_ENGINES", str(tmp_path / "engines"))
    assert check()["status"] == "ok"
    assert "NOT VERIFIED ON HARDWARE" in check()["detail"]
    gpu.__version__ = "11.4.1"
    assert check()["fix"] == f"vljepa build {toy} --out {tmp_path / 'engines'}"


def test_without_tensorrt_the_command_says_what_to_install(
    vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    run = vljepa("build", "--out", tmp_path / "engines")
    assert run.status == 1
    assert run.err.startswith("error: engine tensorrt can't be used")
    assert f"to fix it, run: {install_extra('tensorrt')}" in run.err
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize("arguments", [["--profiles", "query=9"], ["--workspace", "0"], ["nowhere"]])
def test_what_can_not_be_used_is_status_2(
    vljepa: Vljepa, gpu: FakeTensorRt, arguments: list[str], tmp_path: Path
) -> None:
    run = vljepa("build", *arguments, "--out", tmp_path / "engines")
    assert run.status == 2
    assert run.err.startswith("error: ")
