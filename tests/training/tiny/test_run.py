"""A model of the default's shape through the trainer of any model: kept features, clips that vary from step to step, a
frozen text encoder, a Y-decoder that reads predictions; the same bits whatever interrupts it; and a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file

import vljepa_edge
from tests.export.quiet import quiet
from tests.export.small_parts import efficientnet
from tests.training.small_run import WORDS, write_clips
from tests.training.tiny.fakes import CLASSES, NAMES, NOUNS, cutout, fake_concepts, grey_background
from tests.training.tiny_bert import bert, tokenizer
from vljepa_edge.export.pipeline import Plan, export_any
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, TinyStreams
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training import objective
from vljepa_edge.training.build import save_model
from vljepa_edge.training.config import load_run
from vljepa_edge.training.frame_encoder import FrameEncoder
from vljepa_edge.training.loop import train
from vljepa_edge.training.observe import read_log
from vljepa_edge.training.text_memo import TextMemo
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import drawn
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.decoder import new_decoder, word_tokenizer
from vljepa_edge.training.tiny.model import new_model
from vljepa_edge.training.tiny.recipe import DecoderRecipe, MotionRecipe, PredictorRecipe, Recipe

KIND = "vljepa_edge.training.tiny.drawn:DrawnClips"
THINGS = (*NAMES, *CLASSES, *NOUNS)


def texts() -> list[str]:
    """Everything that the Y-decoder may be taught to say here."""
    one = [text for name in THINGS for motion in say.ONE for text in say.captions(Scene(motion, name))]
    groups = [text for name in NAMES for m in say.COUNTED_MOTIONS for n in (2, 3)
              for text in say.captions(Scene(m, name, None, n))]  # fmt: skip
    pairs = [text for motion in say.TWO for text in say.captions(Scene(motion, NAMES[0], NAMES[1]))]
    answers = [say.sentence(text) for text in (*say.COUNTS, *say.DIRECTIONS, "yes", "no", *WORDS)]
    objects = [text for name in THINGS for text in say.object_captions(name)]
    return sorted({*one, *groups, *pairs, *answers, *objects, *map(say.doing, say.ONE), *WORDS})


def write_start(folder: Path) -> Path:
    """A checkpoint to start from: the default's shape, small where it may be, the image network random."""
    words = [word.strip(".,").lower() for text in texts() for word in text.split()]
    reading, saying = tokenizer([*words, *WORDS]), word_tokenizer(texts())
    predictor = PredictorRecipe(hidden=32, layers=1, heads=2, ffn=48)
    recipe = Recipe(name="small", motion=MotionRecipe(width=4), predictor=predictor)
    torch.manual_seed(0)
    model = new_model(recipe, bert(reading.get_vocab_size(), CONCEPT_WIDTH))
    assert isinstance(model.x_encoder, TinyStreams)
    model.x_encoder.appearance.net = efficientnet()
    model.attach_y_decoder(new_decoder(saying.get_vocab_size(), DecoderRecipe(hidden=64, layers=1)))
    return save_model(model, Tokenizers(reading, reading, saying), folder, include_frozen=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """run.yaml, what it names beside it, and its features filled by a first run."""
    folder = tmp_path_factory.mktemp("run")
    fake_concepts().save(folder / "concepts.safetensors")
    (folder / "corpus.txt").write_text("\n".join(texts()[::7]))
    stage = {"batch": 6, "frames": {"count": 8, "width": 224, "height": 224}, "lr": 3e-3, "cache": True, "average": 0.9,
             "negatives": 6, "multipliers": {"y_encoder.": 0.05, "x_encoder.motion.": 0.0},
             "augment": ["grid_noise", "light"]}  # fmt: skip
    clips = {"kind": KIND, "count": 6, "stills": 0.2, "rename": 0.4, "hide": 0.3,
             "concepts": str(folder / "concepts.safetensors")}  # fmt: skip
    values = {
        "name": "small", "out": str(folder / "run"), "init": str(write_start(folder / "start")), "device": "cpu",
        "features": str(folder / "features"), "concept_trust": 0.25,
        "data": {
            "drawn": clips, "drawn_asked": clips | {"questions": True},
            "clips": {"path": str(write_clips(folder / "clips", 2))},
            "asked": {"path": str(write_clips(folder / "clips", 2, questions=True))},
        },
        "stages": [
            {"name": "clips", "query": False, "steps": 4, "data": {"drawn": 2.0, "clips": 1.0}, **stage},
            {"name": "sft", "query": True, "steps": 4, "data": {"drawn": 1.0, "drawn_asked": 2.0, "asked": 1.0},
             "schedule": "cosine", **stage},
        ],
        "parallel": {"bf16": False}, "loader": {"workers": 0}, "checkpoint": {"every": 3, "keep": 9}, "peak": 0.1,
        "decoder": {"corpus": [str(folder / "corpus.txt"), "drawn", "asked"], "steps": 4, "batch": 6, "validation": 2,
                    "predicted": {"data": {"drawn": 1.0, "drawn_asked": 1.0}, "samples": 10, "share": 0.5}},
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return folder / "run.yaml"


@pytest.fixture(scope="module", autouse=True)
def plain_pictures(one_thread: None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        cutouts = {name: [cutout((40 * i % 256, 90, 200))] for i, name in enumerate(NAMES)}
        patch.setattr(drawn, "load_cutouts", lambda folder: cutouts)
        patch.setattr(drawn, "load_backgrounds", lambda folders, test: grey_background())
        patch.setattr(drawn, "held_out", lambda names: frozenset(sorted(names)[:2]))
        patch.setattr(drawn.assets, "stamps_dir", lambda: None)
        patch.setattr(drawn.assets, "background_dirs", list)
        yield


Whole = tuple[dict[str, torch.Tensor], int, list[tuple[bool, tuple[int, ...]]]]


@pytest.fixture(scope="module")
def whole(run: Path) -> Whole:
    """The weights of a run that nothing interrupted; how many frames, and which texts (as query or not), went through
    the frozen networks."""
    frames: list[int] = []
    read: list[tuple[bool, tuple[int, ...]]] = []
    with pytest.MonkeyPatch.context() as patch:
        encode, learn = FrameEncoder.encode, TextMemo._encode

        def counted(self: FrameEncoder, batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            frames.append(len(batch))
            return encode(self, batch)

        def noted(self: TextMemo, batch: list[tuple[int, ...]], length: int, known: Any) -> None:
            read.extend((known is self._states, text) for text in batch)
            learn(self, batch, length, known)

        patch.setattr(FrameEncoder, "encode", counted)
        patch.setattr(TextMemo, "_encode", noted)
        report = train(load_run(run))
    assert report.model is not None and (report.steps, report.refused, report.corrupt) == (8, 0, 0)
    return load_file(report.model / "model.safetensors"), sum(frames), read


def test_what_is_frozen_is_computed_once(whole: Whole) -> None:
    """Captions and questions, both stages and the Y-decoder's samples read the same stretches and texts."""
    _, frames, read = whole
    assert 0 < frames <= 8 * (6 + 2)  # six drawn clips and two stretches of the table
    assert len(set(read)) == len(read) > 20 and {query for query, _ in read} == {False, True}


def test_what_trains_moves_and_what_is_frozen_stays(run: Path, whole: Whole) -> None:
    before, after = load_file(run.parent / "start" / "model.safetensors"), whole[0]
    assert {name for name in after if name not in before} == {"predictor.skip.read.weight", "predictor.skip.read.bias"}
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    assert {"log_scale", "y_encoder.head.weight", "predictor.head.weight", "y_decoder.tokens.weight"} <= moved
    parameters = {name for name, _ in VLJepa.from_pretrained(run.parent / "start").named_parameters()}
    frozen = ("x_encoder.", "y_encoder.backbone.")
    assert not [name for name in moved & parameters if name.startswith(frozen)]
    assert not [name for name in moved if name.startswith(("x_encoder.appearance.", "y_encoder.backbone."))]


@pytest.mark.parametrize("step", [3, 4, 8])
def test_a_run_that_goes_on_ends_with_the_same_bits(run: Path, whole: Whole, tmp_path: Path, step: int) -> None:
    """From within a stage, from between two, from their end: clips and the Y-decoder's samples vary as they would."""
    checkpoint = run.parent / "run" / "checkpoints" / f"{step:08}.safetensors"
    report = train(load_run(run, [f"out={tmp_path}"]), str(checkpoint))
    assert report.model is not None
    ended = load_file(report.model / "model.safetensors")
    assert ended.keys() == whole[0].keys()
    assert [name for name in ended if not torch.equal(ended[name], whole[0][name])] == []


@pytest.mark.usefixtures("whole")
def test_clips_vary_from_step_to_step(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other losses than of the same clips as they are, of which no picture is drawn or encoded again."""
    monkeypatch.setattr(FrameEncoder, "encode", lambda *_: pytest.fail("the features are there already"))
    monkeypatch.setattr(drawn.DrawnClips, "varied", lambda self, sample, features, draw: (sample, features))
    train(load_run(run, [f"out={tmp_path / 'plain'}"]))
    folders = run.parent / "run", tmp_path / "plain"
    varied, plain = (read_log(folder / "log.jsonl")["clips"]["loss"] for folder in folders)
    assert len(varied) == len(plain) == 4 and all(varied[step] != plain[step] for step in varied)


@pytest.mark.usefixtures("whole")
def test_steps_that_are_refused_leave_the_statistics_of_norms_too(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = objective.stage_loss
    monkeypatch.setattr(objective, "stage_loss", lambda *arguments: real(*arguments) * float("nan"))
    changes = [f"stages.{stage}.{change}" for stage in ("clips", "sft") for change in ("steps=2", "multipliers={}")]
    report = train(load_run(run, [f"out={tmp_path}", *changes, "decoder=null", "concept_trust=0"]))
    assert report.refused == 4 and report.model is not None
    before, after = (load_file(folder / "model.safetensors") for folder in (run.parent / "start", report.model))
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


@pytest.mark.usefixtures("whole")
def test_it_exports_and_streams(run: Path, tmp_path: Path) -> None:
    export_any(str(run.parent / "run" / "model"), tmp_path / "bundle", Plan("fp16"), None, quiet)
    loaded = vljepa_edge.load(tmp_path / "bundle", threads=1)
    events = list(loaded.stream(run.parent / "clips" / "red_left.mp4"))
    assert events[-1].status == "closed"
