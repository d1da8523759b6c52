"""A head computes what it says, survives its file bit by bit, and nothing that is not a head becomes one."""

from __future__ import annotations

import io
import pickle
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.errors import HeadError, InputError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.perception.head import Head


def make_head(labels: tuple[str, ...] = ("door opens", "Übergang", "nothing"), width: int = 5, **changes: Any) -> Head:
    rng = np.random.default_rng(0)
    parts: dict[str, Any] = {
        "labels": labels,
        "weights": rng.normal(size=(len(labels), width)).astype(np.float32),
        "bias": rng.normal(size=len(labels)).astype(np.float32),
        "slope": 3.5,
        "offset": -1.25,
        "threshold": 0.6,
        "encoder": "0123456789abcdef" * 4,
        "model": "toy 0",
        "accuracy": 0.9,
        "spread": 0.05,
        "recall": np.linspace(0.8, 1, len(labels)),
        "clips": (10,) * len(labels),
    }
    return Head(**parts | changes)


def same(one: Head, two: Head) -> bool:
    return all(np.array_equal(getattr(one, item.name), getattr(two, item.name)) for item in fields(Head))


@given(st.integers(0, 99))
def test_probabilities_are_the_logistic_of_scores(seed: int) -> None:
    head = make_head()
    features = np.random.default_rng(seed).normal(size=(4, 5)).astype(np.float32) * 10.0 ** (seed % 5)
    scores = features.astype(np.float64) @ head.weights.astype(np.float64).T + head.bias
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-(3.5 * scores - 1.25)))
    found = head.probabilities(features)
    # Scores are float32: 1e-6 of a score of thousands moves a logit by 1e-2.
    np.testing.assert_allclose(found, expected, atol=1e-4 if np.abs(scores).max() < 1e2 else 1e-2)
    np.testing.assert_allclose(head.probabilities(features[0]), found[0], atol=1e-6)


def test_events_are_the_labels_that_are_reported() -> None:
    assert make_head().events == ("door opens", "Übergang")
    assert make_head(("a", " Background ")).events == ("a",)


@pytest.mark.parametrize("shape", [(4,), (2, 4), (2, 2, 5), ()])
def test_features_of_another_width_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"features must be \[N, 5\]"):
        make_head().probabilities(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ("a",)}, "labels must be 2 to 1000, got 1"),
        ({"labels": ("a", "a", "b")}, "must all differ"),
        ({"labels": ("a", " ", "b")}, "1 to 200 characters"),
        ({"labels": ("a", "b\n", "c")}, "printable"),
        ({"labels": ("nothing", "background", "Nothing")}, "one of the labels at least must be an event"),
        ({"weights": np.zeros((3, 5))}, "weights must be float32"),
        ({"weights": np.zeros((2, 5), np.float32)}, "weights must be"),
        ({"weights": np.zeros((3, 0), np.float32)}, "weights must be"),
        ({"weights": np.zeros(3, np.float32)}, "weights must be"),
        ({"weights": np.full((3, 5), np.nan, np.float32)}, "must be finite"),
        ({"bias": np.full(3, np.inf, np.float32)}, "must be finite"),
        ({"slope": -1.0}, "slope must be"),
        ({"slope": float("nan")}, "slope must be"),
        ({"offset": float("inf")}, "slope must be"),
        ({"threshold": 1.5}, "must be 0 to 1"),
        ({"accuracy": float("nan")}, "must be 0 to 1"),
        ({"recall": np.array([0.5, 2, 1])}, "must be 0 to 1"),
        ({"clips": (10, 10)}, "clips must be 3 counts"),
        ({"clips": (10, 0, 10)}, "clips must be 3 counts"),
        ({"encoder": "abc"}, "64 hex digits"),
        ({"model": ""}, "model must be"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_head(**changes)


def test_a_saved_head_is_the_same_head(tmp_path: Path) -> None:
    head = make_head()
    path = head.save(tmp_path / "my.head.npz")
    assert same(Head.load(path), head)
    assert path.stat().st_size < 5_000
    with pytest.raises(ValueError, match="read-only"):
        Head.load(path).weights[0, 0] = 1
    replace(head, threshold=0.7).save(path)
    assert Head.load(path).threshold == 0.7
    assert [item.name for item in tmp_path.iterdir()] == ["my.head.npz"]


def test_no_part_of_the_file_is_a_pickle(tmp_path: Path) -> None:
    path = make_head().save(tmp_path / "head.npz")
    with np.load(path, allow_pickle=False) as found:
        assert {name: found[name].dtype.kind for name in found.files} == {
            **dict.fromkeys(("format", "labels", "encoder", "model"), "U"),
            **dict.fromkeys(("weights", "bias", "calibration", "accuracy", "recall"), "f"),
            **dict.fromkeys(("version", "clips"), "i"),
        }


def rewrite(path: Path, **changes: Any) -> None:
    """Replace arrays of a head's file; None removes one."""
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files} | changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": None}, "holds no array 'format'"),
        ({"format": np.array("other")}, "is no head"),
        ({"version": np.array(2)}, "is a head of format 2, this version reads 1"),
        ({"weights": None}, "holds no array 'weights'"),
        ({"weights": np.zeros((3, 5))}, "weights must be float32"),
        ({"weights": np.zeros((3, 5), ">f4")}, "weights must be float32"),
        ({"weights": np.asfortranarray(np.ones((3, 5), np.float32))}, "is damaged"),
        ({"weights": np.zeros((3, 5), np.int32)}, "is int32 with 2 dimensions"),
        ({"weights": np.full((3, 5), np.nan, np.float32)}, "must be finite"),
        ({"labels": np.array(["a", "b"])}, "weights must be"),
        ({"labels": np.array([["a"]])}, "with 2 dimensions"),
        ({"labels": np.array([{}, 1], object)}, "is damaged"),
        ({"calibration": np.zeros(2)}, "does not hold a head"),
        ({"calibration": np.full(3, np.nan)}, "slope must be"),
        ({"accuracy": np.zeros(3)}, "does not hold a head"),
        ({"encoder": np.array(3)}, "is int64 with 0 dimensions"),
        ({"clips": np.array([1.0, 2, 3])}, "is float64"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_arrays_are_refused_by_name(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    path = make_head().save(tmp_path / "head.npz")
    rewrite(path, **changes)
    with pytest.raises(HeadError, match=said) as caught:
        Head.load(path)
    assert caught.value.file == str(path)


HEAD = make_head()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_is_an_error_or_no_damage(tmp_path: Path, data: st.DataObject) -> None:
    path = HEAD.save(tmp_path / "head.npz")
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 4))):
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        found = Head.load(path)
    except HeadError as error:
        assert str(path) in str(error)
    else:  # it was in a part that no reader looks at, a time stamp of the archive, say
        assert same(found, HEAD)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["weights", "labels", "calibration", "clips", "model"]))
def test_an_array_of_any_bytes_is_an_error(tmp_path: Path, raw: bytes, name: str) -> None:
    path = HEAD.save(tmp_path / "head.npz")
    with zipfile.ZipFile(path) as file:
        members = {info.filename: file.read(info) for info in file.infolist()}
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 1 << 20)})
    for content in (raw, header.getvalue() + raw, pickle.dumps(raw)):
        with zipfile.ZipFile(path, "w") as file:
            for member, kept in members.items():
                file.writestr(member, content if member == f"{name}.npy" else kept)
        with pytest.raises(HeadError, match=f"array '{name}' is damaged"):
            Head.load(path)


def test_what_is_no_file_of_a_head_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "array.npy", np.zeros(3))
    huge = tmp_path / "huge.npz"
    with huge.open("wb") as file:
        file.truncate(1 << 27)
    for name, said in (
        ("none.npz", "can't be read: No such file"),
        (".", "can't be read"),
        ("text.npz", "is no .npz that can be read"),
        ("array.npy", "is no .npz that can be read"),
        ("huge.npz", "is larger than any head"),
    ):
        with pytest.raises(HeadError, match=said):
            Head.load(tmp_path / name)
    with pytest.raises(InputError, match="path must be a path"):
        Head.load(3)  # type: ignore[arg-type]
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("format.npy", bytes(1 << 27))
    with pytest.raises(HeadError, match="is larger than 64 MiB"):
        Head.load(bomb)


def test_a_head_of_another_encoder_is_refused(model: Model, tmp_path: Path) -> None:
    head = make_head(width=264, encoder=encoder_digest(model.manifest))
    head.check_encoder(model)
    other = load(write_toy_bundle(tmp_path / "other", seed=1), threads=1, precision="f32")
    with pytest.raises(HeadError, match="taught with the X-encoder of toy 0, toy 0 has another"):
        head.check_encoder(other)
