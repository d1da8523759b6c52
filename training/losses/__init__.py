"""What a training brings down: pure functions of predicted and target embeddings, (B, E) each.

`info_nce` is the paper's (section 3): a kernel on a GPU, PyTorch elsewhere, in blocks where it is large. The others are
the alternatives that the paper names. `cosine`, `l1` and `l2` are means over rows. `vicreg` and `sigreg` look at the
distribution of the batch, so that under data parallelism they want the rows of all ranks, see `training.gather`.
"""

from vljepa_edge.kernels.ops.info_nce import info_nce
from vljepa_edge.training.losses.alignment import cosine, l1, l2
from vljepa_edge.training.losses.sigreg import sigreg
from vljepa_edge.training.losses.vicreg import vicreg

__all__ = ["cosine", "info_nce", "l1", "l2", "sigreg", "vicreg"]
