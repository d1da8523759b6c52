"""The model card: every figure of the default, measured on the shipped bundle through the runtime.

`vljepa eval card` prints it. It has parts, which can be measured alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from vljepa_edge.bundle.store import default_bundle
from vljepa_edge.errors import BundleError, DataError, InputError, VideoError
from vljepa_edge.evaluation.ranks import best_threshold, first, percent, winner
from vljepa_edge.model import Model, load
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH
from vljepa_edge.support.assets import AssetError
from vljepa_edge.training.everyday.fetch import default_folder
from vljepa_edge.training.figures import everyday
from vljepa_edge.training.tiny import assets, captions, drawn_figures, photographs, real_sets
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.drawn_figures import Array
from vljepa_edge.training.tiny.features import Draw
from vljepa_edge.training.tiny.scenes import Painter, random_scene

CLIPS = 2_000
"""Of each split: so many that what rounding turns over on either side seldom makes half a point."""
_SEEDS = {"seen": "card/1", "held": "card/2", "seen_asked": "card/3", "held_asked": "card/4",
          "seen_moving": "card/5", "held_moving": "card/6", "seen_close": "card/7", "held_close": "card/8"}  # fmt: skip
# Text, which no seed of training is: a recipe's seeds are numbers.
_track = partial(track, console=Console(stderr=True))  # stdout is for figures, which may be JSON


def evaluate(
    path: Path | None = None, clips: int = CLIPS, only: Sequence[str] = (), data: Path | None = None
) -> dict[str, Any]:
    """All figures, or those of the parts `only`. Needs the training extra and, once, pinned packages (about 600 MB).

    data: the folder of the everyday tables (None: the cache folder's). What a part needs and isn't there is told under
    `missing`, by the part; the others are measured. Raises InputError for an unknown part, for a bundle that isn't of
    the default's shape, whose appearance stream has concepts, where a part needs that, and where no part could be
    measured.
    """
    names = check_parts(only)
    model = load(default_bundle() if path is None else path)
    if any(name in _PARTS for name in names):
        _check_shape(model)
    figures: dict[str, Any] = {"model": f"{model.manifest.name} {model.manifest.version}"}
    missing: dict[str, str] = {}
    for name in names:
        try:
            if name in everyday.PARTS:
                found = everyday.PARTS[name](model, default_folder() if data is None else data)
                if "missing" in found:
                    missing[name] = found.pop("missing")
                figures.setdefault("everyday", {})[name] = found
            else:
                figures |= _PARTS[name](model, clips)
        except (AssetError, BundleError, DataError, VideoError) as error:
            missing[name] = str(error).replace(str(model.bundle.path), model.manifest.name)  # a card moves with it
    if len(figures) == 1:  # its name
        raise InputError("nothing could be measured: " + "; ".join(f"{name}: {why}" for name, why in missing.items()))
    return figures | ({"missing": missing} if missing else {})


def check_parts(only: Sequence[str]) -> list[str]:
    """The parts to measure, each once: all for none. Raises InputError for an unknown one."""
    names = list(dict.fromkeys(only)) or [*everyday.PARTS, *_PARTS]
    for name in names:
        if name not in everyday.PARTS and name not in _PARTS:
            raise InputError(f"a part of the card must be one of {', '.join([*everyday.PARTS, *_PARTS])}, got {name!r}")
    return names


def _check_shape(model: Model) -> None:
    outputs = {tensor.name: tensor.shape[-1] for graph in model.manifest.graphs.values() for tensor in graph.outputs}
    width = GRID_WIDTH + CONCEPT_WIDTH
    if outputs.get("appearance") != width:
        raise InputError(
            f"{model.manifest.name} has no output 'appearance' of width {width}, with concepts to compare it with; "
            f"{', '.join(_PARTS)} judge bundles that make tiny wrote, and {', '.join(everyday.PARTS)} any bundle"
        )


def drawn(model: Model, clips: int) -> dict[str, Any]:
    """Drawn clips of objects trained on and held out: `seen` and `held`."""
    cutouts = load_cutouts(assets.stamps_dir())
    held = held_out(cutouts)
    painter = Painter(cutouts, load_backgrounds(assets.background_dirs(), test=True))
    figures: dict[str, Any] = {"clips_per_split": clips}
    for split in ("seen", "held"):
        names = [name for name in cutouts if (name in held) == (split == "held")]
        figures[split] = _split(model, painter, split, names, clips)
        figures[split]["motion_moving_camera"] = moving_camera(model, painter, split, names, clips // 2)
        figures[split] |= close_ups(model, painter, split, names, clips // 2)
    return figures


class Seen:
    """Clips as the model's own X-encoder sees them, so that many queries can be asked of each."""

    def __init__(self, model: Model, frames: NDArray[np.uint8]) -> None:
        from vljepa_edge.perception.window_encoder import WindowEncoder

        encoder = WindowEncoder(model.vision)
        features, last = {}, None
        for t, frame in enumerate(frames):
            if last is None or not np.array_equal(frame, last):
                features, last = model.vision.encode_frame(frame), frame
            encoder.push_encoded(features, t / model.manifest.video.fps)
        self.features = encoder.features()

    def conse(self) -> Array:
        """(8, 10, 384) concept vectors, for the zero-training read-outs."""
        return np.asarray(self.features["appearance"][0, :, :, GRID_WIDTH:], np.float32)


def _split(model: Model, painter: Painter, split: str, names: list[str], count: int) -> dict[str, Any]:
    default = model.text.query(model.manifest.text.default_query)
    rng = random.Random(_SEEDS[split])
    scenes = [Scene(captions.ONE[i % len(captions.ONE)], rng.choice(names)) for i in range(count)]
    seen = _encode(model, painter.draw, scenes, _SEEDS[split], split + " clips")
    z = np.stack([model.vision.predict(clip.features, default) for clip in seen])
    out: dict[str, Any] = drawn_figures.judge_captions(z, scenes, names, model.embed_text)
    out["zero_training_object_top1_of_32"] = zero_training(seen, scenes, names, model)
    texts = [model.decode_text(e) for e in _track(z, f"decoding {split} clips")]
    out |= drawn_figures.judge_texts(texts, scenes)
    table = drawn_figures.captions_table(names, model.embed_text, 0)
    named = np.repeat(np.array([[name == scene.name for name in names] for scene in scenes]), len(captions.ONE), axis=1)
    out["nearest_caption_object"] = percent(first(z @ table.reshape(-1, table.shape[-1]).T, named))
    return out | _questions(model, painter, split, names, count)


def moving_camera(model: Model, painter: Painter, split: str, names: list[str], count: int) -> float:
    """Motion top-1 of 11 on clips whose camera pans, zooms and trembles while the object moves."""
    seed = _SEEDS[split + "_moving"]
    rng = random.Random(seed)
    scenes = [Scene(captions.ONE[i % len(captions.ONE)], rng.choice(names)) for i in range(count)]
    filming = Painter(painter.cutouts, painter.backgrounds, moving=1.0)
    default = model.text.query(model.manifest.text.default_query)
    seen = _encode(model, filming.draw, scenes, seed, split + " (moving camera) clips")
    z = np.stack([model.vision.predict(clip.features, default) for clip in seen])
    table = drawn_figures.captions_table(names, model.embed_text, 0)
    return drawn_figures.motion_accuracy(z, scenes, table, drawn_figures.draw_candidates(scenes, names, seed=0))


def close_ups(model: Model, painter: Painter, split: str, names: list[str], count: int) -> dict[str, float]:
    """Which object of 32, and whether it is there, where it fills the frame: the most that the frozen image network
    gives to go by, so the read-outs without training are an upper end of what can be asked of small objects."""
    seed = _SEEDS[split + "_close"]
    rng = random.Random(seed)
    scenes = [Scene("still", rng.choice(names)) for _ in range(count)]

    def draw(scene: Scene, rng: random.Random) -> NDArray[np.uint8]:
        return painter.close_up(scene.name, rng)[None]

    seen = _encode(model, draw, scenes, seed, split + " close-ups")
    default = model.text.query(model.manifest.text.default_query)
    z = np.stack([model.vision.predict(still.features, default) for still in seen])
    objects = model.embed_text([captions.object_captions(name)[1] for name in names])
    asked = drawn_figures.draw_questions(scenes, "exists", names, seed=1)
    return {
        "object_close_up": drawn_figures.object_accuracy(
            z, objects, drawn_figures.draw_candidates(scenes, names, seed=0)
        ),
        "zero_training_object_close_up": zero_training(seen, scenes, names, model)["best"],
        "answers_exists_close_up": _answers(model, seen, asked, "exists"),
        "zero_training_exists_close_up": zero_training_exists(seen, asked, model),
    }


def _answers(model: Model, seen: Sequence[Seen], asked: list[tuple[int, captions.Question]], kind: str) -> float:
    queries = {text: model.text.query(text, cut=True) for text in {question.text for _, question in asked}}
    z = np.stack([model.vision.predict(seen[i].features, queries[q.text]) for i, q in asked])
    return drawn_figures.judge_answers(asked, z, kind, model.embed_text)


def _questions(model: Model, painter: Painter, split: str, names: list[str], count: int) -> dict[str, float]:
    rng = random.Random(_SEEDS[split + "_asked"])
    scenes = [random_scene(rng, names, pairs=0.0, groups=0.5) for _ in range(count)]
    seen = _encode(model, painter.draw, scenes, _SEEDS[split + "_asked"], split + " (questions) clips")
    out = {}
    for kind in drawn_figures.ANSWERS:
        asked = drawn_figures.draw_questions(scenes, kind, names, seed=1)
        out[f"answers_{kind}"] = _answers(model, seen, asked, kind)
        if kind == "exists":
            out["zero_training_exists"] = zero_training_exists(seen, asked, model)
    return out


def _encode(model: Model, draw: Draw, scenes: Sequence[Scene], seed: str, what: str) -> list[Seen]:
    made = []
    for i, scene in enumerate(_track(scenes, f"encoding {len(scenes)} {what}")):
        made.append(Seen(model, draw(scene, random.Random(f"{seed}/{i}"))))
    return made


def zero_training(seen: Sequence[Seen], scenes: Sequence[Scene], names: list[str], model: Model) -> dict[str, float]:
    """Object top-1 of 32 of ConSE read-outs, no training: the frame, the windows, and both weighted by how sure they
    are, each with the best of training's three wordings."""
    vectors = np.stack([clip.conse() for clip in seen])  # (n, 8, 10, 384)
    sure = np.linalg.norm(vectors, axis=-1, keepdims=True)
    readouts = {
        "frame": vectors[:, :, 0].mean(1),
        "windows": vectors[:, :, 1:].mean((1, 2)),
        "sure_windows": (vectors[:, :, 1:] * sure[:, :, 1:] ** 4).mean((1, 2)),
        "all_sure": (vectors * sure**4).mean((1, 2)),
    }
    candidates = drawn_figures.draw_candidates(scenes, names, seed=0)
    worded = [model.embed_text(texts) for texts in zip(*map(captions.object_captions, names), strict=True)]
    centre = vectors.mean((0, 1, 2))
    out = {}
    for name, z in readouts.items():
        scale = np.linalg.norm(z, axis=1, keepdims=True) / np.linalg.norm(centre)
        apart = z - 0.8 * centre * scale.clip(max=1)
        out[name] = max(drawn_figures.object_accuracy(z, texts, candidates) for texts in worded)
        out[name + "_centred"] = max(drawn_figures.object_accuracy(apart, t - t.mean(0), candidates) for t in worded)
    out["best"] = max(out.values())
    return out


def zero_training_exists(seen: Sequence[Seen], asked: Sequence[tuple[int, captions.Question]], model: Model) -> float:
    """Yes or no from ConSE alone: the cosine of what is asked for with the frame's concept, the mean of the windows'
    and the nearest of all. Of the three the best, with the best threshold in hindsight: what frozen parts can tell."""
    vectors = np.stack([seen[i].conse() for i, _ in asked])  # (n, 8, 10, 384)
    texts = model.embed_text([captions.object_captions(question.about)[0] for _, question in asked])
    cosines = np.einsum("ntrd,nd->ntr", vectors, texts) / np.linalg.norm(vectors, axis=-1)
    yes = np.array([question.answer == "Yes." for _, question in asked])
    readouts = (cosines[:, :, 0].mean(1), cosines[:, :, 1:].mean((1, 2)), cosines.max((1, 2)))
    return max(best_threshold(scores, yes) for scores in readouts)


def videos(model: Model) -> dict[str, Any]:
    """Every described stretch of the real videos: what the model says, shows and picks beside what a person wrote,
    wrong or right.

    `says` is the decoded text, however sure the model is. `shows` is what a stream shows of it with the bundle's own
    `min_confidence`: that text, a general sentence, or nothing. Both are of the mean over the stretch, as a closed
    event's text is.
    """
    rows: list[dict[str, Any]] = []
    for video in real_sets.videos():
        ends, embeddings = model.embed_windows(video.path, full=True)
        for window in video.windows:
            inside = [
                i for i, end in enumerate(ends) if window.start <= end - 0.5 * _window_seconds(model) <= window.end
            ]
            chosen = inside or [int(np.abs(ends - 0.5 * (window.start + window.end)).argmin())]
            z = embeddings[chosen].mean(0)
            z = z / np.linalg.norm(z)
            labels = list(real_sets.window_candidates(video.name, window))
            texts = model.embed_text([captions.object_captions(label)[1] for label in labels])
            said, best = model.decode_text(z), winner(texts @ z)
            shown = model.confidence.say(model.text, z, model.manifest.text.default_query, model.confidence.least(None))
            picked = photographs.NONE if best is None else labels[best]
            accepted = (window.label, *window.also)
            rows.append({
                "video": video.name, "start": window.start, "end": window.end, "person": window.descriptions[0],
                "says": said, "says_right": real_sets.is_right(said, accepted),
                "shows": shown.text, "confidence": shown.confidence,
                "shows_right": real_sets.is_right(shown.text, real_sets.with_general(accepted, window.group)),
                "picks": picked, "picks_right": picked == window.label,
            })  # fmt: skip
    shown_rows = [row for row in rows if row["shows"]]
    return {
        "windows": len(rows),
        "says_right": percent([row["says_right"] for row in rows]),
        "shown": percent([bool(row["shows"]) for row in rows]),
        "shown_right": percent([row["shows_right"] for row in shown_rows]) if shown_rows else None,
        "picks_right": percent([row["picks_right"] for row in rows]),
        "rows": rows,
    }


def _window_seconds(model: Model) -> float:
    return (model.manifest.video.window - 1) / model.manifest.video.fps


_PARTS: dict[str, Callable[[Model, int], dict[str, Any]]] = {
    "drawn": drawn,
    "objects": lambda model, clips: photographs.measure(model),
    "videos": lambda model, clips: {"real_videos": videos(model)},
}
"""What is measured of bundles of the default's shape, beside what is measured of any. The second argument is how many
clips of a split are drawn."""
