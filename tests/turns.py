"""Tests that run beside each other in several processes (pytest-xdist), but for those that measure time.

A test that is marked `alone` waits until no other test runs, and no other begins until it has ended.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parents[1] / "build" / "turns"


class Turns:
    """Locks of records, which a process that a test starts does not inherit."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._door, self._room = (os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600) for name in ("door", "room"))

    @contextmanager
    def of(self, alone: bool) -> Iterator[None]:
        """One turn. Whoever waits for an empty room holds the door, so that others can't keep it full."""
        fcntl.lockf(self._door, fcntl.LOCK_EX)
        try:
            fcntl.lockf(self._room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            fcntl.lockf(self._door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.lockf(self._room, fcntl.LOCK_UN)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """The test with its fixtures."""
        with self.of(item.get_closest_marker("alone") is not None):
            return (yield)


def take_turns(config: pytest.Config) -> None:
    """Of use where tests run in several processes: only there is one a worker."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Turns(_FOLDER))
