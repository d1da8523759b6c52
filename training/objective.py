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
from torch.distributed.tensor import DTensor

from vljepa_edge.errors import InputError
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training import losses
from vljepa_edge.training.batch import Batch, Tokens, TokenStates
from vljepa_edge.training.config import Stage
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.optim import multiplier


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
    """The model as a stage trains it. frozen: names of the model's parameters that no stage trains."""

    def __init__(self, model: VLJepa, *, averages: bool = False) -> None:
        """averages: whether a stage takes targets from a moving average of the Y-encoder. It is made here, since what
        FSDP2 has sharded can't be copied."""
        super().__init__()
        self.model = model
        self.average: nn.Module | None = None
        if averages:
            self.average = copy.deepcopy(model.y_encoder).requires_grad_(False).eval()
        self._averaging = False
        self.classes: Tokens | Tensor | None = None
        self._stage: Stage | None = None
        self.frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        self._still: list[nn.Module] = []

    def begin(self, stage: Stage, classes: Batch | None) -> Tensor | None:
        """Set up for a stage: what is trained, and where targets come from. classes: their texts as targets; returns
        their keys."""
        self._stage, self.classes = stage, None if classes is None else classes.target
        for name, parameter in self.model.named_parameters():
            off = name.startswith("y_decoder.") or (stage.y_encoder == "frozen" and name.startswith("y_encoder."))
            off = off or multiplier(name, stage.multipliers) == 0
            parameter.requires_grad_(name not in self.frozen and not off)
        self._still = [module for module in self.model.modules() if _keeps_statistics(module)]
        if stage.y_encoder == "frozen":
            self._still.append(self.model.y_encoder)
        self._averaging = stage.y_encoder == "ema"
        self.update_average(0.0)
        return None if classes is None else classes.keys

    def forward(self, batch: Batch) -> Embeddings:
        """Embeddings of a batch, or of a chunk of one."""
        model = self.model
        query, query_mask = query_of(batch)
        predicted = model.predict(batch.video, query, query_mask)
        online = None
        target = model.encode_text(*_text(batch.target))
        if self._averaging:
            assert self.average is not None
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

    def loss(self, found: Embeddings, rows: Rows, gather: Gathering, step: int) -> Tensor:
        """See `stage_loss`."""
        assert self._stage is not None  # it has begun
        return stage_loss(found, rows, self._stage, gather, step)

    def stepped(self) -> None:
        """After a step that was taken."""
        assert self._stage is not None
        self.model.bound_temperature()
        self.update_average(self._stage.ema)

    def measures(self) -> dict[str, float]:
        """For the log of a step."""
        scale = self.model.log_scale
        whole = scale.full_tensor() if isinstance(scale, DTensor) else scale
        return {"scale": float(whole.detach().exp())}

    @torch.no_grad()
    def update_average(self, decay: float) -> None:
        """Move the average of the Y-encoder after a step: average = decay * average + (1 - decay) * Y-encoder."""
        if not self._averaging:
            return
        if self.average is None:
            raise InputError("a stage with a moving average of the Y-encoder needs a Trainee that was made with one")
        for own, now in zip(self.average.parameters(), self.model.y_encoder.parameters(), strict=True):
            own.lerp_(now.detach(), 1 - decay)

    def train(self, mode: bool = True) -> Trainee:
        """As of nn.Module, but the average of the Y-encoder stays in evaluation, and so does the Y-encoder where the
        stage freezes it, since dropout would move the targets; so do norms that the stage doesn't train: else their
        statistics would follow its data."""
        super().train(mode)
        for module in self._still:
            module.eval()
        if self.average is not None:
            self.average.eval()
        return self


def _keeps_statistics(module: nn.Module) -> bool:
    """Whether it is a norm with running statistics whose weights aren't trained."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in module.parameters())


def _text(texts: Tokens | Tensor) -> tuple[Tensor, Tensor | None]:
    return (texts.ids, texts.mask) if isinstance(texts, Tokens) else (texts, None)


def query_of(batch: Batch) -> tuple[Tensor | None, Tensor | None]:
    """What `VLJepa.predict` takes: ids or states, and their mask."""
    query = batch.query
    if query is None:
        return None, None
    return (query.states, query.mask) if isinstance(query, TokenStates) else (query.ids, query.mask)


class Rows(NamedTuple):
    """What the loss knows of a batch's rows beside their embeddings, see `Batch`. labels (B,): the class of each, where
    the objective is to classify."""

    keys: Tensor
    also: Tensor | None
    negative_mask: Tensor | None
    labels: Tensor | None

    @classmethod
    def of(cls, batch: Batch, class_keys: Tensor | None) -> Rows:
        """Of a complete batch. class_keys (C,): of the classes' texts. Raises InputError for a text that is no
        class."""
        mask = None if batch.negatives is None else batch.negatives.mask
        labels = None
        if class_keys is not None:
            same = batch.keys[:, None] == class_keys.to(batch.keys.device)
            if not bool(same.any(1).all()):
                row = int((~same.any(1)).nonzero()[0])
                raise InputError(f"each text must be one of the stage's classes; that of {batch.names[row]} is not")
            labels = same.int().argmax(1)
        return cls(batch.keys, batch.also, mask, labels)


def stage_loss(found: Embeddings, rows: Rows, stage: Stage, gather: Gathering, step: int) -> Tensor:
    """This rank's loss of a step, whose mean over ranks is the loss of all rows. Collective: every rank calls it.

    found: of all this rank's rows. step: of the run, from which SIGReg's directions come.
    """
    if found.logits is not None:
        assert rows.labels is not None  # both come with the stage's classes
        return F.cross_entropy(found.logits, rows.labels) * gather.share
    total = found.predicted.new_zeros(())
    for term in stage.loss:
        if found.online is None:
            value = _term(term.kind, found.predicted, found.target, found, rows, gather, step)
        else:  # the average gives targets to the predictor, and the predictor gives them to the trained Y-encoder
            seen = _term(term.kind, found.predicted, found.target, found, rows, gather, step)
            said = _term(term.kind, found.predicted.detach(), found.online, found, rows, gather, step)
            value = (seen + said) / 2
        total = total + term.weight * value
    return total


def _term(
    kind: str, predicted: Tensor, target: Tensor, found: Embeddings, rows: Rows, gather: Gathering, step: int
) -> Tensor:
    if kind == "info_nce":
        several = len(gather.counts) > 1
        all_also = gather.padded(rows.also, rows.keys)
        loss: Tensor = losses.info_nce(
            predicted, target, found.scale, rows.keys, None if all_also is None else gather.own(all_also),
            found.negatives, rows.negative_mask,
            all_predicted=gather(predicted) if several else None, all_target=gather(target) if several else None,
            all_keys=gather(rows.keys) if several else None, all_also=all_also if several else None,
            offset=gather.offset,
        )  # fmt: skip
        return loss * gather.share
    if kind in ("vicreg", "sigreg"):  # of all rows' distribution; scaled so, channels of unit rows can deviate by 1
        width = predicted.shape[1] ** 0.5
        spread = gather(predicted) * width, gather(target) * width
        return losses.vicreg(*spread) if kind == "vicreg" else losses.sigreg(*spread, step)
    distance = {"cosine": losses.cosine, "l1": losses.l1, "l2": losses.l2}[kind]
    return distance(predicted, target) * gather.share


def class_texts(stage: Stage, collate: Collate, device: torch.device) -> Batch | None:
    """The stage's classes as a batch of targets without video; None for another objective."""
    classes = stage.objective.classes
    if classes is None:
        return None
    samples = [Sample(key=text, media="", target=text) for text in classes]
    return collate(samples, torch.zeros(len(classes), 1, 1, 1, 3, dtype=torch.uint8)).to(device)
