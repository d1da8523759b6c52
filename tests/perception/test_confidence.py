"""Calibrated confidence: its formulas, its rules of falling back, and what a manifest may say of it."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.calibrated import LOGISTIC, write_calibrated
from tests.streaming.scenes import RED, picture
from tests.streaming.scratch import Scratch
from vljepa_edge.bundle.confidence import IsotonicEntry, LogisticEntry
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.confidence import as_yes_or_no, probability

GENERAL = ["An animal moves.", "Something happens.", "A thing is there."]
numbers = st.floats(-2, 2)


def open_at_32_bits(path: Path) -> Model:
    return load(path, threads=1, precision="f32")


# --- formulas ---


@given(st.floats(0, 100), st.floats(-50, 50), numbers)
def test_a_logistic_calibrator_is_the_logistic_function(slope: float, offset: float, number: float) -> None:
    entry = LogisticEntry(kind="logistic", slope=slope, offset=offset)
    power = slope * number + offset
    exact = 1 / (1 + math.exp(-power)) if power > -700 else 0.0
    assert float(probability(entry, number)) == pytest.approx(exact, abs=1e-12)


@given(
    st.lists(numbers, min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(0, 1), min_size=8, max_size=8).map(sorted),
    st.lists(numbers, min_size=2, max_size=20).map(sorted),
)
def test_an_isotonic_calibrator_goes_through_its_knots_and_never_falls(
    places: list[float], values: list[float], asked: list[float]
) -> None:
    knots = tuple(zip(places, values, strict=False))
    entry = IsotonicEntry(kind="isotonic", knots=knots)
    np.testing.assert_allclose(probability(entry, places), values[: len(places)], atol=1e-12)
    found = probability(entry, asked)
    assert (np.diff(found) >= -1e-12).all() and (found >= knots[0][1] - 1e-12).all() and (found <= 1).all()
    assert probability(entry, places[0] - 1) == knots[0][1] and probability(entry, places[-1] + 1) == knots[-1][1]


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "logistic", "slope": -1.0, "offset": 0.0},
        {"kind": "logistic", "slope": 1e7, "offset": 0.0},
        {"kind": "logistic", "slope": 1.0},
        {"kind": "isotonic", "knots": []},
        {"kind": "isotonic", "knots": [[0.0, 0.5], [0.0, 0.6]]},
        {"kind": "isotonic", "knots": [[0.0, 0.5], [0.1, 0.4]]},
        {"kind": "isotonic", "knots": [[0.0, 1.1]]},
        {"kind": "isotonic", "knots": [[0.0]]},
        {"kind": "linear", "slope": 1.0, "offset": 0.0},
    ],
    ids=str,
)
def test_a_calibrator_that_makes_no_sense_is_refused(toy: Path, tmp_path: Path, entry: dict[str, Any]) -> None:
    with pytest.raises((BundleError, ValidationError), match="confidence"):
        write_calibrated(toy, tmp_path / "out", caption=entry)


def test_yes_and_no_are_read_however_they_are_written() -> None:
    assert [as_yes_or_no(text) for text in ("Yes.", " no ", "NO!", "yes", "Nothing.", "")] == [
        *(True, False, False, True, None, None)
    ]


# --- a bundle without calibrators ---


def test_without_calibrators_nothing_has_a_confidence_and_every_text_is_shown(model: Model) -> None:
    seen = model.embed_video(picture(RED))
    words = model.confidence.say(model.text, seen, "What is happening?", model.confidence.least(None))
    assert (words.text, words.confidence, words.wording) == (model.decode_text(seen), None, "specific")
    assert model.confidence.label(0.5) is None and model.confidence.presence(0.5, 0.1) is None
    assert model.confidence.least(0.0) == 0.0
    with pytest.raises(InputError, match="min_confidence needs a bundle whose confidence was calibrated"):
        model.confidence.least(0.1)


# --- falling back ---


def test_the_confidence_of_a_text_is_the_calibrator_of_its_own_cosine(toy: Path, tmp_path: Path) -> None:
    other = {"kind": "isotonic", "knots": [[-1.0, 0.1], [1.0, 0.3]]}
    model = open_at_32_bits(
        write_calibrated(toy, tmp_path / "out", caption=LOGISTIC, answer=other, caption_queries=["Describe it."])
    )
    scratch = Scratch(model.bundle)
    seen = model.embed_video(picture(RED))
    text = model.decode_text(seen)
    cosine = float(scratch.embed_text(text) @ seen)
    for query in ("What is happening?", "", "Describe it."):
        words = model.confidence.say(model.text, seen, query, 0.0)
        assert (words.text, words.wording) == (text, "specific")
        assert words.confidence == pytest.approx(1 / (1 + math.exp(-(4 * cosine - 1))), abs=1e-5)
    asked = model.confidence.say(model.text, seen, "What colour is it?", 0.0)
    assert asked.confidence == pytest.approx(0.2 + 0.1 * cosine, abs=1e-5)


def test_a_text_gives_way_to_the_nearest_general_sentence_and_then_to_none(toy: Path, tmp_path: Path) -> None:
    low = {**LOGISTIC, "offset": -3.0}
    model = open_at_32_bits(write_calibrated(toy, tmp_path / "out", general=GENERAL, caption=low, answer=low))
    seen = model.embed_video(picture(RED))
    cosines = model.embed_text(GENERAL) @ seen
    chance = 1 / (1 + math.exp(-4 * float(cosines.max())))
    specific = model.confidence.say(model.text, seen, "", 0.0).confidence
    assert specific is not None and specific < chance, "or the general sentence is never needed"

    def say(least: float, query: str = "") -> tuple[str, float, str]:
        words = model.confidence.say(model.text, seen, query, least)
        assert words.confidence is not None
        return words.text, words.confidence, words.wording

    decoded = model.decode_text(seen)
    assert say(specific) == (decoded, specific, "specific")
    text, sure, wording = say(specific + 1e-6)
    assert (text, wording) == (GENERAL[int(cosines.argmax())], "general")
    assert sure == pytest.approx(chance, abs=2e-3)  # the sentences are kept in 16 bits
    assert say(sure)[2] == "general"
    assert say(sure + 1e-6) == ("", specific, "none")
    assert say(specific + 1e-6, "What colour is it?") == ("", specific, "none"), "no general sentence answers that"


def test_the_manifest_says_from_where_on_a_text_is_shown(toy: Path, tmp_path: Path) -> None:
    model = open_at_32_bits(write_calibrated(toy, tmp_path / "out", caption=LOGISTIC, min_confidence=0.7))
    assert model.confidence.least(None) == 0.7 and model.confidence.least(0.2) == 0.2


# --- the files of general sentences ---


def npy(array: np.ndarray[Any, Any], version: tuple[int, int] = (1, 0)) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version, allow_pickle=True)
    return file.getvalue()


HALVES = np.ones((3, 16), np.float16)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("texts/general.npy", b"\x93NUMPY", "not a .npy file"),
        ("texts/general.npy", b"PK\x03\x04" * 20, "not a .npy file"),
        ("texts/general.npy", npy(HALVES, (2, 0)), "version"),
        ("texts/general.npy", npy(HALVES)[:-2], "float16"),
        ("texts/general.npy", npy(HALVES) + b"xx", "float16"),
        ("texts/general.npy", npy(HALVES.astype(np.float32)), "float16"),
        ("texts/general.npy", npy(np.asfortranarray(HALVES)), "float16"),
        ("texts/general.npy", npy(np.array([[{}]], object)), "float16"),
        ("texts/general.npy", npy(HALVES).replace(b"(3, 16)", b"(9999999999999, 99999)", 1), "not a .npy|float16"),
        ("texts/general.npy", npy(HALVES[:2]), r"shape \[3, 16\], got \[2, 16\]"),
        ("texts/general.npy", npy(HALVES * [[1], [0], [1]]).replace(b"<f8", b"<f2"), "float16"),
        ("texts/general.npy", npy(HALVES * np.float16(np.nan)), "finite"),
        ("texts/general.npy", npy(HALVES * np.float16(0)), "zero"),
        ("texts/general.txt", b"one\n\nthree", "no line empty"),
        ("texts/general.txt", b"\xff\xfe", "UTF-8"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else value[:20],
)
def test_general_sentences_that_can_not_be_read_are_refused_by_name(
    toy: Path, tmp_path: Path, name: str, data: bytes, said: str
) -> None:
    whole = Bundle.open(write_calibrated(toy, tmp_path / "whole", general=GENERAL, caption=LOGISTIC))
    files: dict[str, bytes | Path] = {entry: whole.read(entry) for entry in whole.manifest.entries()}
    files[name] = data
    manifest = whole.manifest.model_dump(mode="json", by_alias=True, exclude={"files", "created"})
    with pytest.raises(BundleError, match=said) as error:
        open_at_32_bits(write_bundle(tmp_path / "out", manifest, files))
    assert str(error.value).startswith(name)


def test_general_sentences_must_be_files_of_the_bundle(toy: Path, tmp_path: Path) -> None:
    entry = {"texts": "texts/general.txt", "embeddings": "texts/none.npy", "calibrator": LOGISTIC}
    manifest = json.loads((toy / "manifest.json").read_text()) | {"confidence": {"general": entry}}
    files: dict[str, bytes | Path] = {name: toy / name for name in Bundle.open(toy).manifest.entries()}
    with pytest.raises(BundleError, match=r"confidence\.general\.texts: texts/general\.txt is not among files"):
        write_bundle(tmp_path / "out", manifest, files)
