"""How many items the published files of benchmarks have: an excerpt or a download that was cut off has fewer."""

from __future__ import annotations

from collections.abc import Mapping

ITEMS: Mapping[str, int] = {
    "ssv2": 24_777,
    "epic_kitchens_100": 9_668,
    "kinetics400": 19_906,
    "coin_tasks": 2_797,
    "crosstask_steps": 2_852,
    "crosstask_tasks": 360,
    "msrvtt": 1_000,
    "activitynet": 4_917,
    "didemo": 1_004,
    "msvd": 670,
    "youcook2": 3_349,
    "dream1k": 1_000,
    "pope": 9_000,
    "sugarcrepe_pp": 4_757,
    "visla": 1_613,
}
"""By benchmark, of those whose files were counted, and of COIN what its authors say."""
