"""Where the original of every photograph and clip is: repository, commit, path and SHA-256. Facts alone, no content.

`originals.csv.xz` has a line an item: set, file (below the set's folder), repo, commit, path, sha256, split (as the
data set has it), licence, outcome (of a robot's attempt, where its source says it).
"""

from __future__ import annotations

import csv
import lzma
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

HOST = "https://raw.githubusercontent.com"


@dataclass(frozen=True)
class Address:
    """A file of a public repository at a commit. sha256: of its bytes, in hexadecimal digits."""

    repo: str
    commit: str
    path: str
    sha256: str

    def url(self, host: str = HOST) -> str:
        """Where it can be had."""
        return f"{host}/{self.repo}/{self.commit}/{quote(self.path)}"


@dataclass(frozen=True)
class Original:
    """A photograph or clip. file: its place below the folder of its set. split, outcome: "" where there is none."""

    set: str
    file: str
    address: Address
    split: str
    licence: str
    outcome: str


def originals(sets: Iterable[str]) -> tuple[Original, ...]:
    """All of these sets, in the order of the list."""
    names = set(sets)
    return tuple(one for one in _all() if one.set in names)


@cache
def _all() -> tuple[Original, ...]:
    with lzma.open(Path(__file__).with_name("originals.csv.xz"), "rt", encoding="utf-8", newline="") as lines:
        return tuple(
            Original(
                row["set"],
                row["file"],
                Address(row["repo"], row["commit"], row["path"], row["sha256"]),
                row["split"],
                row["licence"],
                row["outcome"],
            )
            for row in csv.DictReader(lines)
        )
