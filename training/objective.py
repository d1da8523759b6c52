"""What a stage trains: the model with its objective around it, from a batch to the loss.

The forward pass and the loss are two steps, since the loss is over all rows of all ranks while the forward pass sees a
chunk of them (GradCache). Everything that needs parameters is in `Trainee.forward`, so that FSDP has them at hand.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.batch import Batch, Tokens, TokenStates
from vljepa_edge.training.config import Stage


class Embeddings(NamedTuple):
    """Rows of a batch in the shared space, unit norm, fp32.

    predicted, target (B, E). online (B, E): of the trained Y-encoder where `target` is of its moving average. negatives
    (B, K, E): of more wrong texts. logits (B, C): scores of the classes where the objective is to classify. scale (1,):
    the inverse temperature.
    """

    predicted: Tensor
    target: Tensor
    scale: Tensor
    online: Tensor | None = None
    negatives: Tensor | None = None
    logits: Tensor | None = None


class Trainee(nn.Module):
    """The model as a stage trains it. classes: token ids of the classes' texts, for the objective `classify`."""

    def __init__(self, model: VLJepa) -> None:
        super().__init__()
        self.model = model
        self.average: nn.Module | None = None
        self.classes: Tokens | None = None
        self._frozen = {name for name, p in model.named_parameters() if not p.requires_grad}

    def begin(self, stage: Stage, classes: Tokens | None) -> None:
        """Set up for a stage: what is trained, and where targets come from."""
        self.classes = classes
        for name, parameter in self.model.named_parameters():
            off = name.startswith("y_decoder.") or (stage.y_encoder == "frozen" and name.startswith("y_encoder."))
            parameter.requires_grad_(name not in self._frozen and not off)
        if stage.y_encoder == "ema":
            self.average = copy.deepcopy(self.model.y_encoder).requires_grad_(False).eval()
        else:
            self.average = None

    def forward(self, batch: Batch) -> Embeddings:
        """Embeddings of a batch, or of a chunk of one."""
        model = self.model
        query, query_mask = _query(batch)
        predicted = model.predict(batch.video, query, query_mask)
        online = None
        target = model.encode_text(*_text(batch.target))
        if self.average is not None:
            online = target
            with torch.no_grad():
                texts, mask = _text(batch.target)
                target = self.average.embed(texts) if mask is None else self.average(texts, mask)  # type: ignore[operator]
        negatives = None
        if batch.negatives is not None:
            rows, most = batch.negatives.mask.shape
            negatives = model.encode_text(*_text(batch.negatives.texts)).reshape(rows, most, -1)
        scale, logits = model.scale(), None
        if self.classes is not None:
            logits = scale * predicted @ model.encode_text(*_text(self.classes)).T
        return Embeddings(predicted, target, scale, online, negatives, logits)

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average of the Y-encoder after a step: average = decay * average + (1 - decay) * Y-encoder."""
        if self.average is None:
            return
        for own, now in zip(self.average.parameters(), self.model.y_encoder.parameters(), strict=True):
            own.lerp_(now.detach(), 1 - decay)

    def train(self, mode: bool = True) -> Trainee:
        """As of nn.Module, but the average of the Y-encoder stays in evaluation."""
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self


def _text(texts: Tokens | Tensor) -> tuple[Tensor, Tensor | None]:
    return (texts.ids, texts.mask) if isinstance(texts, Tokens) else (texts, None)


def _query(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    query = batch.query
    if query is None:
        return None, None
    return (query.states, query.mask) if isinstance(query, TokenStates) else (query.ids, query.mask)


def class_labels(keys: Tensor, of_classes: Tensor) -> Tensor:
    """(B,) the place of each text's key among the classes' keys (C,); -1 where it is none of them."""
    same = keys[:, None] == of_classes
    return torch.where(same.any(1), same.int().argmax(1), -1)


def classify_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (B,) over the classes; 0 for a text that is none of them."""
    return F.cross_entropy(logits, labels, ignore_index=-1, reduction="none")
