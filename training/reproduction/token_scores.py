"""What both arms of token prediction are measured by at each checkpoint, by the paper's rules (section 4.5).

CIDEr   of greedy captions of photographs that nothing was trained on, the mean of COCO val and Flickr8k dev
top-5   COCO's objects: photographs of COCO val whose captions agree on one, not counting people; candidates are
        the objects that some of them show. An embedding takes the nearest, tokens the lowest perplexity
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from vljepa_edge.evaluation.cider import cider
from vljepa_edge.evaluation.metrics import cosines, top_k
from vljepa_edge.export.pytorch.checkpoint import ENDS, STARTS, Tokenizers, special_token
from vljepa_edge.training.build import build_model
from vljepa_edge.training.config import RunConfig
from vljepa_edge.training.data.collate import padded
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.everyday.english import article, sentence
from vljepa_edge.training.everyday.facts import plural_only
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES, OBJECT_QUERIES
from vljepa_edge.training.figures.captioned import Captioned, read_captioned
from vljepa_edge.training.figures.objects import OBJECTS, named
from vljepa_edge.training.loop import trainee_of
from vljepa_edge.training.objective import query_of
from vljepa_edge.training.reproduction.measured import Reader
from vljepa_edge.training.reproduction.trained import Trained
from vljepa_edge.training.run_folder import RunFolder, load_checkpoint
from vljepa_edge.training.state import load_weights, weights_in
from vljepa_edge.training.token_trainee import TokenTrainee, answering
from vljepa_edge.training.y_decoder import decode

CAPTIONED, CLASSIFIED = ("coco-val", "flickr8k-dev"), "coco-val"
CAPTION_QUERY, CLASS_QUERY = CAPTION_QUERIES[1], OBJECT_QUERIES[1]
PHOTOGRAPHS = 200
"""Of each set, for captions and for classes."""
AGREED = 3
"""Captions that must name an object for a photograph to be of its class."""

Scores = NDArray[Any]


class HeldOut(NamedTuple):
    """captioned: by set the photographs with what people wrote. classified: photographs, the number of each one's class
    in `classes`, which are texts."""

    captioned: Mapping[str, tuple[list[Sample], list[list[str]]]]
    classified: list[Sample]
    right: list[int]
    classes: list[str]


class Speaker(Protocol):
    """One arm at one checkpoint."""

    @property
    def reader(self) -> Reader:
        """Of the features that it sees."""
        ...

    def captions(self, samples: Sequence[Sample]) -> list[str]:
        """What it says of each."""
        ...

    def scores(self, samples: Sequence[Sample], classes: Sequence[str]) -> Scores:
        """(samples, classes), higher is better."""
        ...


class Embedding:
    """Of VL-JEPA: the Y-decoder says the predictor's embedding, and the nearest class is taken."""

    def __init__(self, reader: Reader, tokenizers: Tokenizers) -> None:
        self.reader, self._tokenizer = reader, tokenizers.decoder

    def captions(self, samples: Sequence[Sample]) -> list[str]:
        """See `Speaker`."""
        decoder = self.reader.model.y_decoder
        assert decoder is not None
        return decode(decoder, torch.from_numpy(self.reader.see(samples)), self._tokenizer)

    def scores(self, samples: Sequence[Sample], classes: Sequence[str]) -> Scores:
        """Cosines."""
        return cosines(self.reader.see(samples), self.reader.read(classes))


class Saying:
    """Of the token predictor: it writes captions itself, and the class of the lowest perplexity is taken."""

    def __init__(self, reader: Reader, tokenizers: Tokenizers, trainee: TokenTrainee) -> None:
        self.reader, self._tokenizer, self._tokens = reader, tokenizers.decoder, trainee.tokens

    def captions(self, samples: Sequence[Sample]) -> list[str]:
        """See `Speaker`."""
        start, end = (special_token(self._tokenizer, names) for names in (STARTS, ENDS))
        rows: list[list[int]] = []
        for streams, query, mask in self._seen(samples):
            rows += self._tokens.generate(streams, start, end, query, mask)
        said: list[str] = self._tokenizer.decode_batch(rows, skip_special_tokens=True)
        return said

    def scores(self, samples: Sequence[Sample], classes: Sequence[str]) -> Scores:
        """Mean log probabilities of a class's tokens, its end among them: the lowest perplexity is the highest."""
        ids, mask = _tokens(answering(self._tokenizer), classes)
        rows = [self._tokens.log_likelihood(streams, ids, mask, *asked) for streams, *asked in self._seen(samples)]
        return torch.cat(rows).numpy()

    @torch.no_grad()
    def _seen(self, samples: Sequence[Sample]) -> Iterator[tuple[dict[str, Tensor], Tensor | None, Tensor | None]]:
        """Streams, queries and their masks, a batch at a time."""
        model = self.reader.model
        for batch in self.reader.batches(samples):
            query, mask = query_of(batch)
            yield model.streams(batch.video), None if query is None else model.query_states(query, mask), mask


def arm_at(run: RunConfig, step: int) -> tuple[Speaker, Tokenizer]:
    """What a run's checkpoint of a step says, and the words that it has. Raises BundleError for one that can't be
    read."""
    model, tokenizers, _ = build_model(run)
    trainee = trainee_of(run, model, tokenizers.decoder)
    tensors, _ = load_checkpoint(RunFolder(run.folder, run.checkpoint.keep).path(step))
    load_weights(trainee, weights_in(tensors))
    trainee.eval()
    reader = Reader(Trained(model, tokenizers, run))
    if isinstance(trainee, TokenTrainee):
        return Saying(reader, tokenizers, trainee), tokenizers.decoder
    return Embedding(reader, tokenizers), tokenizers.decoder


def held_out(data: Path, tokenizer: Tokenizer) -> HeldOut:
    """tokenizer: of words; what it has none for is no candidate. Raises DataError."""
    tables = {name: read_captioned(data / f"{name}.jsonl") for name in CAPTIONED}
    captioned = {}
    for name, table in tables.items():
        places = _evenly(range(len(table.items)))
        captioned[name] = [_photograph(table, i, CAPTION_QUERY) for i in places], [table.of_item(i) for i in places]
    table = tables[CLASSIFIED]
    found = {place: shown(table.of_item(place)) for place in range(len(table.items))}
    texts = {name: class_text(name) for name in sorted({name for name in found.values() if name is not None})}
    names = [name for name, text in texts.items() if _encodes(tokenizer, text)]
    places = _evenly([place for place, name in found.items() if name in names])
    right = [names.index(str(found[place])) for place in places]
    return HeldOut(
        captioned, [_photograph(table, i, CLASS_QUERY) for i in places], right, [texts[name] for name in names]
    )


def shown(captions: list[str]) -> str | None:
    """The one object that captions of a photograph agree on, people not counted; None where there is none or more."""
    agreed = [
        thing.name
        for thing in OBJECTS
        if thing.name != "person" and sum(named(thing, [caption]) for caption in captions) >= AGREED
    ]
    return agreed[0] if len(agreed) == 1 else None


def class_text(name: str) -> str:
    """As questions about objects are answered: "A dog."."""
    return sentence(name if plural_only(name) else article(name))


def scored(speaker: Speaker, held: HeldOut) -> dict[str, float]:
    """`CIDEr` and `top-5`, and what they are made of, in per cent."""
    each = {name: cider(speaker.captions(samples), texts) for name, (samples, texts) in held.captioned.items()}
    scores = speaker.scores(held.classified, held.classes)
    return {
        "CIDEr": float(np.mean(list(each.values()))), "top-5": top_k(scores, held.right, 5),
        "top-1": top_k(scores, held.right, 1), **{f"CIDEr {name}": value for name, value in each.items()},
    }  # fmt: skip


def _photograph(table: Captioned, place: int, query: str) -> Sample:
    path = str(table.items[place])
    return Sample(path, path, "", query=query)


def _evenly(places: Sequence[int]) -> list[int]:
    chosen = np.linspace(0, len(places) - 1, min(PHOTOGRAPHS, len(places))).astype(int)
    return [places[one] for one in chosen]


def _encodes(tokenizer: Tokenizer, text: str) -> bool:
    """Whether there is a word for each of a text's."""
    words = tokenizer.pre_tokenizer.pre_tokenize_str(text)
    return all(tokenizer.token_to_id(word) is not None for word, _ in words)


def _tokens(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    found = padded([encoding.ids for encoding in tokenizer.encode_batch(list(texts))])
    return found.ids, found.mask
