"""Sizes and sources of every part of the model, as frozen dataclasses: from tiny to the paper's, the same classes.

Pure Python (no torch), so a config can be read anywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config_json import from_dict, require, to_dict
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig, XEncoderConfig


@dataclass(frozen=True)
class RopeScaling:
    """The "llama3" frequency scaling of Llama 3.1 and later."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_positions: int


@dataclass(frozen=True)
class LlamaStackConfig:
    """A stack of Llama layers. `max_positions` bounds the length of a sequence; it costs a table, no parameters."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    rope_theta: float = 10000.0
    rms_eps: float = 1e-5
    head_dim: int | None = None
    max_positions: int = 1024
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        sizes = (self.hidden, self.layers, self.heads, self.kv_heads, self.ffn, self.max_positions)
        require(min(sizes) > 0, f"sizes of a Llama stack must be positive, not {sizes}")
        heads, kv_heads = self.heads, self.kv_heads
        require(heads % kv_heads == 0, f"heads ({heads}) must be a multiple of kv_heads ({kv_heads})")
        require(
            self.head_dim is not None or self.hidden % self.heads == 0,
            f"hidden ({self.hidden}) must be a multiple of heads ({self.heads}) unless head_dim is given",
        )
        require(self.head_size % 2 == 0, f"head_dim must be even for rotary embeddings, not {self.head_size}")

    @property
    def head_size(self) -> int:
        """Channels of one head."""
        return self.head_dim if self.head_dim is not None else self.hidden // self.heads


@dataclass(frozen=True)
class StreamConfig:
    """One stream of vision features, (B, N, dim) or (B, T, R, dim), and how it becomes tokens.

    tubelet: how many frames in a row are averaged into one step of time, for (B, T, R, dim).
    positions: (steps of time after the tubelets, regions) adds learned embeddings of both. None: it has its own.
    scale: what the features are multiplied by, so that streams meet the Linear at similar sizes.
    channels: the Linear reads so many of the dim features, the first ones. None: all.
    """

    name: str
    dim: int
    positions: tuple[int, int] | None = None
    tubelet: int = 1
    scale: float = 1.0
    channels: int | None = None

    def __post_init__(self) -> None:
        require(self.dim > 0 and self.tubelet > 0, f"stream {self.name!r}: dim and tubelet must be positive")
        require(
            self.channels is None or 0 < self.channels <= self.dim,
            f"stream {self.name!r}: channels must be 1 to its dim of {self.dim}, got {self.channels}",
        )
        require(
            self.positions is None or min(self.positions) > 0,
            f"stream {self.name!r}: positions must be positive, not {self.positions}",
        )


@dataclass(frozen=True)
class ConceptConfig:
    """A slice of one stream's features that already lies in the text space (ConSE), and what is made of it.

    The features `start : start + width` of `stream` are led around the layers to the output and matched with the query.
    scale multiplies the slice before the stream's Linear only. trust: how much of their plain mean, as the Y-encoder
    would have it, is led around beside what training makes of them (0: none of it).
    """

    stream: str
    start: int
    width: int
    scale: float = 1.0
    trust: float = 0.0


@dataclass(frozen=True)
class PredictorConfig:
    """(S_V, X_Q) -> predicted target embedding. Vision streams come first, in this order, then the query.

    causal: a token sees those before it alone, as the language model's layers once did. The paper's predictor sees both
    ways; this is its ablation (Table 7 d), which is not exported.
    """

    streams: tuple[StreamConfig, ...]
    query_dim: int
    embedding: int
    stack: LlamaStackConfig
    concept: ConceptConfig | None = None
    dropout: float = 0.0
    causal: bool = False

    def __post_init__(self) -> None:
        names = [stream.name for stream in self.streams]
        require(len(names) > 0, "a predictor needs at least one stream")
        require(len(set(names)) == len(names), f"stream names must differ: {names}")
        require(self.query_dim > 0 and self.embedding > 0, "query_dim and embedding must be positive")
        require(0.0 <= self.dropout < 1.0, f"dropout must be in [0, 1), not {self.dropout}")
        if self.concept is None:
            return
        concept = self.concept
        require(concept.stream in names, f"concept.stream {concept.stream!r} is not one of the streams {names}")
        dim = self.streams[names.index(concept.stream)].dim
        end = concept.start + concept.width
        require(
            0 <= concept.start < end <= dim,
            f"concept slice {concept.start}:{end} is outside stream {concept.stream!r} of {dim} features",
        )
        require(
            self.streams[names.index(concept.stream)].channels is None,
            f"stream {concept.stream!r} has concepts, so its channels must be None: all of them are read",
        )


@dataclass(frozen=True)
class TokenPredictorConfig:
    """What says the answer's tokens in place of its embedding; see `TokenPredictor`.

    streams, query_dim: as of PredictorConfig. max_tokens: of an answer, its start and end token counted.
    """

    streams: tuple[StreamConfig, ...]
    query_dim: int
    vocab: int
    stack: LlamaStackConfig
    max_tokens: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require(len(self.streams) > 0, "a token predictor needs at least one stream")
        sizes = (self.query_dim, self.vocab, self.max_tokens)
        require(min(sizes) > 0, f"query_dim, vocab and max_tokens must be positive, not {sizes}")
        require(0.0 <= self.dropout < 1.0, f"dropout must be in [0, 1), not {self.dropout}")


@dataclass(frozen=True)
class YDecoderConfig:
    """A decoder from an embedding to text. The paper does not disclose its own; see `YDecoder` for ours.

    kv_heads to rope_scaling: None or the defaults in a light decoder of ours; of a language model where it starts from
    one.
    """

    vocab: int
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    ffn: int = 704
    prefix: int = 4
    max_tokens: int = 32
    embedding: int = 384
    dropout: float = 0.0
    kv_heads: int | None = None
    head_dim: int | None = None
    rope_theta: float = 10000.0
    rms_eps: float = 1e-5
    rope_scaling: RopeScaling | None = None

    def __post_init__(self) -> None:
        sizes = (self.vocab, self.prefix, self.max_tokens, self.embedding)
        require(min(sizes) > 0, f"vocab, prefix, max_tokens and embedding must be positive, not {sizes}")
        require(0.0 <= self.dropout < 1.0, f"dropout must be in [0, 1), not {self.dropout}")
        self.stack()

    def stack(self) -> LlamaStackConfig:
        """The causal Llama stack inside: prefix tokens, then text."""
        return LlamaStackConfig(
            hidden=self.hidden,
            layers=self.layers,
            heads=self.heads,
            kv_heads=self.heads if self.kv_heads is None else self.kv_heads,
            ffn=self.ffn,
            head_dim=self.head_dim,
            rope_theta=self.rope_theta,
            rms_eps=self.rms_eps,
            rope_scaling=self.rope_scaling,
            max_positions=self.prefix + self.max_tokens,
        )


@dataclass(frozen=True)
class LanguageModelConfig:
    """The Llama-family language model that the predictor starts from.

    source: hub id, folder in transformers' layout, or .gguf file. Its `layers` ("last 8", "8-16", "all") start the
    predictor, which starts at random where they are "none"; its tokenizer and its token embedding (vocab, hidden),
    frozen, read the query.
    """

    source: str = "meta-llama/Llama-3.2-1B"
    layers: str = "last 8"
    vocab: int = 128256
    hidden: int = 2048
    max_tokens: int = 512


@dataclass(frozen=True)
class DenseConfig:
    """A linear map of a sentence encoder behind its pooling, as sentence-transformers' Dense module has it.

    activation: "identity" or "tanh".
    """

    in_features: int
    out_features: int
    bias: bool = True
    activation: str = "identity"

    def __post_init__(self) -> None:
        sizes = (self.in_features, self.out_features)
        require(min(sizes) > 0, f"in_features and out_features must be positive, not {sizes}")
        require(
            self.activation in ("identity", "tanh"),
            f"activation must be 'identity' or 'tanh', not {self.activation!r}",
        )


@dataclass(frozen=True)
class YEncoderConfig:
    """A sentence encoder from transformers: token states to one vector, a linear head to the shared space.

    source: hub id or folder of the weights it starts from. architecture: its config in transformers, as JSON; filled
    in when the weights are loaded, and what it is built from afterwards. pooling: "mean" over the tokens, the "last"
    token, or the "end_token", the first of end_ids (the last token where there is none). dense: maps behind the
    pooling, frozen with the backbone. normalise: the vector gets unit length before the head, as sentence-transformers'
    Normalize gives it. modules: "take": pooling, dense and normalise are those of the source's modules.json, filled in
    when the weights are loaded; "leave": those named here. The paper does not say whether EmbeddingGemma's two Dense
    modules were kept. prompt: put before every text, such as EmbeddingGemma's "title: none | text: ". head: without
    one, the pooled vector must be as wide as the shared space.
    """

    source: str = "google/embeddinggemma-300m"
    hidden: int = 768
    embedding: int = 1536
    head: bool = True
    frozen: bool = False
    max_tokens: int = 512
    architecture: dict[str, Any] | None = None
    normalise: bool = False
    pooling: str = "mean"
    end_ids: tuple[int, ...] = ()
    dense: tuple[DenseConfig, ...] = ()
    modules: str = "leave"
    prompt: str = ""

    def __post_init__(self) -> None:
        require(self.modules in ("leave", "take"), f"modules must be 'leave' or 'take', not {self.modules!r}")
        require(
            self.pooling in ("mean", "last", "end_token"),
            f"pooling must be 'mean', 'last' or 'end_token', not {self.pooling!r}",
        )
        require((self.pooling == "end_token") == bool(self.end_ids), "pooling 'end_token' needs end_ids, others none")
        width = self.hidden
        for dense in self.dense:
            require(dense.in_features == width, f"a Dense module takes {dense.in_features} numbers, but gets {width}")
            width = dense.out_features
        require(
            self.head or self.modules == "take" or width == self.embedding,
            f"a Y-encoder without a head gives {width} numbers, but the shared space has {self.embedding}",
        )

    @property
    def pooled(self) -> int:
        """Numbers of a text's one vector, before the head."""
        return self.dense[-1].out_features if self.dense else self.hidden


@dataclass(frozen=True)
class PromptsConfig:
    """How a model wants to be asked. classify has {label}, answer {candidate}; classify_query and transition are
    queries, None being the default query."""

    default_query: str = "What is happening?"
    classify: str = "{label}"
    classify_query: str | None = None
    answer: str = "{candidate}"
    transition: str | None = None

    def __post_init__(self) -> None:
        for name, place in (("classify", "{label}"), ("answer", "{candidate}")):
            text = getattr(self, name)
            require(place in text, f"prompts.{name} must have {place}, got {text!r}")


@dataclass(frozen=True)
class VLJepaConfig:
    """The complete model.

    x_encoder None: vision features come from outside by name. language_model None: the query is read by the Y-encoder's
    backbone, whose token states are the query tokens, and the predictor starts from scratch. resize: how frames were
    brought to the X-encoder's size in training, "cover" or "stretch", and so must be from then on.
    """

    predictor: PredictorConfig
    y_encoder: YEncoderConfig
    x_encoder: XEncoderConfig | TinyStreamsConfig | None = None
    language_model: LanguageModelConfig | None = None
    y_decoder: YDecoderConfig | None = None
    prompts: PromptsConfig = PromptsConfig()
    resize: str = "cover"

    def __post_init__(self) -> None:
        require(self.resize in ("cover", "stretch"), f"resize must be 'cover' or 'stretch', not {self.resize!r}")
        shared = self.predictor.embedding
        require(
            self.y_encoder.embedding == shared,
            f"the predictor's shared space has {shared} numbers, the Y-encoder's {self.y_encoder.embedding}",
        )
        if self.y_decoder is not None:
            width = self.y_decoder.embedding
            require(width == shared, f"the Y-decoder reads {width} numbers, but the shared space has {shared}")
        query = self.y_encoder.hidden if self.language_model is None else self.language_model.hidden
        require(
            self.predictor.query_dim == query,
            f"query tokens have {query} numbers, but query_dim is {self.predictor.query_dim}",
        )
        if self.x_encoder is not None:
            given = list(self.x_encoder.streams().items())
            found = [(stream.name, stream.dim) for stream in self.predictor.streams]
            require(found == given, f"the X-encoder gives the streams {given}, but the predictor reads {found}")

    @classmethod
    def paper(cls) -> VLJepaConfig:
        """The paper's model (section 3.1), 1.6 B parameters. The Y-decoder's size is ours: undisclosed."""
        return cls(
            x_encoder=XEncoderConfig(),
            language_model=LanguageModelConfig(),
            predictor=PredictorConfig(
                streams=(StreamConfig("x_encoder", 1024),),
                query_dim=2048,
                embedding=1536,
                stack=LlamaStackConfig(
                    hidden=2048,
                    layers=8,
                    heads=32,
                    kv_heads=8,
                    ffn=8192,
                    rope_theta=500000.0,
                    max_positions=8192,
                    rope_scaling=RopeScaling(32.0, 1.0, 4.0, 8192),
                ),
            ),
            y_encoder=YEncoderConfig(),
            y_decoder=YDecoderConfig(
                vocab=128256, hidden=512, layers=6, heads=8, ffn=1408, max_tokens=64, embedding=1536
            ),
        )

    @classmethod
    def tiny(cls) -> VLJepaConfig:
        """The default's shape: EfficientNet regions with ConSE, a motion stem, 3 layers, MiniLM as Y-encoder."""
        return cls(
            x_encoder=TinyStreamsConfig(),
            predictor=PredictorConfig(
                streams=(
                    StreamConfig("appearance", 640, positions=(2, 10), tubelet=4),
                    StreamConfig("motion", 128, positions=(1, 16)),
                ),
                query_dim=384,
                embedding=384,
                stack=LlamaStackConfig(hidden=256, layers=3, heads=4, kv_heads=4, ffn=704, max_positions=128),
                concept=ConceptConfig("appearance", start=256, width=384, scale=10.0),
            ),
            y_encoder=YEncoderConfig(
                "sentence-transformers/all-MiniLM-L6-v2", 384, 384, frozen=True, max_tokens=64, normalise=True
            ),
            y_decoder=YDecoderConfig(vocab=4096),
            prompts=PromptsConfig(
                classify="There is a {label} in the scene.", classify_query="What object is in the scene?"
            ),
        )

    def to_json(self) -> str:
        """As indented JSON."""
        return json.dumps(to_dict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> VLJepaConfig:
        """Raises InputError naming an unknown or missing key or a value of the wrong type."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"the config is not JSON: {error}") from error
        return from_dict(cls, data)
