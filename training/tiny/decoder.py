"""What the Y-decoder is taught to say, beside what people wrote. Words come from a wide vocabulary so that it can say
what the predictor points at, not only what clips showed."""

from __future__ import annotations

import random

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.model import EMBEDDING
from vljepa_edge.training.tiny.recipe import DecoderRecipe

START, END = "<start>", "<end>"
MAX_TOKENS = 32


def sentences(names: list[str], seed: int, wide: int) -> list[str]:
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
    marks = (decoders.Replace(f" {mark}", mark) for mark in ".,")  # as some captions have them, apart from their word
    tokenizer.pre_tokenizer, tokenizer.decoder = split, decoders.Sequence([decoders.ByteLevel(), *marks])
    tokenizer.add_special_tokens([START, END])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(token, ids[token]) for token in (START, END)]
    )
    return tokenizer


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
