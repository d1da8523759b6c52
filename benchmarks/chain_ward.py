"""Offline chain Ward (section 4.6 of the paper).

Peer: scikit-learn's AgglomerativeClustering with a chain as its connectivity.
"""

from __future__ import annotations

import numpy as np

from benchmarks.bench import THREADS, Bench, installed
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case, Samples
from benchmarks.policy_push import embeddings
from vljepa_edge import _core

LENGTHS = (720, 2000)
WIDTHS = (384, 1536)
SCENE = 40


def stages(bench: Bench) -> list[Stage]:
    return [_size(bench, length, width) for length in LENGTHS for width in WIDTHS]


def _size(bench: Bench, length: int, width: int) -> Stage:
    rows = embeddings(length, width, SCENE)
    segments = length // SCENE
    cases = [Case("C++ core", lambda: _core.chain_ward(rows, segments))]
    missing = installed("sklearn", "scipy")
    if missing is None:
        from scipy.sparse import diags
        from sklearn.cluster import AgglomerativeClustering

        chain = diags([1.0, 1.0], [-1, 1], shape=(length, length))

        def peer() -> np.ndarray:
            found = AgglomerativeClustering(segments, connectivity=chain, linkage="ward").fit(rows).labels_
            return np.flatnonzero(np.diff(found, prepend=-1))

        same = np.array_equal(peer(), _core.chain_ward(rows, segments))
        notes = (f"Both find {'the same' if same else 'different'} {segments} segments.",)
        cases.append(Case("scikit-learn", peer))
    else:
        notes = (f"scikit-learn: {missing}.",)
    title = f"chain Ward, {length} x {width}"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        limit = Limit(1e3 * rows.nbytes / bench.limits.memory[THREADS], "the rows through memory once")
        return Comparison(title, samples, limit, notes)

    return Stage(title, cases, tell, 0.25)
