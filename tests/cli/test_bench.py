"""`vljepa bench` and `vljepa doctor` report what they should, with the machine beside it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import av
import pytest

from tests.cli.conftest import Vljepa
from vljepa_edge.cli.bench import CLIP_FPS, CLIP_SIZE, print_report, write_clip
from vljepa_edge.cli.bench_streams import push_together
from vljepa_edge.cli.machine import machine
from vljepa_edge.errors import EngineError
from vljepa_edge.model import Model
from vljepa_edge.support.install import install_extra, install_torch, pip_install
from vljepa_edge.support.process import peak_memory


def test_bench_reports_stages_speed_memory_start_up_and_machine(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("bench", "--source", video, "--seconds", 0.3, "--threads", 1, "--json")
    assert run.status == 0, run.err
    report = run.json
    for stage in ("source", "hop", "encode", "predict"):
        values = report["latency_ms"][stage]
        assert list(values) == ["p50", "p90", "p99"]
        assert 0 < values["p50"] <= values["p90"] <= values["p99"]
    assert report["model"]["name"] == "toy"
    assert report["engine"] == {"name": "openvino", "threads": 1, "precision": "auto"}
    assert report["hops"] > 0
    assert report["realtime_factor"] > 1
    assert report["seconds"] >= 0.3
    assert report["memory"]["peak_bytes"] > 10_000_000
    assert all(report["startup_s"][name] > 0 for name in ("import", "load", "load_compiling", "first_text"))
    assert set(report["power"]) == {"watts", "unread"}
    assert all(watts >= 0 for watts in report["power"]["watts"].values())
    assert report["machine"]["cpu"]
    assert report["machine"]["cores"] >= 1
    assert "openvino" in report["machine"]["packages"]


def test_bench_compares_several_streams_with_one(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("bench", "--source", video, "--seconds", 0.3, "--threads", 1, "--streams", 3, "--json")
    assert run.status == 0, run.err
    one, several = run.json["together"]
    assert (one["streams"], several["streams"], one["of_one"]) == (1, 3, 1.0)
    for row in (one, several):
        assert row["hops_per_s"] > 0 and 0 < row["push_ms"]["p50"] <= row["push_ms"]["p99"] and row["processor_ms"] > 0
    assert several["of_one"] > 0
    assert "together" not in vljepa("bench", "--source", video, "--seconds", 0.1, "--threads", 1, "--json").json


def test_a_stream_that_fails_among_several_fails_the_measurement(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.vision.together, "run", Mock(side_effect=EngineError("out of memory")))
    with pytest.raises(EngineError, match="out of memory"):
        push_together(model, 2, None, 30.0)


def test_the_report_for_people_has_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(
        {
            "latency_ms": {"hop": {"p50": 1.5, "p90": 2.0, "p99": None}},
            "realtime_factor": 12.0,
            "frames": 40,
            "seconds": 1.0,
            "source": "clip.mp4",
            "policy": "uniform",
            "together": [
                {"streams": count, "hops_per_s": 40.0 * ratio, "of_one": ratio, "push_ms": {"p50": p50, "p99": p99},
                 "processor_ms": 24.0 / ratio}
                for count, ratio, p50, p99 in ((1, 1.0, 20.0, 30.0), (8, 1.3, 150.0, 240.0))
            ],
            "memory": {"peak_bytes": 250_000_000},
            "power": {"watts": {"VDD_IN": 6.25}, "unread": ""},
            "startup_s": {"import": 0.1, "load": 0.3, "load_compiling": 0.9, "first_text": 0.01},
            "model": {"name": "tiny", "version": "1"},
            "engine": {"name": "openvino"},
            "machine": machine(),
        }
    )
    out = capsys.readouterr().out
    assert re.search(r"stage, ms +p50 +p90 +p99", out)
    assert re.search(r"hop +1\.50 +2\.00 +-", out)
    assert all(
        words in out
        for words in (
            "12.0x real time",
            "peak memory 250 MB",
            "VDD_IN 6.2 W",
            "8 streams: 52.0 hops a second (1.30x), a push 150.0 ms (p99 240.0), 18.5 ms of processor time a hop",
            "load 0.30 s (0.90 s",
            "tiny 1 on openvino",
        )
    )
    assert "\x1b" not in out


def test_the_synthetic_clip_is_a_real_video_that_changes(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, seconds=0.5)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) == CLIP_FPS // 2
    assert frames[0].shape == (CLIP_SIZE[1], CLIP_SIZE[0], 3)
    assert abs(frames[0] - frames[-1]).mean() > 1


def test_the_machine_is_described() -> None:
    about = machine()
    assert about["cpu"]
    assert about["memory_bytes"] is None or about["memory_bytes"] > 1 << 28
    assert about["python"] == sys.version.split()[0]
    held = peak_memory()
    assert held is None or held > 1 << 20


def test_doctor_passes_where_the_runtime_runs(vljepa: Vljepa) -> None:
    run = vljepa("doctor", "--json")
    checks = {check["name"]: check for check in run.json["checks"]}
    assert run.json["ok"] is True, checks
    assert run.status == 0
    for name in ("python", "numpy", "openvino", "av", "C++ core", "FFmpeg", "bundle", "engine openvino"):
        assert checks[name]["status"] == "ok", checks[name]
    assert all(set(check) == {"name", "status", "detail", "fix"} for check in checks.values())
    assert "runs the bundle" in checks["engine openvino"]["detail"]


@pytest.mark.parametrize(("machine", "marked"), [("x86_64", False), ("aarch64", True)])
def test_doctor_marks_an_engine_on_hardware_where_it_never_ran(
    vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch, machine: str, marked: bool
) -> None:
    monkeypatch.setattr("vljepa_edge.engines.available", lambda: {"openvino": None})
    monkeypatch.setattr("platform.machine", lambda: machine)
    (check,) = (check for check in vljepa("doctor", "--json").json["checks"] if check["name"] == "engine openvino")
    assert ("NOT VERIFIED ON HARDWARE" in check["detail"]) == marked
    assert check["status"] == "ok"


def test_doctor_for_people_ends_with_the_verdict(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"openvino": None, "steam": "engine steam can't be used: no coal; to fix it, run: pip install coal"}
    monkeypatch.setattr("vljepa_edge.engines.available", lambda: reasons)
    run = vljepa("doctor")
    assert run.status == 0
    assert re.search(
        r"missing +engine steam +engine steam can't be used: no coal\n +to fix it, run: pip install coal\n", run.out
    )
    assert run.out.endswith("everything that the runtime needs works\n")


def test_doctor_lists_what_is_optional_as_no_fault(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine with the runtime alone."""
    optional = {"onnxruntime", "torch", "transformers", "tensorrt", "cuda-bindings", "onnx"}
    engines = {
        name: f"engine {name} can't be used: No module named '{name}'; to fix it, run: install {name}"
        for name in ("onnxruntime", "torch", "tensorrt")
    }
    monkeypatch.setattr(
        sys.modules["vljepa_edge.cli.doctor"], "package_version", lambda name: None if name in optional else "1.0"
    )
    monkeypatch.setattr("vljepa_edge.engines.available", lambda: {"openvino": None, **engines})
    run = vljepa("doctor", "--json")
    checks = {check["name"]: check for check in run.json["checks"]}
    assert (run.status, run.json["ok"]) == (0, True)
    for name in (*(optional - {"onnx"}), *(f"engine {name}" for name in engines)):
        assert checks[name]["status"] == "optional", checks[name]
        assert checks[name]["detail"].startswith("not installed (optional)"), checks[name]
    assert checks["torch"]["detail"].endswith("; for training, export and the reference engine")
    assert checks["torch"]["fix"] == install_torch("onnx")
    assert checks["transformers"]["fix"] == install_extra("train")
    assert checks["engine torch"]["fix"] == "install torch"
    shown = vljepa("doctor")
    assert shown.status == 0
    assert "to add it, run: " in shown.out and "to fix it, run: install" not in shown.out
    assert not re.search(r"^(missing|fail) +(engine )?(onnxruntime|torch|transformers|tensorrt|cuda)", shown.out, re.M)


def test_doctor_fails_on_a_broken_bundle_and_says_what_fixes_it(
    vljepa: Vljepa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_edge.engines.available", lambda: {"openvino": None})
    run = vljepa("doctor", "--model", tmp_path, "--json")
    assert run.status == 1
    (bundle,) = (check for check in run.json["checks"] if check["name"] == "bundle")
    assert bundle["status"] == "fail"
    assert "models verify" in bundle["fix"]


def test_doctor_names_the_command_for_a_missing_package(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    run = vljepa("doctor")
    assert run.status == 1
    assert f"to fix it, run: {pip_install('--upgrade', 'tokenizers')}" in run.out


@pytest.mark.slow
def test_commands_work_where_torch_can_not_be_imported(toy: Path, video: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = None
from vljepa_edge.cli import app
for args in (
    ["stream", {str(video)!r}], ["classify", {str(video)!r}, "-l", "a,b"], ["ask", {str(video)!r}, "-q", "What?"],
    ["search", {str(video.parent)!r}, "-t", "a ball"], ["embed", "-t", "a ball"], ["models", "verify"],
    ["bench", "--source", {str(video)!r}, "-s", "0.1"],
):
    status = app([*args, "--model", {str(toy)!r}, "--json"], standalone_mode=False)
    assert not status, (args, status)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
