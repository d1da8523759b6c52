"""The model card as a document: figures as tables in Markdown, and sheets of real frames beside what the model says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vljepa_edge.training.tiny import real_sets
from vljepa_edge.training.tiny.bars import BARS, REAL
from vljepa_edge.training.tiny.photographs import WAY

_COLUMNS = (
    ("motion, top-1 of 11", "motion_top1_of_11"),
    ("motion, seen by a moving camera", "motion_moving_camera"),
    ("object, top-1 of 32", "object_top1_of_32"),
    ("text retrieval R@1", "retrieval_R@1"),
    ("text retrieval R@5", "retrieval_R@5"),
    ("captions ranked", "retrieval_captions"),
    ("yes or no, is it there", "answers_exists"),
    ("the same, best zero-training read-out", "zero_training_exists"),
    ("yes or no, does it move so", "answers_moves"),
    ("direction of 4", "answers_direction"),
    ("count of 1 to 3", "answers_count"),
    ("decoded text names the object", "decoded_object"),
    ("nearest caption names the object", "nearest_caption_object"),
    ("decoded text names the motion", "decoded_motion"),
    ("motion, wording never trained on", "motion_unseen_paraphrase"),
    ("object that fills the frame, top-1 of 32", "object_close_up"),
    ("the same, best zero-training read-out", "zero_training_object_close_up"),
    ("yes or no, is it there, filling the frame", "answers_exists_close_up"),
    ("the same, best zero-training read-out", "zero_training_exists_close_up"),
)
NOT_MEASURED = "–"
_SHEET_FRAMES = 3
_THUMBNAIL = (240, 160)


def markdown(figures: Mapping[str, Any]) -> str:
    """The card, of the parts that were measured. All figures are per cent unless their row says otherwise."""
    lines = [
        f"# Model card: {figures['model']}",
        "",
        "Measured on the bundle through the runtime with `vljepa eval card`.",
        "",
        *_bars(figures),
    ]
    if "seen" in figures:
        lines += _drawn(figures)
    if "real_photos" in figures:
        lines += _objects(figures)
    if "real_videos" in figures:
        lines += _videos(figures)
    missing = figures.get("missing", {})
    if missing:
        lines += ["## Not measured", "", *(f"* `{name}`: {why}" for name, why in missing.items()), ""]
    return "\n".join(lines)


def bar_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """For a terminal: a line a bar whose figure was measured."""
    for bar in BARS:
        value = bar.value(figures)
        if value is not None:
            verdict = "ok   " if bar.reached(value) else "BELOW"
            before = _known(bar.before)
            yield f"{verdict} {_known(value):>6}  bar {bar.sign} {bar.bar:5g}  0.8.0 had {before:>5}  {bar.label}"


def _known(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.1f}" if value >= 1 or value == 0 else f"{value:.3f}"


def _bars(figures: Mapping[str, Any]) -> list[str]:
    return [
        "## Real photographs and video",
        "",
        "Photographs and clips are of test sets: nothing was trained on them, and nothing was chosen by them. A tie is",
        "wrong.",
        "",
        "| figure | measured | bar | tiny 0.8.0 | command |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {bar.label} | {_known(bar.value(figures))} | {bar.bar:g} | {_known(bar.before)} | `{bar.command}` |"
            for bar in REAL
        ),
        "",
        *_everyday(figures.get("everyday", {})),
    ]


def _everyday(figures: Mapping[str, Any]) -> list[str]:
    """All figures of the sets, and what they say of questions and of confidence."""
    searched = {name: found for name, found in figures.items() if "text_to_item_R@1" in found}
    lines = []
    if searched:
        tops = [f"{way}_R@{top}" for way in ("text_to_item", "item_to_text") for top in (1, 5, 10)]
        lines += [
            "| set | items | texts | text to item, R@1 | R@5 | R@10 | item to text, R@1 | R@5 | R@10 | CIDEr |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for name, found in searched.items():
            cells = [found["items"], found["captions"], *(found[top] for top in tops), found.get("CIDEr", NOT_MEASURED)]
            lines.append(f"| `{name}` | " + " | ".join(map(str, cells)) + " |")
        lines.append("")
    if "is-there" in figures:
        found = figures["is-there"]
        lines += [
            f"Is it there: {found['questions']} questions, as many yes as no of each object. By cosine, with a",
            f"threshold that other photographs chose, {found['by_cosine']} % are right; by asking",
            f"{found['by_asking']} %.",
            f"The area under the ROC curve is {found['area']} %.",
            "",
        ]
    if "confidence" in figures:
        found = figures["confidence"]
        lines += [
            f"Confidence of {found['texts']} decoded texts, {found['right']} % of them right by what people wrote: the",
            f"expected calibration error is {found['ECE']}. At the bundle's own `min_confidence` {found['shown']} % of",
            f"the photographs have a text, which is right in {found['shown_right']} %.",
            "",
            "| mean confidence | share that is right | texts |",
            "|---:|---:|---:|",
            *(f"| {told:.3f} | {true:.3f} | {count} |" for told, true, count in found["bins"]),
            "",
        ]
    return lines


def _drawn(figures: Mapping[str, Any]) -> list[str]:
    seen, held = figures["seen"], figures["held"]
    return [
        "## Drawn clips",
        "",
        f"Cut-outs of photographs moving over photographs never trained on, {figures['clips_per_split']} a split, from",
        "seeds used for nothing else.",
        "",
        "| per cent | objects trained on | held-out objects |",
        "|---|---|---|",
        *(f"| {label} | {seen[key]} | {held[key]} |" for label, key in _COLUMNS),
        f"| object, best zero-training read-out | {_best(seen)} | {_best(held)} |",
        "",
    ]


def _objects(figures: Mapping[str, Any]) -> list[str]:
    photos = figures["real_photos"]
    return [
        "## Photographs of single objects",
        "",
        f"{photos['count']} single-object photographs, 48 labels each: the model {photos['model']} %,",
        f"the best zero-training ConSE read-out {photos['best_zero_training']} %.",
        "",
        *_tuning_lines(figures["real_photos_tuning"]),
        "",
        "| photograph | label | model | ConSE |",
        "|---|---|---|---|",
        *(f"| {row['photo']} | {row['label']} | {row['model']} | {row['conse']} |" for row in photos["rows"]),
        "",
    ]


def _videos(figures: Mapping[str, Any]) -> list[str]:
    videos = figures["real_videos"]
    return [
        "## Stretches of real video",
        "",
        f"{videos['windows']} windows. The text says something right in {videos['says_right']} %, and the label picked",
        f"of 48 is right in {videos['picks_right']} %. `vljepa eval card --pictures FOLDER` shows the frames.",
        "",
        *_shown(videos),
        "| video | seconds | a person | the model says | confidence | a stream shows | it picks |",
        "|---|---|---|---|---|---|---|",
        *(_video_row(row) for row in videos["rows"]),
        "",
    ]


def _tuning_lines(tuning: Mapping[str, Any]) -> tuple[str, ...]:
    setting, read_out = tuning["best_setting"], tuning["read_out"]
    own = ("The bundle's own way was not chosen by these photographs alone:", f"`{tuning['setting']}`.")
    return (
        f"Settings are chosen by {tuning['count']} other photographs. There the model has {tuning['model']} %,",
        f"the best read-out (`{read_out}`) {tuning['best_zero_training']} %, and the best of nine ways to ask",
        f"the model (`{setting}`) {tuning['ways'][WAY + setting]} %.",
        *own * (tuning["setting"] != setting),
    )


def _shown(videos: Mapping[str, Any]) -> tuple[str, ...]:
    """Of cards since 0.9."""
    if videos.get("shown_right") is None:
        return ()
    return (
        f"A stream shows a text for {videos['shown']} % of them, at the bundle's own `min_confidence`, and it is right",
        f"in {videos['shown_right']} %.",
        "",
    )


def _video_row(row: Mapping[str, Any]) -> str:
    span = f"{row['start']:g} to {row['end']:g}"
    sure, shows = row.get("confidence"), row.get("shows", row["says"])
    cells = (
        row["video"], span, row["person"], row["says"], NOT_MEASURED if sure is None else f"{sure:.2f}",
        "the same" if shows == row["says"] else shows or NOT_MEASURED, row["picks"],
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _best(split: Mapping[str, Any]) -> float:
    return float(split["zero_training_object_top1_of_32"]["best"])


def write_pictures(figures: Mapping[str, Any], folder: Path) -> list[Path]:
    """One PNG a video in `folder`: three frames of each window beside what a person and the model say."""
    from vljepa_edge.video.source import open_source

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for video in real_sets.videos():
        rows = [row for row in figures["real_videos"]["rows"] if row["video"] == video.name]
        with open_source(video.path, size=_THUMBNAIL, fps=4.0) as source:
            frames = list(source)
        times = np.array([frame.time for frame in frames])
        sheet = Image.new("RGB", (_SHEET_FRAMES * _THUMBNAIL[0] + 520, len(rows) * (_THUMBNAIL[1] + 6)), "white")
        pen = ImageDraw.Draw(sheet)
        for i, row in enumerate(rows):
            top = i * (_THUMBNAIL[1] + 6)
            for k, wanted in enumerate(np.linspace(row["start"], row["end"], _SHEET_FRAMES)):
                frame = frames[int(np.abs(times - wanted).argmin())]
                sheet.paste(Image.fromarray(frame.image), (k * _THUMBNAIL[0], top))
            said = f"person: {row['person']}\nmodel: {row['says']}\npicks: {row['picks']}"
            text = f"{row['start']:g} to {row['end']:g} s\n{said}"
            pen.multiline_text((_SHEET_FRAMES * _THUMBNAIL[0] + 8, top + 8), text, fill="black", spacing=6)
        path = folder / f"{video.name}.png"
        sheet.save(path)
        written.append(path)
    return written
