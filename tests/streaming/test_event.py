"""An event as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from vljepa_edge import Event

EVENT = Event(
    status="open",
    start=-0.0,
    end=None,
    decided_at=1 / 3,
    text='a "dog"',
    embedding=np.ones(2, np.float32),
    change=math.nan,
    query="What?",
    segment=7,
    latency_ms={"total": 1.23456},
    confidence=0.123456,
    wording="specific",
)


def test_an_event_is_ready_for_json() -> None:
    assert json.dumps(EVENT.to_dict(), allow_nan=False) == (
        '{"status": "open", "start": 0.0, "end": null, "decided_at": 0.333333, "text": "a \\"dog\\"", '
        '"confidence": 0.1235, "wording": "specific", "reused": false, "change": null, "query": "What?", "segment": 7, '
        '"latency_ms": {"total": 1.235}}'
    )


def test_the_old_name_of_the_change_says_the_new_one() -> None:
    with pytest.raises(AttributeError, match=r"use Event\.change"):
        _ = EVENT.score
    assert not hasattr(EVENT, "score")


def test_people_read_why_there_is_no_text() -> None:
    withheld = replace(EVENT, text="", wording="none")
    assert withheld.words() == "(not sure)" and str(withheld) == "[-0.00 - ... s] (not sure)"
    assert replace(EVENT, text="", wording="none", confidence=None).words() == ""
    assert replace(withheld, status="stalled").words() == "(no frames)"
    assert EVENT.words() == 'a "dog"'
