"""A fault that stays says so without filling the disk, and hides no other fault."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from vljepa_edge.errors import EngineError
from vljepa_edge.support.repeats import PERIOD, Repeats


class Log:
    """What is logged, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.records: list[logging.LogRecord] = []
        self._logger = logging.Logger("repeats")
        handler = logging.Handler()
        handler.emit = self.records.append  # type: ignore[method-assign]
        self._logger.addHandler(handler)
        self.repeats = Repeats(self._logger, logging.WARNING, lambda: self.now)

    def fail(self, text: str) -> None:
        try:
            raise EngineError(text)
        except EngineError as error:
            self.repeats.log("a frame failed", error)

    def said(self) -> Iterator[tuple[str, bool]]:
        """Each text, and whether a traceback is with it."""
        return ((record.getMessage(), record.exc_info is not None) for record in self.records)


@pytest.fixture
def log() -> Log:
    return Log()


def test_the_first_is_logged_in_full_and_then_a_count_a_minute(log: Log) -> None:
    for _ in range(4 * 60 * 60):  # an hour, four a second
        log.fail("broken")
        log.now += 0.25
    first, *others = log.said()
    assert first == ("a frame failed: broken", True)
    assert others == [("a frame failed: broken (240 more in 60 s)", False)] * 59


def test_an_error_that_comes_back_after_a_minute_is_logged_in_full(log: Log) -> None:
    for _ in range(3):
        log.fail("broken")
        log.now += PERIOD + 1
    assert list(log.said()) == [("a frame failed: broken", True)] * 3


def test_another_error_is_not_hidden_by_one_that_goes_on(log: Log) -> None:
    for text in ("first", "first", "unusable", "first", "unusable"):
        log.fail(text)
        log.now += 1
    assert list(log.said()) == [("a frame failed: first", True), ("a frame failed: unusable", True)]


def test_errors_that_all_differ_are_bounded_too(log: Log) -> None:
    for number in range(4 * 60 * 10):
        log.fail(f"at frame {number}")
        log.now += 0.25
    assert len(log.records) < 110
    assert sum(full for _, full in log.said()) < 100
