"""The log is what happened: one value a step, whatever was interrupted, and a picture of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from vljepa_edge.errors import InputError
from vljepa_edge.training.observe import Observer, draw_curves, read_log


def run(folder: Path, steps: range, loss: float, quiet: bool = False, tensorboard: bool = False) -> Observer:
    with Observer(folder, quiet=quiet, tensorboard=tensorboard) as observer:
        observer.begin("first", steps.start, 10)
        for step in steps:
            observer.step("first", step, {"loss": loss - step, "lr": 1e-3}, samples=8, seconds=0.5, waited=0.1,
                          mfu=0.25, keep=step % 2 == 0)  # fmt: skip
    return observer


def test_a_step_that_is_done_again_counts_once(tmp_path: Path) -> None:
    run(tmp_path, range(6), 10.0)
    run(tmp_path, range(2, 8), 20.0)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"stage": "first", "step": 8, "lo')  # killed while it wrote
    curves = read_log(tmp_path / "log.jsonl")["first"]
    assert curves["loss"] == {0: 10.0, 2: 18.0, 4: 16.0, 6: 14.0}
    assert curves["samples_per_s"][0] == 16.0
    assert curves["data_wait"][0] == 0.2
    assert curves["mfu"][0] == 0.25
    draw_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > 300 and picture.height > 200 * len(curves)


def test_a_full_disk_costs_lines_and_not_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log.jsonl"
    log.symlink_to("/dev/full")
    observer = run(tmp_path, range(4), 1.0)
    assert capsys.readouterr().err.count("the log can't be written") == 1
    log.unlink()
    log.write_text('{"stage": "first", "ste')  # as much of a line as went onto the disk
    observer.write({"stage": "first", "step": 4, "loss": 0.5})
    observer.write({"stage": "first", "step": 5, "loss": 0.25})
    assert read_log(log)["first"]["loss"] == {4: 0.5, 5: 0.25}
    observer.draw()
    assert (tmp_path / "curves.png").exists()
    (tmp_path / "curves.png").unlink()
    log.unlink()
    observer.draw()
    assert "the curves could not be drawn: [Errno 2]" in capsys.readouterr().err


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    observer = run(tmp_path, range(2), float("nan"))
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["loss"] is None and "NaN" not in lines[0]
    assert observer.waited == pytest.approx(0.2) and observer.samples == 16


def test_other_ranks_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, range(4), 1.0, quiet=True)
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")


def test_tensorboard_has_every_figure_of_the_log(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, range(6), 10.0, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = {
        tag: {event.step: event.value for event in events.Scalars(tag)} for tag in events.Tags()["scalars"]
    }
    assert set(shown["first/loss"]) == {0, 2, 4}
    logged = read_log(tmp_path / "log.jsonl")["first"]
    assert shown == {f"first/{name}": pytest.approx(points, rel=1e-6) for name, points in logged.items()}


def test_tensorboard_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as where it is not installed
    with pytest.raises(InputError, match="pip install tensorboard"):
        Observer(tmp_path, quiet=False, tensorboard=True)
    run(tmp_path, range(2), 1.0, quiet=True, tensorboard=True)  # other ranks don't need it
    assert list(tmp_path.iterdir()) == []
