"""A run from nothing to a model: it learns, and an interruption anywhere changes no bit."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.media import cut
from tests.training.small_run import write_run
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training import loop, objective, run_folder, stage_data
from vljepa_edge.training.build import build_model
from vljepa_edge.training.config import load_run
from vljepa_edge.training.data.sample import Source
from vljepa_edge.training.loop import train
from vljepa_edge.training.observe import read_log
from vljepa_edge.training.optim import TrainingError
from vljepa_edge.training.run_folder import load_checkpoint

pytestmark = pytest.mark.usefixtures("one_thread")
TRAIN = [sys.executable, "-m", "vljepa_edge", "train"]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 8 and 6 steps, with checkpoints every 3."""
    return write_run(tmp_path_factory.mktemp("run"))


def trained(run: Path, folder: Path, *changes: str, resume: str | None = None) -> dict[str, torch.Tensor]:
    """The weights of the finished model."""
    report = train(load_run(run, [f"out={folder}", *changes]), resume)
    assert report.model is not None
    return load_file(report.model / "model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def assert_close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    """But for the biases of keys, whose gradient is 0 but for rounding: AdamW makes steps of that."""
    assert a.keys() == b.keys()
    for name in a:
        assert "key.bias" in name or torch.allclose(a[name], b[name], atol=2e-4), name


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of a run that nothing interrupted."""
    return trained(run, tmp_path_factory.mktemp("whole"))


def test_both_stages_are_run_and_logged(run: Path, tmp_path: Path) -> None:
    report = train(load_run(run, [f"out={tmp_path}"]))
    assert (report.steps, report.refused, report.corrupt, report.stopped_by) == (14, 0, 0, None)
    curves = read_log(tmp_path / "log.jsonl")
    assert sorted(curves["pretrain"]["loss"]) == list(range(8))
    assert sorted(curves["sft"]["loss"]) == list(range(6))
    assert curves["sft"]["lr"][5] < curves["sft"]["lr"][0] == 3e-3 == curves["pretrain"]["lr"][7]
    assert {"norm", "scale", "samples_per_s", "data_wait", "mfu"} <= set(curves["sft"])
    assert load_run(tmp_path / "config.yaml") == load_run(run, [f"out={tmp_path}"])
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors", "tokenizers"}
    config, weights = load_run(run, [f"out={tmp_path}"]), tmp_path / "model" / "model.safetensors"
    with pytest.raises(InputError, match="holds a run already; resume it"):
        train(config)
    trained = weights.read_bytes()
    with pytest.raises(InputError, match="stages must be more than 1"):
        train(config.model_copy(update={"stages": config.stages[:1]}), "latest")
    assert weights.read_bytes() == trained


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["stages.sft.objective={kind: future, delta: 9.0}"], "no sample has a text that holds 9 s after its end"),
        (["stages.sft.data.clips=1e-9"], "the weight of source 1 must be at least 1 / 4096"),
        (["decoder={corpus: [clisp]}"], "'clisp' must be a text file in UTF-8 or one of the data"),
    ],
)
def test_what_would_end_a_later_part_ends_the_run_before_its_first_step(
    run: Path, tmp_path: Path, changes: list[str], said: str
) -> None:
    with pytest.raises((DataError, InputError), match=said):
        train(load_run(run, [f"out={tmp_path / 'run'}", *changes]))
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(
    run: Path, tmp_path: Path, whole: dict[str, torch.Tensor]
) -> None:
    """Killed at random after steps of both stages; whatever was written stays, and what was being written goes."""
    folder, rng, log = tmp_path / "run", random.Random(0), tmp_path / "run" / "log.jsonl"
    for lines in (3 + rng.randrange(3), 7 + rng.randrange(3), 12 + rng.randrange(3)):
        resume = ["--resume", "latest"] if (folder / "latest").exists() else []
        process = subprocess.Popen([*TRAIN, str(run), f"out={folder}", *resume], env=ENVIRONMENT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().splitlines()) >= lines:
                process.kill()
            time.sleep(0.005)
        assert process.wait() == -signal.SIGKILL
    ended = trained(run, folder, resume="latest")
    assert equal(ended, whole)


def test_sigterm_saves_and_says_so(run: Path, tmp_path: Path, whole: dict[str, torch.Tensor]) -> None:
    folder = tmp_path / "run"
    process = subprocess.Popen([*TRAIN, str(run), f"out={folder}", "checkpoint.every=100"], env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # fmt: skip
    deadline = time.monotonic() + 120
    while not (folder / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "saved; to go on, add --resume latest" in said
    assert not (folder / "model").exists()
    assert equal(trained(run, folder, resume="latest"), whole)


def test_workers_change_nothing(run: Path, tmp_path: Path, whole: dict[str, torch.Tensor]) -> None:
    assert equal(trained(run, tmp_path, "loader.workers=2"), whole)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """A run without dropout, whose draws differ from chunk to chunk and rank to rank, and its weights."""
    folder = tmp_path_factory.mktemp("exact")
    run = write_run(folder, dropout=0.0)
    return run, trained(run, folder / "whole")


def test_chunks_give_the_gradient_of_the_complete_batch(
    exact: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """GradCache: 16 rows in chunks of 5."""
    run, whole = exact
    chunked = trained(run, tmp_path, "stages.0.chunk=5", "stages.1.chunk=5")
    assert_close(chunked, whole)


@pytest.mark.parametrize("mode", ["ddp", "fsdp2"])
def test_ranks_under_torchrun_train_what_one_process_trains(
    exact: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, mode: str
) -> None:
    run, whole = exact
    started = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vljepa_edge",
         "train", str(run), f"out={tmp_path / 'run'}", f"parallel.mode={mode}"],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr[-3000:]
    ended = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert_close(ended, whole)
    # And one process goes on with what two have saved.
    checkpoints = sorted((tmp_path / "run" / "checkpoints").iterdir())
    again = trained(run, tmp_path / "run", resume=str(checkpoints[0]))
    assert_close(again, whole)


def test_it_learns_what_colour_is_where(run: Path, tmp_path: Path) -> None:
    changes = ["stages.0.steps=90", "evaluate={data: check, every: 30, samples: 48}"]
    report = train(load_run(run, [f"out={tmp_path}", *changes]))
    curves = read_log(tmp_path / "log.jsonl")["pretrain"]
    losses = [loss for _, loss in sorted(curves["loss"].items())]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])
    assert curves["v2t_R@1"][90] > 60  # of 12 captions; chance is 8
    assert report.figures["v2t_R@5"] > 80
    assert (tmp_path / "best").exists()


@pytest.mark.parametrize(
    "changes",
    [
        ["stages.0.y_encoder=ema", "stages.0.ema=0.9"],
        ["stages.0.y_encoder=frozen", "stages.0.loss=[{kind: cosine}]"],
        ["stages.0.loss=[{kind: l1, weight: 0.5}, {kind: vicreg, weight: 0.1}]"],
        ["stages.0.loss=[{kind: sigreg}]"],
        ["stages.0.average=0.5"],
        ["stages.0.objective={kind: classify, classes: %s}"],
        ["stages.0.objective={kind: future, delta: 0.2}"],
        ["parallel.checkpoint_activations=true", "stages.0.chunk=8"],
    ],
    ids=lambda changes: changes[0][9:40],
)
def test_every_choice_resumes_to_the_same_bits(run: Path, tmp_path: Path, changes: list[str]) -> None:
    colours = [f"a {c} square on the {s}" for c in ("red", "green", "blue", "yellow", "white", "black")
               for s in ("left", "right")]  # fmt: skip
    changes = [change.replace("%s", json.dumps(colours)) for change in changes]
    straight = trained(run, tmp_path / "a", *changes, "checkpoint={every: 5, keep: 9}")
    checkpoint = tmp_path / "a" / "checkpoints" / "00000005.safetensors"
    (tmp_path / "b").mkdir()
    assert equal(trained(run, tmp_path / "b", *changes, resume=str(checkpoint)), straight)
    started = load_file(checkpoint)
    name = "weights.model.predictor.head.weight"
    assert not torch.equal(started[name], straight["predictor.head.weight"])


def test_a_stage_is_evaluated_with_the_texts_that_it_trains_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, real = [], stage_data.in_order

    def named(source: Source, *rest: object, **named: object) -> object:
        seen.append(source.name)
        return real(source, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(stage_data, "in_order", named)
    changes = ["stages.0.objective={kind: future, delta: 0.2}", "stages.0.steps=1", "stages.1.steps=1"]
    train(load_run(run, [f"out={tmp_path}", *changes, "evaluate={data: check, samples: 24}"]))
    assert seen[1] in seen[0] and seen[0].endswith("+ 0.2 s")


def test_a_signal_counts_when_all_ranks_know_of_it(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that comes after they have agreed to go on ends the run after the next step, whatever is done until then."""
    real = run_folder.write_tensors

    def told(*arguments: object) -> None:
        if not (tmp_path / "latest").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_folder, "write_tensors", told)
    report = train(load_run(run, [f"out={tmp_path}"]))
    assert (report.steps, report.model, report.stopped_by) == (4, None, signal.SIGTERM)
    assert (tmp_path / "latest").read_text() == "00000004.safetensors"


def test_a_signal_to_another_rank_ends_this_one_too(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a score that another has is the score of all: each saves the best where one does."""
    theirs = iter([[-math.inf, 0.0], [77.0, 0.0], [-math.inf, 1.0]])

    def highest(mine: torch.Tensor) -> torch.Tensor:
        return torch.maximum(mine, mine.new_tensor(next(theirs))) if mine.ndim else mine

    monkeypatch.setattr(loop, "max_over_ranks", highest)
    report = train(load_run(run, [f"out={tmp_path}", "checkpoint.every=100"]))
    assert (report.steps, report.stopped_by) == (3, signal.SIGTERM)
    assert (tmp_path / "best").read_text() == "00000002.safetensors"
    assert load_checkpoint(tmp_path / "checkpoints" / "00000003.safetensors")[1]["best"] == 77.0


def test_a_signal_ends_work_that_is_begun_again_at_once(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filling the cache, which takes hours, and training the Y-decoder, on a model that is as it will be used."""
    modes = []

    def told(model: object, *rest: object, **named: object) -> None:
        modes.append([m.training for m in model.modules()] if isinstance(model, torch.nn.Module) else [])
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    monkeypatch.setattr(loop, "finish_decoder", told)
    short = ["stages.0.steps=1", "stages.1.steps=1", "decoder={corpus: [clips], steps: 1}"]
    report = train(load_run(run, [f"out={tmp_path / 'a'}", *short]))
    assert (report.steps, report.model, report.stopped_by) == (2, None, signal.SIGTERM)
    assert "add --resume latest" in report.lines()[0] and not any(modes[0])
    monkeypatch.setattr(stage_data, "fill", told)
    report = train(load_run(run, [f"out={tmp_path / 'b'}", *short, "stages.0.cache=true"]))
    assert (report.steps, report.model, report.stopped_by) == (0, None, signal.SIGTERM)
    assert "run the same command again" in report.lines()[0] and not (tmp_path / "b" / "latest").exists()


def test_a_video_that_is_cut_off_is_counted_and_replaced(tmp_path: Path) -> None:
    run = write_run(tmp_path, loader={"workers": 0, "corrupt": 0.5})
    broken = cut(tmp_path / "clips" / "red_left.mp4", 0.3)
    broken.replace(tmp_path / "clips" / "red_left.mp4")
    report = train(load_run(run))
    assert report.corrupt > 0 and report.model is not None
    with pytest.raises(DataError, match=r"samples can't be read"):
        train(load_run(run, [f"out={tmp_path / 'strict'}", "loader.corrupt=0.001", "stages.0.steps=40"]))


def test_a_disk_that_is_full_ends_the_run_only_in_the_long_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, saves = run_folder.write_tensors, []

    def full(*arguments: object) -> None:
        saves.append(arguments)
        if len(saves) in (2, 3):
            raise OSError(28, "No space left on device")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(run_folder, "write_tensors", full)
    assert train(load_run(run, [f"out={tmp_path / 'a'}"])).model is not None
    assert "could not be written, the last one stays" in capsys.readouterr().err
    monkeypatch.setattr(run_folder, "write_tensors", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(TrainingError, match="5 checkpoints in a row could not be written"):
        train(load_run(run, [f"out={tmp_path / 'b'}", "checkpoint.every=1"]))


def test_what_is_not_finite_reaches_no_weight(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = objective.stage_loss

    def poisoned(found: object, rows: object, stage: object, gather: object, step: int) -> torch.Tensor:
        loss = real(found, rows, stage, gather, step)  # type: ignore[arg-type]
        return loss * float("nan") if step in (2, 4) else loss

    monkeypatch.setattr(objective, "stage_loss", poisoned)
    report = train(load_run(run, [f"out={tmp_path / 'a'}"]))
    assert report.refused == 4 and report.model is not None
    assert all(bool(torch.isfinite(w).all()) for w in load_file(report.model / "model.safetensors").values())
    monkeypatch.setattr(objective, "stage_loss", lambda *arguments: real(*arguments) * float("nan"))
    with pytest.raises(TrainingError, match="20 steps in a row"):
        train(load_run(run, [f"out={tmp_path / 'b'}", "stages.0.steps=30", "checkpoint.every=30"]))
    assert not (tmp_path / "b" / "latest").exists()


def test_cached_features_train_what_pixels_train(
    exact: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To what 16 bits cost; the frozen encoder sees each stretch once, in a second run none at all."""
    run, _ = exact
    cached = [f"features={tmp_path / 'features'}", "stages.0.cache=true", "stages.1.cache=true"]
    evaluate = "evaluate={data: check, every: 4, samples: 24}"
    first = trained(run, tmp_path / "a", *cached, evaluate)
    pixels, features = read_log(run.parent / "whole" / "log.jsonl"), read_log(tmp_path / "a" / "log.jsonl")
    for stage in ("pretrain", "sft"):
        assert features[stage]["loss"] == pytest.approx(pixels[stage]["loss"], abs=0.01)

    def encoded(*_: object) -> torch.Tensor:
        raise AssertionError("the features are there already")

    monkeypatch.setattr("vljepa_edge.nn.x_encoder.XEncoder.forward", encoded)
    assert equal(trained(run, tmp_path / "b", *cached, evaluate), first)


def test_a_stage_ends_with_the_average_of_its_weights(
    run: Path, tmp_path: Path, whole: dict[str, torch.Tensor]
) -> None:
    """One that forgets all at once is of the last weights, one that never moves of the first."""
    last = trained(run, tmp_path / "last", "stages.0.average=0", "stages.1.average=0")
    assert equal(last, whole)
    config = load_run(run, [f"out={tmp_path / 'first'}", "stages.0.average=1", "stages.1.average=1"])
    start = build_model(config).model
    report = train(config)
    assert report.model is not None
    first = load_file(report.model / "model.safetensors")
    parameters = dict(start.named_parameters())
    learnt = [name for name in first if name in parameters and not torch.equal(first[name], whole[name])]
    assert len(learnt) > 20 and all(torch.equal(first[name], parameters[name]) for name in learnt)


def test_what_has_the_multiplier_0_stays_as_it_is(run: Path, tmp_path: Path, whole: dict[str, torch.Tensor]) -> None:
    ended = trained(run, tmp_path, *(f"stages.{i}.multipliers={{predictor.stack.: 0.0}}" for i in (0, 1)))
    start = build_model(load_run(run)).model
    for name, parameter in start.named_parameters():
        if name.startswith("predictor.stack."):
            assert torch.equal(ended[name], parameter) and not torch.equal(whole[name], parameter)
    assert not torch.equal(ended["predictor.head.weight"], start.predictor.head.weight)
