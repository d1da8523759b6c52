"""What `vljepa eval selective` refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Vljepa
from tests.media import write_video


@pytest.mark.parametrize(
    ("option", "given", "why"),
    [
        ("--kinds", "", "kinds must be of everyday, drawn, got ''"),
        ("--kinds", "everyday,painted", "kinds must be of everyday, drawn, got 'everyday,painted'"),
        ("--noise", ",", "noise must be of low, middle, high, got ','"),
        ("--noise", "loud", "noise must be of low, middle, high, got 'loud'"),
    ],
)
def test_an_unknown_kind_or_level_is_refused(option: str, given: str, why: str, vljepa: Vljepa, tmp_path: Path) -> None:
    found = vljepa("eval", "selective", "--data", str(tmp_path), option, given)
    assert found.status == 2 and why in " ".join(found.err.split())


def test_a_folder_without_annotations_is_told_of_both_layouts(vljepa: Vljepa, tmp_path: Path) -> None:
    found = vljepa("eval", "selective", "--data", str(tmp_path), "--kinds", "everyday")
    assert found.status != 0 and "annotations.csv" in found.err and "data fetch everyday" in found.err


@pytest.mark.parametrize("kinds", ["everyday", "drawn"])
def test_a_folder_that_is_not_there_is_refused_whatever_is_shown(kinds: str, vljepa: Vljepa, tmp_path: Path) -> None:
    found = vljepa("eval", "selective", "--data", str(tmp_path / "typo"), "--kinds", kinds)
    assert found.status == 2 and "data must be a folder, got " in " ".join(found.err.split())


def test_a_video_of_a_single_hop_is_named(vljepa: Vljepa, tmp_path: Path) -> None:
    write_video(tmp_path / "blink.mp4", [np.zeros((32, 32, 3), np.uint8)], fps=10)
    (tmp_path / "annotations.csv").write_text("path,time,text\nblink.mp4,0,a blink\n")
    found = vljepa("eval", "selective", "--data", str(tmp_path))
    assert found.status != 0 and "blink" in found.err and "must last for 2 hops" in " ".join(found.err.split())
