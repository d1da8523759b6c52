"""The fuzzer accepts success and a VLJepaError, and stops at anything else with what repeats it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fuzz.__main__ import PARTS, run
from tests.fuzz._damage import damaged_bytes, damaged_json
from vljepa_edge.errors import BundleError


class PanicException(BaseException):
    """As Rust's, no Exception."""


def raising(
    *errors: BaseException | None,
) -> Callable[[random.Random, Path], Iterator[tuple[str, Callable[[], object]]]]:
    def cases(rng: random.Random, folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
        for error in errors:

            def call(error: BaseException | None = error) -> None:
                if error is not None:
                    raise error

            yield "file.bin", call

    return cases


def test_success_and_typed_errors_are_counted(tmp_path: Path) -> None:
    counts = run("bundle", raising(None, BundleError("a", "b"), None), 0, 9, tmp_path)
    assert counts == {"succeeded": 2, "refused": 1}


@pytest.mark.parametrize("error", [ValueError("no"), OverflowError(), MemoryError(), PanicException("index")])
def test_any_other_error_is_a_fault_with_its_seed(
    error: BaseException, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bundle", raising(None, error, None), 7, 9, tmp_path) is None
    said = capsys.readouterr().out
    assert f"bundle: case 1 of seed 7, file.bin, kept in {tmp_path}" in said and type(error).__name__ in said


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("bundle", raising(KeyboardInterrupt()), 0, 9, tmp_path)


def test_a_seed_gives_the_same_damage_each_time() -> None:
    value = {"a": [1, {"b": "text"}], "c": {}}
    first, again = ([damaged_json(value, rng) for _ in range(200)] for rng in (random.Random(3), random.Random(3)))
    assert first == again and len(set(first)) > 50
    first, again = (
        [damaged_bytes(b"0123456789", rng) for _ in range(200)] for rng in (random.Random(3), random.Random(3))
    )
    assert first == again and len(set(first)) > 50
    assert damaged_bytes(b"", random.Random(0)) is not None


def test_the_parts_are_the_files_of_the_folder() -> None:
    assert {"bundle", "index"} <= set(PARTS) and not any(part.startswith("_") for part in PARTS)
