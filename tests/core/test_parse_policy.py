"""The text form of policies, `name:key=value,key=value`."""

from __future__ import annotations

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.errors import InputError
from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform, parse_policy

seconds = st.floats(0, 86400)
policies = st.one_of(
    st.builds(Uniform, period=st.floats(0, 86400, exclude_min=True)),
    st.builds(
        LocalVariance,
        threshold=st.floats(0, 1, exclude_min=True),
        window=st.integers(2, 1024),
        smooth=st.integers(1, 1024),
        min_duration=seconds,
    ),
    st.builds(
        RunningWard,
        threshold=st.floats(0, 4, exclude_min=True),
        smooth=st.integers(1, 1024),
        min_duration=st.floats(0, 100),
        max_duration=st.one_of(st.just(math.inf), st.floats(101, 86400)),
        back=st.floats(0, 1, exclude_min=True),
    ),
    st.builds(Budget, per_minute=st.floats(0, 6000, exclude_min=True), burst=st.integers(1, 1024)),
)


@given(policies)
def test_round_trip(policy: Policy) -> None:
    assert parse_policy(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("uniform", Uniform(period=1.0)),
        ("uniform:period=2", Uniform(2)),
        ("running-ward:threshold=0.3", RunningWard(threshold=0.3)),
        (" running-ward : threshold = .2 , max_duration = inf ", RunningWard(threshold=0.2)),
        ("running-ward:smooth=2,threshold=1e-1", RunningWard(0.1, smooth=2)),
        ("local-variance:window=4", LocalVariance(window=4)),
        ("budget:per_minute=6,burst=3", Budget(6, burst=3)),
        ("running-ward:back=0.5", RunningWard(back=0.5)),
    ],
)
def test_forms_that_are_read(text: str, policy: Policy) -> None:
    assert parse_policy(text) == policy
    assert parse_policy(policy) is policy


def test_the_text_shows_what_matters() -> None:
    assert str(RunningWard()) == "running-ward:threshold=0.3"
    assert str(LocalVariance(window=4)) == "local-variance:threshold=0.15,window=4"
    assert str(Uniform(2)) == "uniform:period=2.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ward", "policy must be one of uniform, local-variance, running-ward, budget, e.g. running.*, got 'ward'"),
        ("", "policy must be one of .*, got ''"),
        ("running-ward:limit=1", "a key must be one of threshold, smooth, min_duration, max.*, got 'limit'"),
        ("running-ward:threshold", "threshold must be a number, above 0 and at most 4.*, got ''"),
        ("running-ward:threshold=high", "threshold must be a number, above 0 and at most 4.*, got 'high'"),
        ("running-ward:threshold=0", r"threshold must be a number, above 0 and at most 4.*, got 0.0"),
        ("running-ward:threshold=nan", "threshold must be .*, got nan"),
        ("running-ward:threshold=inf", "threshold must be .*, got inf"),
        ("running-ward:min_duration=2,max_duration=2", "use more than min_duration, 2.0 seconds"),
        ("running-ward:max_duration=-1", "above 0 and at most 86400 seconds, or inf"),
        ("local-variance:window=1", "window must be an integer, 2 to 1024 hops, got 1"),
        ("local-variance:smooth=1.5", "smooth must be an integer, 1 to 1024 hops, got '1.5'"),
        ("running-ward:back=1.1", "back must be a number, above 0 and at most 1, a share of the threshold, got 1.1"),
        ("budget:per_minute=0", "per_minute must be a number, above 0 and at most 6000 segments a minute, got 0.0"),
        ("budget:burst=0", "burst must be an integer, 1 to 1024 segments, got 0"),
        ("budget:threshold=0.3", "a key must be one of per_minute, burst, least, .*, got 'threshold'"),
        ("uniform:period=1,period=2", "period is given twice"),
        ("uniform:period=1,", "a key must be one of period, each as key=value, got ''"),
    ],
)
def test_what_is_refused_names_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_policy(text)


@given(st.text())
def test_any_text_is_a_policy_or_an_input_error(text: str) -> None:
    for form in (text, f"running-ward:{text}", f"uniform:period={text}"):
        with suppress(InputError):
            parse_policy(form)


@pytest.mark.parametrize("value", [True, "0.3", None, math.nan, -1, 5])
def test_numbers_are_checked_in_python_too(value: float) -> None:
    with pytest.raises(InputError, match="running-ward: threshold"):
        RunningWard(threshold=value)


def test_numpy_numbers_become_plain_ones() -> None:
    policy = LocalVariance(threshold=np.float64(0.5), window=np.int64(3))
    assert str(policy) == "local-variance:threshold=0.5,window=3"
    assert hash(policy) == hash(LocalVariance(0.5, window=3))
