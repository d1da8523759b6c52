"""The NumPy policies that the C++ ones are timed against do the same."""

import numpy as np
import pytest

from benchmarks.policy_push import NumpyLocalVariance, NumpyRunningWard, embeddings
from vljepa_edge.streaming.policy import LocalVariance, RunningWard


@pytest.mark.parametrize(("threshold", "min_duration"), [(0.3, 0.5), (0.1, 0.0), (0.05, 1.0)])
@pytest.mark.parametrize("scene", [3, 40])
def test_it_opens_segments_where_the_core_does(threshold, min_duration, scene):
    rows = embeddings(400, 24, scene)
    core = RunningWard(threshold=threshold, min_duration=min_duration).start(24)
    peer = NumpyRunningWard(24, threshold, min_duration)
    ours = [core.push(row, 0.25 * i).opened for i, row in enumerate(rows)]
    assert ours == [peer.push(row, 0.25 * i) for i, row in enumerate(rows)]
    assert sum(ours) > 1


@pytest.mark.parametrize(
    ("threshold", "window", "smooth", "min_duration"), [(0.15, 8, 2, 0.5), (0.1, 4, 1, 0.0), (0.05, 3, 3, 1.0)]
)
def test_local_variance_opens_segments_where_the_core_does(threshold, window, smooth, min_duration):
    rows = embeddings(3000, 24, 7)
    policy = LocalVariance(threshold, window, smooth, min_duration)
    core, peer = policy.start(24), NumpyLocalVariance(policy, 0.25)
    ours = [core.push(row, 0.25 * i).opened for i, row in enumerate(rows)]
    assert ours == [peer.push(row, 0.25 * i) for i, row in enumerate(rows)]
    assert sum(ours) > 100


def test_embeddings_are_unit_rows():
    rows = embeddings(10, 8)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
