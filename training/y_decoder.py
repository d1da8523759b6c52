"""The Y-decoder, trained on any corpus of text after the stages: it is not in the main training (section 3.1 of the
paper).

It learns to say the text whose embedding it is given. What it will be given is the predictor's, which only resembles a
text's own, so a random step is added to each embedding, and a share of them may be the predictor's own. The corpus
decides what it can say: a wide one costs little.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.cider import cider
from vljepa_edge.export.pipeline import tokenizer_of
from vljepa_edge.export.pytorch.checkpoint import ENDS, STARTS, Tokenizers, special_token
from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_llama_last_layers
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.config import Decoder, Predicted, RunConfig
from vljepa_edge.training.data.collate import cutting, padded
from vljepa_edge.training.data.sample import Source
from vljepa_edge.training.observe import Observer
from vljepa_edge.training.optim import rate_at
from vljepa_edge.training.precision import bf16_is_native, cast_once
from vljepa_edge.training.steps import Steps

_IGNORED = -100
_CHUNK = 256  # texts that are embedded at once
_TOGETHER = 8  # batches that are drawn together and sorted by length: else half of a batch would be padding


def read_corpus(names: Sequence[str], sources: Mapping[str, Source]) -> list[str]:
    """Every text once, sorted: the targets of sources, the lines of files. Raises InputError for a name that is
    neither."""
    texts: set[str] = set()
    for name in names:
        if name in sources:
            source = sources[name]
            texts.update(source[index].target.strip() for index in range(len(source)))
        else:
            texts.update(_lines(name, sources))
    texts.discard("")
    if len(texts) < 2:
        raise InputError(f"decoder.corpus must hold at least 2 different texts, got {len(texts)}")
    return sorted(texts)


def _lines(name: str, sources: Mapping[str, Source]) -> list[str]:
    try:
        return [line.strip() for line in Path(name).read_text("utf-8-sig").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(
            f"decoder.corpus: {name!r} must be a text file in UTF-8 or one of the data {sorted(sources)} ({error})"
        ) from error


def check_decoder(model: VLJepa, tokenizers: Tokenizers, run: RunConfig, sources: Mapping[str, Source]) -> None:
    """What can be wrong with a run's Y-decoder, said before the stages rather than after them.

    Raises InputError, ExportError and BundleError as `finish_decoder` would.
    """
    config = run.decoder
    if config is None:
        return
    for name in config.corpus:
        if name not in sources:
            _lines(name, sources)
    if config.source is None:
        tokenizer = tokenizers.decoder
        _check_light(model.config.y_decoder, tokenizer)
    else:
        tokenizer = tokenizer_of(config.source)
    for names in (STARTS, ENDS):
        special_token(tokenizer, names)


def _check_light(own: YDecoderConfig | None, tokenizer: Tokenizer) -> YDecoderConfig:
    if own is None:
        raise InputError("decoder: the model's config must have a y_decoder, or decoder.source a language model")
    tokens = tokenizer.get_vocab_size()
    if own.vocab < tokens:
        raise InputError(f"model.y_decoder.vocab must be at least {tokens}, the decoder's tokens, got {own.vocab}")
    return own


def start_decoder(model: VLJepa, tokenizers: Tokenizers, config: Decoder) -> tuple[YDecoder, Tokenizer]:
    """A decoder before training, on the model's device: light and random, or a language model with a fresh prefix.

    Raises InputError when the model's config has no light decoder, or one of another vocabulary than its tokenizer.
    """
    own = model.config.y_decoder
    if config.source is None:
        return YDecoder(_check_light(own, tokenizers.decoder)), tokenizers.decoder
    loaded = load_llama_last_layers(config.source, "all", max_positions=None)
    stack = loaded.stack.config
    light = own or YDecoderConfig(vocab=len(loaded.embedding), max_tokens=64)
    made = replace(
        light, vocab=len(loaded.embedding), hidden=stack.hidden, layers=stack.layers, heads=stack.heads, ffn=stack.ffn,
        embedding=model.config.predictor.embedding, kv_heads=stack.kv_heads, head_dim=stack.head_dim,
        rope_theta=stack.rope_theta, rms_eps=stack.rms_eps, rope_scaling=stack.rope_scaling,
    )  # fmt: skip
    decoder = YDecoder(made)
    decoder.stack.load_state_dict(loaded.stack.state_dict())
    decoder.tokens.load_state_dict({"weight": loaded.embedding})
    return decoder, loaded.tokenizer


def encode_ids(texts: Sequence[str], tokenizer: Tokenizer, most: int) -> Tensor:
    """(N, L) token ids between the start and the end token, padded with _IGNORED; what is longer is cut, and has no
    end.

    Raises ExportError for a tokenizer without a start or an end token.
    """
    start, end = special_token(tokenizer, STARTS), special_token(tokenizer, ENDS)
    rows = [
        [start, *encoding.ids, end][:most] for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False)
    ]
    ids = torch.full((len(rows), max(map(len, rows))), _IGNORED)
    for row, own in zip(ids, rows, strict=True):
        row[: len(own)] = torch.tensor(own)
    return ids


@torch.no_grad()
def embed_texts(
    model: VLJepa, tokenizer: Tokenizer, texts: Sequence[str], on_step: Callable[[int, int], None], *, bf16: bool
) -> Tensor:
    """(N, E) in fp16 on the CPU: what the Y-encoder makes of each text. Texts of one length go together."""
    config = model.config.y_encoder
    encoder = cast_once(model.y_encoder) if bf16 else model.y_encoder
    cut = cutting(tokenizer, config.max_tokens)
    rows = [encoding.ids for encoding in cut.encode_batch([config.prompt + text for text in texts])]
    device = model.log_scale.device
    order = sorted(range(len(texts)), key=lambda i: len(rows[i]))
    found = torch.empty(len(texts), model.config.predictor.embedding, dtype=torch.float16)
    for begin in range(0, len(order), _CHUNK):
        own = order[begin : begin + _CHUNK]
        tokens = padded([rows[i] for i in own])
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            found[own] = encoder(tokens.ids.to(device), tokens.mask.to(device)).half().cpu()
        on_step(min(begin + _CHUNK, len(order)), len(order))
    return found


class Pairs(NamedTuple):
    """Embeddings (N, E) and the texts that they are to be said as, ids (N, L) as encode_ids gives them. The first
    `texts` rows are texts' own embeddings, the others predicted."""

    embeddings: Tensor
    ids: Tensor
    texts: int


def train_decoder(
    decoder: nn.Module, pairs: Pairs, config: Decoder, *, seed: int, bf16: bool, on_step: Callable[[int, float], None]
) -> None:
    """Train in place, a pure function of its arguments. decoder: from embeddings and ids to logits, as `YDecoder`.

    A step whose loss or gradient is not finite is not taken. Raises TrainingError after many of them in a row.
    """
    device = next(decoder.parameters()).device
    decoder.train()
    optimiser = torch.optim.AdamW(decoder.parameters(), config.lr, weight_decay=config.weight_decay, betas=(0.9, 0.98))
    steps, lengths = Steps("Y-decoder", decoder, optimiser, config.clip), (pairs.ids >= 0).sum(1)
    for step in range(config.steps):
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, config.steps, config.lr, config.warmup, cosine=True)
        rows = _rows(step, lengths, pairs.texts, config, seed)
        torch.manual_seed(random.Random(f"{seed}/y_decoder/{step}").getrandbits(62))
        target = pairs.embeddings[rows].float()
        noise = F.normalize(torch.randn_like(target), dim=-1) * torch.rand(len(rows), 1) * config.noise
        noise[rows >= pairs.texts] = 0.0  # what is predicted has its own
        given = F.normalize(target + noise, dim=-1).to(device)
        said = pairs.ids[rows, : int(lengths[rows].max())].to(device)
        value = steps.take(partial(_loss, decoder, given, said, bf16))
        on_step(step, math.nan if value is None else value)
    decoder.eval()


def _loss(decoder: nn.Module, given: Tensor, said: Tensor, bf16: bool) -> Tensor:
    """Cross-entropy of each next token. given: (N, E); said: ids (N, L)."""
    with torch.autocast(given.device.type, torch.bfloat16, enabled=bf16):
        logits = decoder(given, said[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.float().flatten(0, 1), said[:, 1:].flatten(), ignore_index=_IGNORED)


def _rows(step: int, lengths: Tensor, texts: int, config: Decoder, seed: int) -> Tensor:
    """The rows of a step: texts, and predicted ones in their share where there are any."""
    group, which = divmod(step, _TOGETHER)
    batch = min(config.batch, len(lengths))
    generator = torch.Generator().manual_seed(random.Random(f"{seed}/y_decoder/rows/{group}").getrandbits(62))
    share = config.predicted.share if config.predicted is not None and texts < len(lengths) else 0.0
    predicted = torch.rand(_TOGETHER * batch, generator=generator) < share
    drawn = torch.rand(_TOGETHER * batch, generator=generator)
    rows = torch.where(predicted, texts + drawn * (len(lengths) - texts), drawn * texts).long()
    order = torch.randperm(_TOGETHER, generator=generator)
    return rows[lengths[rows].argsort(stable=True)].reshape(_TOGETHER, batch)[order[which]]


def split_corpus(texts: Sequence[str], validation: int) -> tuple[list[str], list[str]]:
    """Texts to train on, and at most `validation` others, a tenth at most: the same split in every run."""
    count = min(validation, len(texts) // 10)
    held = set(random.Random("validation").sample(range(len(texts)), count))
    return [t for i, t in enumerate(texts) if i not in held], [texts[i] for i in sorted(held)]


@torch.no_grad()
def decode(decoder: YDecoder, embeddings: Tensor, tokenizer: Tokenizer) -> list[str]:
    """The greedy text of each embedding (N, E)."""
    start, end = special_token(tokenizer, STARTS), special_token(tokenizer, ENDS)
    device = decoder.tokens.weight.device
    texts: list[str] = []
    for part in torch.split(embeddings, _CHUNK):
        rows = decoder.generate(part.float().to(device), start, end)
        texts += tokenizer.decode_batch(rows, skip_special_tokens=True)
    return texts


def finish_decoder(
    model: VLJepa,
    tokenizers: Tokenizers,
    run: RunConfig,
    sources: Mapping[str, Source],
    observer: Observer,
    predicted: Callable[[VLJepa, Predicted], tuple[Tensor, list[str]]],
    save: Callable[[VLJepa, Tokenizers], object],
) -> None:
    """Train the run's Y-decoder on the model's device, put it into the model and save that.

    predicted: embeddings (N, E) of the run's samples by the model, and their texts.
    """
    config = run.decoder
    assert config is not None  # the caller has looked
    torch.manual_seed(run.seed)
    decoder, tokenizer = start_decoder(model, tokenizers, config)
    texts, held = split_corpus(read_corpus(config.corpus, sources), config.validation)
    observer.begin("y_decoder: embedding texts", 0, len(texts) + len(held))
    device = model.log_scale.device
    bf16 = run.parallel.bf16 and (device.type == "cuda" or bf16_is_native())
    everything = embed_texts(model, tokenizers.target, [*texts, *held], observer.advance, bf16=bf16)
    embeddings, of_held = everything[: len(texts)], everything[len(texts) :]
    decoder.to(device)
    said = texts
    if config.predicted is not None:
        made, of_samples = predicted(model, config.predicted)
        embeddings, said = torch.cat([embeddings, made.half().cpu()]), [*texts, *of_samples]
    pairs = Pairs(embeddings, encode_ids(said, tokenizer, decoder.config.max_tokens), len(texts))
    observer.begin("y_decoder", 0, config.steps)
    train_decoder(decoder, pairs, config, seed=run.seed, bf16=bf16, on_step=observer.decoder_step)
    text = f"y_decoder: {config.steps} steps on {len(texts)} texts" + f" and {len(said) - len(texts)} predictions" * (
        len(said) > len(texts)
    )
    if held:
        try:
            found = decode(decoder, of_held, tokenizer)
            score, different = cider(found, [[text] for text in held]), len(set(found))
            observer.write({"stage": "y_decoder", "step": config.steps, "CIDEr": score, "different_texts": different})
            text += f", CIDEr {score:.1f} on {len(held)} texts that it was not trained on, {different} different ones"
        except InputError as error:
            text += f"; {error}"
    observer.say(text)
    model.y_decoder = decoder
    model.config = replace(model.config, y_decoder=decoder.config)
    save(model, replace(tokenizers, decoder=tokenizer))
