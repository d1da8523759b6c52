"""The NumPy policy that the C++ one is timed against does the same."""

import numpy as np
import pytest

from benchmarks.policy_push import NumpyRunningWard, embeddings
from vljepa_edge.streaming.policy import RunningWard


@pytest.mark.parametrize(("threshold", "min_duration"), [(0.3, 0.5), (0.1, 0.0), (0.05, 1.0)])
@pytest.mark.parametrize("scene", [3, 40])
def test_it_opens_segments_where_the_core_does(threshold, min_duration, scene):
    rows = embeddings(400, 24, scene)
    core = RunningWard(threshold=threshold, min_duration=min_duration).start(24)
    peer = NumpyRunningWard(24, threshold, min_duration)
    ours = [core.push(row, 0.25 * i).opened for i, row in enumerate(rows)]
    assert ours == [peer.push(row, 0.25 * i) for i, row in enumerate(rows)]
    assert sum(ours) > 1


def test_embeddings_are_unit_rows():
    rows = embeddings(10, 8)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, rtol=1e-6)
