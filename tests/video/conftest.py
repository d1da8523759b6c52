"""What every test of video must leave behind: no thread that reads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.video.threads import video_threads


@pytest.fixture(autouse=True)
def no_thread_stays() -> Iterator[None]:
    before = video_threads()  # of another file's tests, whose sources are still ending
    yield
    assert [thread for thread in video_threads() if thread not in before] == []
