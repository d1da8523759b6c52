"""What a run of tokens trains: a token predictor on a frozen model's features and queries (section 4.5 of the paper).

It goes through the same loop as the model itself: the same samples in the same order, steps, checkpoints, resuming.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.export.pytorch.checkpoint import ENDS, STARTS, special_token
from vljepa_edge.nn.config import LlamaStackConfig, TokenPredictorConfig
from vljepa_edge.nn.token_predictor import TokenPredictor
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.batch import Batch, Tokens
from vljepa_edge.training.config import Stage, TokenModel
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.objective import Rows, query_of
from vljepa_edge.training.optim import multiplier


class Answers(NamedTuple):
    """nll (B, 2): of each row the sum of its tokens' negative log likelihoods, and how many they are."""

    nll: Tensor


class TokenTrainee(nn.Module):
    """Batches must have the answers' tokens as targets, from the start to the end token. See `Trainee`."""

    def __init__(self, model: VLJepa, config: TokenModel, tokenizer: Tokenizer) -> None:
        """model: frozen, what it was begun with. Raises InputError for a `text` of other sizes."""
        super().__init__()
        self.model = model.requires_grad_(False).eval()
        self.frozen = {name for name, _ in model.named_parameters()}
        self.tokens = TokenPredictor(sizes(model, config, tokenizer))
        if config.text is not None:
            self._take(config.text)

    def begin(self, stage: Stage, classes: Batch | None) -> None:
        """Set up for a stage: what is trained. classes: there are none."""
        assert classes is None  # the config has looked
        for name, parameter in self.tokens.named_parameters(prefix="tokens"):
            parameter.requires_grad_(multiplier(name, stage.multipliers) > 0)

    def forward(self, batch: Batch) -> Answers:
        """Of a batch, or of a chunk of one."""
        assert isinstance(batch.target, Tokens)
        ids, counted = batch.target.ids, batch.target.mask[:, 1:].float()
        with torch.no_grad():
            streams = self.model.streams(batch.video)
            query, mask = query_of(batch)
            states = None if query is None else self.model.query_states(query, mask)
        logits = self.tokens(streams, ids[:, :-1], states, mask)
        nll = F.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none") * counted
        return Answers(torch.stack((nll.sum(1), counted.sum(1)), dim=1))

    def loss(self, found: Answers, rows: Rows, gather: Gathering, step: int) -> Tensor:
        """Mean over the tokens of all rows of all ranks, as `stage_loss`. rows, step: not needed."""
        said, counted = found.nll.unbind(1)
        return said.sum() * len(gather.counts) / gather(counted.detach()).sum()

    def stepped(self) -> None:
        """After a step that was taken: nothing is bounded or averaged."""

    def measures(self) -> dict[str, float]:
        """For the log of a step: none beside the loss."""
        return {}

    def train(self, mode: bool = True) -> TokenTrainee:
        """As of nn.Module, but what is frozen stays in evaluation."""
        super().train(mode)
        self.model.eval()
        return self

    def _take(self, text: str) -> None:
        try:
            missing, unknown = self.tokens.load_state_dict(load_file(text), strict=False)
        except RuntimeError as error:
            raise InputError(f"tokens.text {text} must be of the same sizes: {error}") from error
        lost = [name for name in missing if name.startswith(("stack.", "tokens."))]
        if lost or unknown:
            raise InputError(f"tokens.text {text} must have {lost[:3]} and not have {list(unknown)[:3]}")


def answering(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that puts each text between the start and the end token. Raises ExportError for a tokenizer without."""
    ids = [special_token(tokenizer, names) for names in (STARTS, ENDS)]
    start, end = (tokenizer.id_to_token(token) for token in ids)
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    copy.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=list(zip((start, end), ids, strict=True))
    )
    return copy


def sizes(model: VLJepa, config: TokenModel, tokenizer: Tokenizer) -> TokenPredictorConfig:
    """The token predictor's, for a model's streams and queries and a tokenizer's tokens."""
    predictor = model.config.predictor
    stack = LlamaStackConfig(
        config.hidden, config.layers, config.heads, config.heads, config.ffn,
        max_positions=predictor.stack.max_positions + config.max_tokens,
    )  # fmt: skip
    return TokenPredictorConfig(
        predictor.streams, predictor.query_dim, tokenizer.get_vocab_size(), stack, config.max_tokens, config.dropout
    )
