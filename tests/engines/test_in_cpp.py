"""Streams in C++ on engines other than OpenVINO give the events of Python on the same engine."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.cpp_programs import program
from tests.streaming import test_in_cpp
from tests.streaming.test_in_cpp import assert_same, bad_clock, clip
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle import Bundle, default_bundle
from vljepa_edge.engines import open_engine
from vljepa_edge.engines.tensorrt.store import EnginesManifest, PlanEntry, Platform, engine_writer
from vljepa_edge.model import Model


def without_bundle() -> str:
    """What a stream of a bundle that isn't there says on the engine that VLJEPA_ENGINE names."""
    policy, confidence, decode, still, reuse = "uniform", "-1", "0", "0", "0"
    command = [program("run_stream"), "/nowhere", policy, confidence, decode, still, reuse]
    return subprocess.run(command, capture_output=True, text=True).stdout


@pytest.fixture
def onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both languages use it. Skips where the library was built without, for want of ONNXRUNTIME_ROOT."""
    monkeypatch.setenv("VLJEPA_ENGINE", "onnxruntime")
    said = without_bundle()
    if "was built without" in said:
        pytest.skip(said)
    monkeypatch.setattr(
        test_in_cpp, "python_model", lambda path: Model(Bundle.open(path), open_engine("onnxruntime", threads=1))
    )


@pytest.mark.parametrize("whole_clips", [False, True])
def test_events_of_onnxruntime(whole_clips: bool, onnxruntime: None, tmp_path: Path) -> None:
    toy = write_toy_bundle(tmp_path / "toy", vjepa=whole_clips)
    assert len(assert_same(toy, bad_clock(clip(2, 20, fps=10)), policy="running-ward:threshold=0.05")) >= 6


def test_events_of_onnxruntime_on_the_default_model(onnxruntime: None) -> None:
    policy = "running-ward:threshold=0.1,smooth=2,max_duration=2"
    assert len(assert_same(default_bundle(), clip(0, 5), policy=policy)) >= 4


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "tensorrt:", "openvino:folder"])
def test_what_is_no_engine_is_told(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_ENGINE", name)
    assert without_bundle() == f'error\t1 engine must be openvino, onnxruntime or tensorrt:FOLDER, got "{name}"\n'


def test_plans_of_python_are_read(tmp_path: Path) -> None:
    """By the program of ctest: given a folder, it prints the plan of one graph."""
    here = Platform(gpu="Orin", compute_capability="8.7", multiprocessors=16, tensorrt="10.3.0.26")
    with engine_writer(tmp_path / "engines") as writer:
        file, digest = writer.add("graphs/predictor.onnx", b"a plan")
        source = sha256(b"a graph").hexdigest()
        entry = PlanEntry(file=file, sha256=digest, bytes=6, source_sha256=source, shapes={}, layers=1, int8_layers=0)
        plans = {"graphs/predictor.onnx": entry}
        about = {"bundle": "toy", "bundle_digest": "0" * 64, "platform": here, "precision": "f16", "plans": plans}
        writer.finish(EnginesManifest(schema=1, **about))
    done = subprocess.run([program("test_plans"), tmp_path / "engines"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a plan\n"), done.stderr
