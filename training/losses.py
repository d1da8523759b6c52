"""Bidirectional InfoNCE (section 3 of the paper): a kernel on a GPU, PyTorch elsewhere, in blocks where it is large."""

from vljepa_edge.kernels.ops.info_nce import info_nce

__all__ = ["info_nce"]
