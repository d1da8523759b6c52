"""The soak of tests/soak/ends.py once; by hand it runs 200 times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soak.ends import WAYS, run, write_film


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_program_ends_well(way: str, toy: Path, tmp_path: Path) -> None:
    assert run(way, str(toy), write_film(tmp_path / "film.mp4"), pause=0.05) == ""
