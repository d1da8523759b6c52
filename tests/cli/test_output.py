"""What commands print for programs is JSON that every reader takes."""

from __future__ import annotations

import json
import math

import pytest

from vljepa_edge.cli.output import print_json, reporting
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
