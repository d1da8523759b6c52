"""Which threads read video."""

from __future__ import annotations

import threading


def video_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("video ")]
