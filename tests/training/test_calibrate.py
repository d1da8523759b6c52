"""A bundle is calibrated on photographs: what is fitted is what the runtime then says, and nothing else changes."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Vljepa
from vljepa_edge.bundle.confidence import IsotonicEntry, LogisticEntry
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import BundleError, DataError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.confidence import probability
from vljepa_edge.training.calibrate import Calibration, calibrate
from vljepa_edge.training.confidence import fit_isotonic, fit_logistic

pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

COUNT = 60
QUERY = "What is happening?"
THINGS = ("ball", "cup", "car", "box", "dog", "horse", "bus", "boat")


def captions(number: int) -> list[str]:
    first, second = THINGS[number % 8], THINGS[(number // 8 + number + 1) % 8]
    return [f"A {first} is next to a {second}.", f"The {first} is red.", f"A {second} on the ground."]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty pictures with three captions each."""
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(COUNT):
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        rows += [{"path": f"{number}.png", "caption": text} for text in captions(number)]
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "table.jsonl"


def copy_of(bundle: Path, out: Path) -> Path:
    source = Bundle.open(bundle)
    manifest = source.manifest.model_dump(mode="json", by_alias=True, exclude={"files", "created"})
    return write_bundle(out, manifest, {name: source.read(name) for name in source.manifest.entries()})


@pytest.fixture(scope="module")
def done(toy: Path, table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Calibration]:
    folder = tmp_path_factory.mktemp("calibrated")
    bundle = copy_of(toy, folder / "toy.vljepa")
    steps: list[tuple[int, int]] = []
    found = calibrate(
        bundle, table, picture=folder / "plot.png", threads=1, on_photograph=lambda *step: steps.append(step)
    )
    assert steps == [(number + 1, COUNT) for number in range(COUNT)]
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    return bundle, found


def words_of(text: str) -> set[str]:
    return {word.strip(".").lower() for word in text.split()}


def test_the_calibrator_of_captions_is_fitted_on_cosines_and_on_what_captions_say(
    done: tuple[Path, Calibration], table: Path
) -> None:
    bundle, found = done
    model = load(bundle, threads=1)
    numbers, right = [], []
    for number in range(COUNT):
        seen = model.embed_video(table.parent / f"{number}.png")
        text = model.decode_text(seen)
        numbers.append(float(model.embed_text([text])[0] @ seen))
        named = [word for word in words_of(text) if word in THINGS]  # of the toy's words these are things
        there = set().union(*map(words_of, captions(number)))
        right.append(bool(named) and 2 * sum(word in there for word in named) >= len(named))
    (judged,) = [one for one in found.judged if one.name == "caption"]
    assert (judged.count, judged.right) == (COUNT, pytest.approx(np.mean(right)))
    entry = model.manifest.confidence
    assert entry is not None and entry.caption is not None
    fit = fit_logistic if isinstance(entry.caption, LogisticEntry) else fit_isotonic
    expected = probability(fit(numbers, np.array(right)), numbers)
    np.testing.assert_allclose(probability(entry.caption, numbers), expected, atol=0.02)  # bf16 of the engine
    for picture in range(3):
        seen = model.embed_video(table.parent / f"{picture}.png")
        said = model.confidence.say(model.text, seen, QUERY, 0.0)
        assert said.confidence == pytest.approx(expected[picture], abs=0.02)


def test_every_kind_is_fitted_and_judged(done: tuple[Path, Calibration]) -> None:
    bundle, found = done
    names = [one.name for one in found.judged]
    assert names == ["caption", "answer", "label", "presence", "watch", "general"]
    manifest = Bundle.open(bundle).manifest
    entry = manifest.confidence
    assert entry is not None and entry.general is not None
    assert entry.min_confidence == found.min_confidence
    assert "Describe the video." in entry.caption_queries
    for one in found.judged:
        fitted = entry.general.calibrator if one.name == "general" else getattr(entry, one.name)
        assert isinstance(fitted, IsotonicEntry if one.kind == "isotonic" else LogisticEntry)
        assert 0 <= one.right <= 1 and 0 <= one.ece_count <= 1 and 0 <= one.ece_width <= 1 and 0 <= one.brier <= 1
    rights = {one.name: one.right for one in found.judged}
    assert rights["label"] == rights["presence"] == 0.5, "what is there is asked for as often as what is not"
    assert rights["watch"] < 0.4
    said = manifest.provenance["confidence"]
    assert said["photographs"] == found.photographs == COUNT
    assert [(name, len(digest)) for name, digest in said["data"].items()] == [("table.jsonl", 64)]


def test_the_least_confidence_keeps_its_promise_or_shows_nothing(done: tuple[Path, Calibration]) -> None:
    _, found = done
    assert 0 <= found.shown <= 1
    assert found.precision >= 0.75 if found.shown else found.min_confidence == 1.0


def test_nothing_but_the_confidence_changes(done: tuple[Path, Calibration], toy: Path) -> None:
    before, after = Bundle.open(toy), Bundle.open(done[0])
    added = set(after.manifest.entries()) - set(before.manifest.entries())
    assert added == {"texts/general.txt", "texts/general.npy"}
    for name in before.manifest.entries():
        assert before.read(name) == after.read(name), name
    free = {"confidence", "provenance", "created", "files"}
    assert before.manifest.model_dump(exclude=free) == after.manifest.model_dump(exclude=free)
    assert after.manifest.provenance["seed"] == before.manifest.provenance["seed"]


def test_general_sentences_follow_from_the_captions_and_are_embedded_as_the_bundle_does(
    done: tuple[Path, Calibration],
) -> None:
    model = load(done[0], threads=1)
    sentences = model.bundle.read("texts/general.txt").decode().splitlines()
    assert "There is an animal." in sentences and "There is a vehicle." in sentences
    rows = np.load(io.BytesIO(model.bundle.read("texts/general.npy")))
    np.testing.assert_allclose(rows.astype(np.float32), model.embed_text(sentences), atol=2e-3)


def test_a_bundle_is_calibrated_again_and_without_general_sentences(
    done: tuple[Path, Calibration], table: Path, tmp_path: Path
) -> None:
    bundle = copy_of(done[0], tmp_path / "again")
    found = calibrate(bundle, table, general=(), threads=1)
    assert "general" not in [one.name for one in found.judged]
    entries = Bundle.open(bundle).manifest.entries()
    assert not [name for name in entries if name.startswith("texts/")]
    assert isinstance(load(bundle, threads=1), Model)
    assert not math.isnan(found.precision)


def test_the_command_says_what_was_measured(vljepa: Vljepa, toy: Path, table: Path, tmp_path: Path) -> None:
    bundle = copy_of(toy, tmp_path / "toy.vljepa")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"  # thirty photographs each
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    for file, some in ((first, rows[:90]), (second, rows[90:])):
        whole = [{**row, "path": str(table.parent / row["path"])} for row in some]
        file.write_text("".join(json.dumps(row) + "\n" for row in whole))
    plot = tmp_path / "plot.png"
    run = vljepa("calibrate", bundle, "--data", first, "--data", second, "--picture", plot, "--json")
    assert run.status == 0, run.err
    assert run.json["photographs"] == COUNT and plot.exists()
    assert run.json["judged"][0]["name"] == "caption"
    entry = Bundle.open(bundle).manifest.confidence
    assert entry is not None and entry.min_confidence == pytest.approx(run.json["min_confidence"], abs=1e-4)
    assert vljepa("calibrate", bundle, "--data", tmp_path / "none.jsonl").status == 2


def test_too_few_photographs_and_what_is_no_bundle_are_refused(toy: Path, table: Path, tmp_path: Path) -> None:
    short = table.parent / "short.jsonl"
    short.write_text("".join(table.read_text().splitlines(keepends=True)[:147]))  # 49 photographs
    bundle = copy_of(toy, tmp_path / "toy")
    before = Bundle.open(bundle).digest
    with pytest.raises(DataError, match="must have at least 50 photographs with 3 captions or more, got 49"):
        calibrate(bundle, short)
    assert Bundle.open(bundle).digest == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("four years")
    with pytest.raises(BundleError, match="not a bundle"):
        calibrate(tmp_path / "notes", table)
