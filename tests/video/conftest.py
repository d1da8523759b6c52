"""What every test of video must leave behind: no thread that reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.video.threads import video_threads


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    yield
    assert video_threads() == []
