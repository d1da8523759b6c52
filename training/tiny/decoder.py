"""Training of the Y-decoder: embedding -> text, from text alone, after everything else (section 3.1 of the paper: it
is not in the main training). Words come from a wide vocabulary so that it can say what the predictor points at, not
only what clips showed."""

from __future__ import annotations

import math
import random
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import Progress
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor

from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.precision import autocast
from vljepa_edge.training.steps import Steps
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.checkpoint import Checkpoint
from vljepa_edge.training.tiny.model import EMBEDDING
from vljepa_edge.training.tiny.recipe import DecoderRecipe
from vljepa_edge.training.tiny.texts import SentenceBank

START, END = "<start>", "<end>"
MAX_TOKENS = 32
_IGNORED = -100
_DRAWN = 10


def sentences(names: list[str], seed: int, wide: int = 40_000) -> list[str]:
    """What the decoder learns to say: every caption of the drawn objects, and `wide` draws of wider words, scenes and
    people."""
    rng = random.Random(seed)
    texts: set[str] = set()
    for name in names:
        texts.update(say.object_captions(name))
        for motion in say.ONE:
            for count in range(1, say.MAX_COUNT + 1) if motion in say.COUNTED_MOTIONS else (1,):
                texts.update(say.captions(Scene(motion, name, None, count)))
    texts.update([*(say.sentence(c) for c in say.COUNTS), *(say.sentence(d) for d in say.DIRECTIONS), "Yes.", "No."])
    texts.update(say.doing(motion) for motion in say.ONE)
    nouns, people, actions, places = vocabulary.nouns(), vocabulary.people(), vocabulary.actions(), vocabulary.scenes()
    words = [*nouns, *people]
    labels = [name for names_ in vocabulary.imagenet_names() for name in names_[:1]]
    texts.update(text for word in (*words, *labels) for text in say.object_captions(word)[:2])
    while wide > 0:
        wide -= 1
        kind = rng.random()
        if kind < 0.55:
            texts.add(
                rng.choice(
                    say.captions(Scene(rng.choice(say.ONE), rng.choice((rng.choice(words), rng.choice(labels)))))
                )
            )
        elif kind < 0.7:
            pair = rng.sample(names, 2) if rng.random() < 0.5 else rng.sample(words, 2)
            texts.add(rng.choice(say.captions(Scene(rng.choice(say.TWO), pair[0], pair[1]))))
        elif kind < 0.85:
            texts.add(say.sentence(f"{say.article(rng.choice(people))} is {rng.choice(actions)}"))
        else:
            texts.add(say.sentence(f"{say.article(rng.choice(words))} in the {rng.choice(places)}"))
    return sorted(texts)


def word_tokenizer(texts: list[str]) -> Tokenizer:
    """One token a word or mark of `texts`, each text between <start> and <end>: what is said is made of words that
    exist, and few steps say it. A text with another word can't be encoded."""
    split = pre_tokenizers.ByteLevel(add_prefix_space=True)
    words = sorted({word for text in texts for word, _ in split.pre_tokenize_str(text)})
    ids = {token: i for i, token in enumerate((START, END, *words))}
    tokenizer = Tokenizer(models.WordLevel(ids))
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.ByteLevel()
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(token, ids[token]) for token in (START, END)]
    )
    return tokenizer


class Corpus:
    """Token ids and targets of texts, padded."""

    def __init__(self, texts: list[str], tokenizer: Tokenizer, bank: SentenceBank) -> None:
        rows = [encoding.ids[:MAX_TOKENS] for encoding in tokenizer.encode_batch(texts)]
        self.ids = torch.full((len(rows), max(map(len, rows))), _IGNORED)
        for i, row in enumerate(rows):
            self.ids[i, : len(row)] = torch.tensor(row)
        self.lengths = (self.ids >= 0).sum(1)
        bank.add(texts, "sentences for the decoder")
        self.where = {text: i for i, text in enumerate(texts)}
        self.rows = torch.tensor(bank.ids(texts))
        self.bank = bank

    def targets(self, model: VLJepa, rows: Tensor) -> Tensor:
        with torch.inference_mode():
            return model.encode_text(self.bank.vectors[self.rows[rows]].float())


def new_decoder(vocab: int, recipe: DecoderRecipe) -> YDecoder:
    """An untrained decoder of the recipe's size."""
    return YDecoder(
        YDecoderConfig(
            vocab,
            recipe.hidden,
            recipe.layers,
            recipe.hidden // 64,
            recipe.hidden * 11 // 4,
            max_tokens=MAX_TOKENS,
            embedding=EMBEDDING,
        )
    )


def train_decoder(
    decoder: YDecoder,
    model: VLJepa,
    corpus: Corpus,
    predicted: Tensor,
    said: list[list[int]],
    recipe: DecoderRecipe,
    seed: int,
    part: Path,
) -> None:
    """Train `decoder` in place. `predicted` (n, 384): the model's own embeddings of training clips, `said[i]`: rows of
    the corpus that are right for clip i. Keeps a checkpoint at `part`, and goes on from it.

    A step whose loss or gradient is not finite is not taken. Raises TrainingError after many of them in a row.
    """
    torch.manual_seed(seed)
    decoder.train()
    optimiser = torch.optim.AdamW(decoder.parameters(), recipe.lr, weight_decay=0.02, betas=(0.9, 0.98))
    checkpoint = Checkpoint(part, decoder, optimiser, {})
    first, running = 0, None
    if part.exists():
        first, _ = checkpoint.load()
    steps = Steps("Y-decoder", decoder, optimiser, 1.0)
    with Progress() as bar:
        task = bar.add_task("Y-decoder", total=recipe.steps, completed=first)
        for step in range(first, recipe.steps):
            for group in optimiser.param_groups:
                group["lr"] = (
                    recipe.lr * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))
                )
            rows, clips = _batch(step, corpus, said, recipe, seed)
            target = corpus.targets(model, rows)
            noise = F.normalize(torch.randn_like(target), dim=-1) * torch.rand(len(target), 1) * recipe.noise
            given = F.normalize(target + noise, dim=-1)
            given[clips >= 0] = predicted[clips[clips >= 0]]
            ids = corpus.ids[rows, : int(corpus.lengths[rows].max())]
            loss = steps.take(partial(_loss, decoder, given, ids))
            if loss is not None:
                running = loss if running is None else 0.97 * running + 0.03 * loss
            bar.update(task, advance=1, description=f"Y-decoder, loss {running or math.nan:.3f}")
            checkpoint.after(step)
    decoder.eval()


def _loss(decoder: YDecoder, given: Tensor, ids: Tensor) -> Tensor:
    with autocast():
        logits = decoder(given, ids[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), ignore_index=_IGNORED)


def _batch(step: int, corpus: Corpus, said: list[list[int]], recipe: DecoderRecipe, seed: int) -> tuple[Tensor, Tensor]:
    """Rows of the corpus for one step, and for each the clip whose predicted embedding it is read from, or -1: from its
    own. `_DRAWN` batches are drawn together and sorted by length: else half of a batch would be padding."""
    group, which = divmod(step, _DRAWN)
    rng = random.Random(f"{seed}/{group}")
    own = int(recipe.predicted_share * recipe.batch) * _DRAWN
    clips = [rng.randrange(len(said)) for _ in range(own)] + [-1] * (recipe.batch * _DRAWN - own)
    rows = torch.tensor([rng.randrange(len(corpus.rows)) if i < 0 else rng.choice(said[i]) for i in clips])
    order = rng.sample(range(_DRAWN), _DRAWN)
    chosen = corpus.lengths[rows].argsort(stable=True).reshape(_DRAWN, recipe.batch)[order[which]]
    return rows[chosen], torch.tensor(clips)[chosen]
