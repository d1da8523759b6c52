"""These tests run Triton kernels as Python, in a process of their own: `test_tiers.py` starts it."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("TRITON_INTERPRET") == "1" else ["test_*.py"]

if os.environ.get("TRITON_INTERPRET") == "1":
    import torch

    from tests.kernels.interpreter import bf16, memory

    bf16.install()
    memory.install()
    torch.set_num_threads(1)
    # Fills what torch.empty returns with NaN, so that an output that is never written fails.
    torch.use_deterministic_algorithms(True)
