"""Predictor: vision tokens and query tokens in, the embedding of the target text out (section 3.1 of the paper).

Llama layers without a causal mask, so vision and query see each other; order vision, then query; mean over all tokens
that are not padding; a linear head to the shared space. A stream may carry features that already lie in the text
space (ConSE vectors: see ConceptConfig); those are led around the layers, and what the scene shows is matched with
the query, which is what lets a small predictor name, and be asked about, objects it was never trained on. Without a
`concept` this is the paper's predictor and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import takes_kernel
from vljepa_edge.kernels.ops.bidirectional_attention import padding_lengths
from vljepa_edge.kernels.ops.masked_mean_pool import embedding_tail, masked_mean_pool
from vljepa_edge.nn.config import ConceptConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.llama import LlamaStack


class StreamTokens(nn.Module):
    """One stream's features to tokens: mean over tubelets, the channels that are read, scale, Linear, positions."""

    def __init__(self, config: StreamConfig, hidden: int) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.channels or config.dim, hidden)
        if config.positions is not None:
            steps, regions = config.positions
            self.time = nn.Parameter(torch.randn(steps, 1, hidden) * 0.02)
            self.space = nn.Parameter(torch.randn(regions, hidden) * 0.02)

    def flat(self, features: Tensor) -> Tensor:
        """(B, T, R, dim) or (B, N, dim) -> (B, N, dim), frames of a tubelet averaged."""
        if not torch.onnx.is_in_onnx_export():
            self._check(features)
        if features.ndim == 3:
            return features
        if self.config.tubelet > 1:
            features = features.reshape(features.shape[0], -1, self.config.tubelet, *features.shape[2:]).mean(2)
        return features.flatten(1, 2)

    def forward(self, flat: Tensor) -> Tensor:
        """(B, N, dim) as `flat` returns it -> (B, N, hidden)."""
        if self.config.channels is not None:
            flat = flat[..., : self.config.channels]
        tokens: Tensor = self.project(flat * self.config.scale)
        if self.config.positions is not None:
            tokens = tokens + (self.time + self.space).flatten(0, 1)
        return tokens

    def _check(self, features: Tensor) -> None:
        name, dim, tubelet, positions = self.config.name, self.config.dim, self.config.tubelet, self.config.positions
        if features.ndim not in (3, 4) or features.shape[-1] != dim:
            raise InputError(f"stream {name!r} must be (B, N, {dim}) or (B, T, R, {dim}), not {tuple(features.shape)}")
        if features.ndim == 4 and features.shape[1] % tubelet:
            raise InputError(
                f"stream {name!r} has {features.shape[1]} frames, not a multiple of its tubelet of {tubelet}"
            )
        if positions is None:
            return
        if features.ndim == 4:
            found: tuple[int, ...] = (features.shape[1] // tubelet, features.shape[2])
            right = found == positions
        else:
            found = (features.shape[1],)
            right = features.shape[1] == positions[0] * positions[1]
        if not right:
            raise InputError(f"stream {name!r} has {found} steps and regions, but its positions are {positions}")


class Match(nn.Module):
    """Whether the scene holds what the query names: a question such as "Is there a dog?" is about their agreement.

    What the predictor says without a query, which is what its first stage was trained for, and the query are each a
    unit vector of the text space. Their product, summed in groups of channels and in all, is told to a small MLP that
    knows from the pooled tokens what is being asked, and shifts them. The layers themselves hardly learn that product.
    """

    groups = 8
    _SCALE = 10.0  # cosines of sentences lie within a few tenths of each other

    def __init__(self, query_dim: int, hidden: int, embedding: int) -> None:
        super().__init__()
        width = embedding - embedding % self.groups
        self.say = nn.Linear(embedding, width)
        self.ask = nn.Linear(query_dim, width)
        self.inner = nn.Linear(hidden + self.groups + 1, hidden)
        self.out = nn.Linear(hidden, hidden)
        for linear in (self.say, self.ask):
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, mean: Tensor, said: Tensor, query: Tensor, mask: Tensor | None) -> Tensor:
        """mean (B, hidden), said (B, embedding), query (B, L, query_dim), mask (B, L) or None -> (B, hidden), all 0
        where the query has no token."""
        valid = torch.ones_like(query[:, :, :1]) if mask is None else mask.to(query.dtype)[:, :, None]
        count = valid.float().sum(1)
        asked = self.ask((query * valid).float().sum(1) / count.clamp(min=1.0)).float()
        said = self.say(F.normalize(said.float(), dim=-1)).float()
        product = F.normalize(said, dim=-1) * F.normalize(asked, dim=-1) * self._SCALE
        parts = product.reshape(-1, self.groups, product.shape[-1] // self.groups).sum(-1)
        agreement = torch.cat((parts, parts.sum(-1, keepdim=True)), dim=-1)
        inner = F.silu(self.inner(torch.cat((mean, agreement.to(mean.dtype)), dim=-1)))
        shift: Tensor = self.out(inner) * (count > 0).to(mean.dtype)
        return shift


class Skip(nn.Module):
    """Leads the concepts around the layers: an attention-weighted mean of them, gated, mapped to the output space.

    The map starts as the identity and the gate at 1, so an untrained predictor reads its concepts out as they are.
    Training bends map and weights to the things that it was shown. Where the config trusts concepts, their plain mean
    goes through `read` beside them, which no training bends.
    """

    def __init__(self, concept: ConceptConfig, hidden: int, embedding: int) -> None:
        super().__init__()
        self.score = nn.Linear(hidden, 1)
        self.gate = nn.Linear(hidden, 1)
        self.project = nn.Linear(concept.width, embedding, bias=False)
        self.trust = concept.trust
        self.read = nn.Linear(concept.width, embedding) if concept.trust else None
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, 0.5413)  # softplus of it is 1
        nn.init.eye_(self.project.weight)

    def forward(self, mean: Tensor, states: Tensor, concepts: Tensor) -> Tensor:
        """mean (B, hidden), states (B, N, hidden) of the tokens that have concepts (B, N, width) -> (B, embedding)"""
        weight = self.score(states).float().softmax(1)
        led: Tensor = self.project((weight * concepts.float()).sum(1))
        if self.read is not None:
            led = led + self.trust * F.normalize(self.read(concepts.float().mean(1)).float(), dim=-1)
        return F.softplus(self.gate(mean).float()) * led


class States(NamedTuple):
    """What the layers made of every token, (B, N, hidden), vision first, then query."""

    tokens: Tensor
    mask: Tensor | None
    """(B, N), 1 where there is a token; None: everywhere."""
    concepts: Tensor | None
    """(B, n, width), the concept slice of its stream."""
    concept_tokens: Tensor | None
    """(B, n, hidden), the states of the tokens that have concepts."""


class _Vision(NamedTuple):
    """The streams as the layers are given them: tokens (B, n, hidden), and which have concepts, from `first` on."""

    tokens: Tensor
    concepts: Tensor | None
    first: int


class Predictor(nn.Module):
    """(S_V, X_Q) -> unit-norm embedding (B, E)."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.stack.hidden
        self.streams = nn.ModuleDict({stream.name: StreamTokens(stream, hidden) for stream in config.streams})
        self.query = nn.Linear(config.query_dim, hidden)
        self.stack = LlamaStack(config.stack, config.dropout, config.causal)
        self.head = nn.Linear(hidden, config.embedding)
        concept = config.concept
        self.skip = None if concept is None else Skip(concept, hidden, config.embedding)
        self.match = None if concept is None else Match(config.query_dim, hidden, config.embedding)
        if concept is not None:  # start near the read-out of the concepts
            nn.init.normal_(self.head.weight, std=0.03 * hidden**-0.5)
            nn.init.zeros_(self.head.bias)

    def forward(
        self, streams: Mapping[str, Tensor], query_tokens: Tensor | None = None, query_mask: Tensor | None = None
    ) -> Tensor:
        """Unit-norm embedding (B, E), fp32.

        streams: by name, each as its StreamConfig says. query_tokens (B, L, query_dim) with query_mask (B, L), 1
        where there is a token (None: all are). No query_tokens: the query-free first stage.
        Raises InputError on missing or unknown streams and wrong shapes.
        """
        if not torch.onnx.is_in_onnx_export():
            self._check(streams, query_tokens, query_mask)
        vision = self._vision(streams)
        if self.skip is None and takes_kernel(self.head.weight):
            return self._fused(vision, query_tokens, query_mask)
        states = self._states(vision, query_tokens, query_mask)
        mean = masked_mean_pool(states.tokens, mask=states.mask)
        if self.match is not None and query_tokens is not None:
            with torch.no_grad():  # the replayed first stage keeps it right
                free = self._states(vision)
                said = self._say(masked_mean_pool(free.tokens), free)
            return F.normalize(self._say(mean, states, self.match(mean, said, query_tokens, query_mask)), dim=-1)
        return F.normalize(self._say(mean, states), dim=-1)

    def _say(self, mean: Tensor, states: States, shift: Tensor | float = 0.0) -> Tensor:
        """The embedding before it gets unit length, (B, E), fp32. `shift` is for the head alone."""
        embedding: Tensor = self.head(mean + shift).float()
        if self.skip is None:
            return embedding
        assert states.concepts is not None and states.concept_tokens is not None
        led: Tensor = self.skip(mean, states.concept_tokens, states.concepts)
        return embedding + led

    def _fused(self, vision: _Vision, query_tokens: Tensor | None, query_mask: Tensor | None) -> Tensor:
        """forward with norm, mean, head and unit length as one operation."""
        tokens, mask = self._with_query(vision, query_tokens, query_mask)
        lengths = None if mask is None else padding_lengths(mask)
        body, norm = self.stack.body(tokens, mask), self.stack.norm
        embedding: Tensor = embedding_tail(body, norm.weight, norm.eps, self.head.weight, self.head.bias, lengths)
        return embedding

    @torch.no_grad()
    def trust_concepts(self, trust: float, read: nn.Linear) -> None:
        """From now on lead the concepts' plain mean around the layers too, as `read` maps it, `trust` as strongly as
        the gate lets concepts through. For a predictor with concepts that is trained."""
        config, skip = self.config, self.skip
        assert config.concept is not None and skip is not None and skip.read is None
        concept = replace(config.concept, trust=trust)
        self.config = replace(config, concept=concept)
        self.skip = Skip(concept, config.stack.hidden, config.embedding).to(skip.project.weight)
        if self.skip.read is not None:
            self.skip.read.load_state_dict(read.state_dict())
        self.skip.load_state_dict({**self.skip.state_dict(), **skip.state_dict()})

    def states(
        self, streams: Mapping[str, Tensor], query_tokens: Tensor | None = None, query_mask: Tensor | None = None
    ) -> States:
        """The layers' final states of every token; arguments as of forward."""
        self._check(streams, query_tokens, query_mask)
        return self._states(self._vision(streams), query_tokens, query_mask)

    def _states(self, vision: _Vision, query_tokens: Tensor | None = None, query_mask: Tensor | None = None) -> States:
        tokens, mask = self._with_query(vision, query_tokens, query_mask)
        states = self.stack(tokens, mask)
        concepts, first = vision.concepts, vision.first
        led = None if concepts is None else states[:, first : first + concepts.shape[1]]
        return States(states, mask, concepts, led)

    def _vision(self, streams: Mapping[str, Tensor]) -> _Vision:
        concept = self.config.concept
        tokens: list[Tensor] = []
        concepts: Tensor | None = None
        first = 0
        for name, module in self.streams.items():
            assert isinstance(module, StreamTokens)
            flat = module.flat(streams[name])
            if concept is None or name != concept.stream:
                tokens.append(module(flat))
                continue
            end = concept.start + concept.width
            concepts = flat[..., concept.start : end]
            first = sum(t.shape[1] for t in tokens)
            flat = torch.cat((flat[..., : concept.start], concepts * concept.scale, flat[..., end:]), dim=-1)
            tokens.append(module(flat))
        return _Vision(torch.cat(tokens, dim=1), concepts, first)

    def _with_query(
        self, vision: _Vision, query_tokens: Tensor | None, query_mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """All tokens and their mask (None: all are real): vision, then query."""
        if query_tokens is None:
            return vision.tokens, None
        mask = None
        if query_mask is not None:
            mask = torch.cat((torch.ones_like(vision.tokens[:, :, 0]), query_mask.to(vision.tokens.dtype)), dim=1)
        return torch.cat((vision.tokens, self.query(query_tokens)), dim=1), mask

    def _check(self, streams: Mapping[str, Tensor], query_tokens: Tensor | None, query_mask: Tensor | None) -> None:
        if set(streams) != set(self.streams):
            raise InputError(f"streams must be {sorted(self.streams)}, not {sorted(streams)}")
        batch = {len(features) for features in streams.values()}
        if query_tokens is None:
            if query_mask is not None:
                raise InputError("query_mask is given without query_tokens")
        else:
            width = self.config.query_dim
            if query_tokens.ndim != 3 or query_tokens.shape[1] < 1 or query_tokens.shape[2] != width:
                raise InputError(f"query_tokens must be (B, 1 or more, {width}), not {tuple(query_tokens.shape)}")
            if query_mask is not None and query_mask.shape != query_tokens.shape[:2]:
                raise InputError(f"query_mask must be {tuple(query_tokens.shape[:2])}, not {tuple(query_mask.shape)}")
            batch.add(len(query_tokens))
        if len(batch) != 1:
            raise InputError(f"streams and query differ in batch size: {sorted(batch)}")
