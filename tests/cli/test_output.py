"""What commands print for programs is JSON that every reader takes."""

from __future__ import annotations

import json
import math
import warnings

import pytest

from tests.cli.conftest import Vljepa
from vljepa_edge.cli.output import print_json, reporting, video_warnings, warnings_shown
from vljepa_edge.errors import VideoWarning
from vljepa_edge.support.json_numbers import number


def test_json_has_no_negative_zero_no_nan_and_no_infinity(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": -0.0, "b": [math.nan, {"c": math.inf}], "d": (-math.inf, 1.5), "e": "-0.0", "f": True, "g": 3})
    said = capsys.readouterr().out
    assert said == '{"a": 0.0, "b": [null, {"c": null}], "d": [null, 1.5], "e": "-0.0", "f": true, "g": 3}\n'


@pytest.mark.parametrize(
    ("value", "expected"), [(-0.00001, "0.0"), (-0.0, "0.0"), (None, "null"), (math.nan, "null"), (1 / 3, "0.3333")]
)
def test_a_rounded_number_is_one_that_json_holds(value: float | None, expected: str) -> None:
    assert json.dumps(number(value)) == expected


def test_a_progress_bar_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with reporting("embedding labels") as report:
        report(1, 2)
        report(2, 2)
    assert capsys.readouterr() == ("", "")


def test_a_log_on_a_full_disk_ends_no_command_and_changes_no_status(
    vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("builtins.print", full)
    with warnings_shown():
        warnings.warn(VideoWarning("cut off"), stacklevel=1)
        assert video_warnings() == {"warnings": ["cut off"]}
    assert vljepa("stream", "nosuch.mp4").status == 2
