"""What the ablations of 4.8 are measured by, from features: classification, retrieval and questions with candidates.

    classification  top-1: 11 motions and 32 objects of drawn clips, of cut-outs that nothing was trained on; the tasks
                    of robot clips that nothing was trained on, by their instructions
    retrieval       text to photograph, R@1: COCO val and Flickr8k dev, every caption asks
    vqa             the right answer ahead of the wrong ones: questions about COCO val, Flickr8k dev and drawn clips
                    of held-out cut-outs

Each is the plain mean of its sets, in per cent. A tie is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vljepa_edge.evaluation.ranks import first, percent
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.collate import Collate, batch_of, cutting, padded
from vljepa_edge.training.data.fill import fill
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.everyday.questions import Questions
from vljepa_edge.training.figures.captioned import Captioned, read_captioned
from vljepa_edge.training.figures.search import search_figures
from vljepa_edge.training.frame_encoder import frozen_encoder
from vljepa_edge.training.objective import query_of
from vljepa_edge.training.reproduction.experiment import Report, Setting
from vljepa_edge.training.reproduction.trained import Trained
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.drawn import DrawnClips
from vljepa_edge.training.tiny.drawn_figures import judge_captions
from vljepa_edge.video.stretch import FramePlan

Array = NDArray[np.float32]
Features = Callable[[Sample], Mapping[str, NDArray[Any]]]
"""Of a sample what the frozen streams make of it, by name."""
CLIPS, ASKED, _SEED = 800, 400, 104
_ROWS = 64


class Reader:
    """A trained arm's embeddings of samples, from cached features, and of texts."""

    def __init__(self, trained: Trained) -> None:
        self.model = trained.model
        config, run = trained.model.config, trained.run
        self._target = cutting(trained.tokenizers.target, config.y_encoder.max_tokens)
        most = config.y_encoder.max_tokens if config.language_model is None else config.language_model.max_tokens
        self._collate = Collate(trained.tokenizers.query, trained.tokenizers.target, query_tokens=most)
        assert config.x_encoder is not None and run.features is not None and self.model.x_encoder is not None
        self._plan = FramePlan(**run.stages[-1].frames.model_dump())
        self.cache = FeatureCache(run.features, self.model.x_encoder.frozen_digest(), self._plan)

    def fill(self, sources: Sequence[Source], report: Report) -> None:
        """Compute the features that are not there yet."""
        assert self.model.x_encoder is not None
        encode = frozen_encoder(self.model.x_encoder, torch.device("cpu"))
        for source in sources:
            on_step = partial(_step, report, f"features of {source.name}")
            fill(self.cache, source, self._plan, encode, workers=1, on_step=on_step)

    def see(self, samples: Sequence[Sample]) -> Array:
        """(n, E): what the predictor says of each sample under its query."""
        return self.predict(samples, self.cache.read)

    @torch.no_grad()
    def predict(self, samples: Sequence[Sample], features: Features) -> Array:
        """(n, E): the same of features that the cache needs not have."""
        made = [
            self.model.predict(batch.video, *query_of(batch)).numpy() for batch in self._batches(samples, features)
        ]
        return np.concatenate(made)

    def batches(self, samples: Sequence[Sample]) -> Iterator[Batch]:
        """The samples with their features, some at a time."""
        return self._batches(samples, self.cache.read)

    def _batches(self, samples: Sequence[Sample], features: Features) -> Iterator[Batch]:
        for begin in range(0, len(samples), _ROWS):
            own = samples[begin : begin + _ROWS]
            kept = [features(sample) for sample in own]
            video = {name: torch.from_numpy(np.stack([one[name] for one in kept])).float() for name in kept[0]}
            yield batch_of(self._collate.rows(own), video)

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> Array:
        """(n, E): texts in the shared space. Those of like length go together."""
        prompt = self.model.config.y_encoder.prompt
        ids = [found.ids for found in self._target.encode_batch([prompt + text for text in texts])]
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        found = np.empty((len(ids), self.model.config.predictor.embedding), np.float32)
        for begin in range(0, len(order), _ROWS):
            rows = order[begin : begin + _ROWS]
            tokens = padded([ids[row] for row in rows])
            found[rows] = self.model.encode_text(tokens.ids, tokens.mask).numpy()
        return found


def figures(trained: Trained, setting: Setting) -> dict[str, float]:
    """`classification`, `retrieval` and `vqa`, and the sets that each is the mean of."""
    reader, data = Reader(trained), setting.data
    held = DrawnClips(CLIPS, _SEED, held=True)
    files = {name: data / f"{name}.jsonl" for name in ("coco-val", "flickr8k-dev", "robot-test")}
    reader.fill([held, *(open_source(file) for file in files.values())], setting.report)
    tables = {name: read_captioned(file) for name, file in files.items()}
    steps = _steps(setting.report, 7)
    drawn = _drawn(reader, held)
    steps()
    sets: dict[str, dict[str, float]] = {"classification": {
        "drawn motions": drawn["motion_top1_of_11"], "drawn objects": drawn["object_top1_of_32"],
        "robot tasks": _search(reader, tables["robot-test"].within("video_droid"))["item_to_text_R@1"],
    }, "retrieval": {}, "vqa": {}}  # fmt: skip
    steps()
    for name in ("coco-val", "flickr8k-dev"):
        sets["retrieval"][name] = _search(reader, tables[name])["text_to_item_R@1"]
        steps()
        asked = _asked(files[name])
        sets["vqa"][name] = answered(asked, reader.see(asked), reader.read)
        steps()
    questions = DrawnClips(ASKED, _SEED, held=True, questions=True)
    asked = [questions[index] for index in range(len(questions))]
    sets["vqa"]["drawn clips"] = answered(asked, reader.see(asked), reader.read)
    steps()
    means = {name: float(np.mean(list(own.values()))) for name, own in sets.items()}
    return means | {f"{name}: {one}": value for name, own in sets.items() for one, value in own.items()}


def _drawn(reader: Reader, held: DrawnClips) -> dict[str, float]:
    shown = [(index, scene) for index, scene in enumerate(held.scenes)
             if scene.second is None and scene.count == 1 and scene.motion in say.ONE]  # fmt: skip
    clips = [replace(held[index], query=CAPTION_QUERIES[0]) for index, _ in shown]
    scenes = [scene for _, scene in shown]
    names = sorted({scene.name for scene in scenes})
    return judge_captions(reader.see(clips), scenes, names, reader.read)


def _search(reader: Reader, table: Captioned) -> dict[str, float]:
    items = [Sample(str(path), str(path), "", query=CAPTION_QUERIES[0]) for path in table.items]
    return search_figures(reader.see(items), reader.read(table.captions), table)


def _asked(table: Path) -> list[Sample]:
    """Questions about photographs that have wrong answers too, evenly over the table."""
    source = Questions(str(table), captions=0.0)
    asked = [sample for index in range(len(source)) if (sample := source[index]).negatives]
    return [asked[place] for place in np.linspace(0, len(asked) - 1, min(ASKED, len(asked))).astype(int)]


def answered(asked: Sequence[Sample], seen: Array, read: Callable[[Sequence[str]], Array]) -> float:
    """Per cent of questions whose answer is nearer than all wrong ones. seen (n, E): what is said under each."""
    texts = sorted({text for sample in asked for text in (sample.target, *sample.negatives)})
    rows = dict(zip(texts, read(texts), strict=True))
    right = [
        bool(first([[float(rows[text] @ row) for text in (sample.target, *sample.negatives)]], [0])[0])
        for sample, row in zip(asked, seen, strict=True)
    ]
    return percent(right)


def _step(report: Report, what: str, _: str, done: int, total: int) -> None:
    report(what, done, total)


def _steps(report: Report, total: int) -> Callable[[], None]:
    done = iter(range(1, total + 1))
    return lambda: report("measuring", next(done), total)
