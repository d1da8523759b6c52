"""Amounts as people write them."""

from __future__ import annotations

import pytest

from vljepa_edge.errors import InputError
from vljepa_edge.support.amounts import seconds, size


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("1.5min", 90), ("12h", 43_200), ("7d", 604_800), ("2 w", 1_209_600)]
)
def test_times(text: str, expected: float) -> None:
    assert seconds(text, "--keep") == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("8KB", 8000), ("500MB", 5 * 10**8), ("0.5 GB", 5 * 10**8), ("1TB", 10**12)]
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text, "--keep-size") == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "0d", "1e3s", "7 days", "7m", "inf s", "١d", "7d\n", "1GiB"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="--keep must be a time such as 90s"):
        seconds(text, "--keep")
    with pytest.raises(InputError, match="--keep-size must be a size such as 500MB"):
        size(text, "--keep-size")
