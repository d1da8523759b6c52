"""Write measured figures into the documents: `python docs/fill_figures.py [--model PATH] [--check]`.

README.md has a block between `<!-- speed:begin -->` and `<!-- speed:end -->` and one of `quality`, docs/model.md has
one of `parts`. Quality and sizes come from the bundle's manifest, and speed from docs/performance.md and
docs/performance-avx2.md. No number in those blocks is typed by hand.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vljepa_edge.bundle.manifest import Manifest
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.support.atomic import replacing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PERFORMANCE = (HERE / "performance.md", HERE / "performance-avx2.md")
CARD = ROOT / "vljepa_edge" / "models" / "tiny" / "MODEL_CARD.md"

ROWS = (
    ("motion, top-1 of 11", "motion_top1_of_11"),
    ("motion, seen by a moving camera", "motion_moving_camera"),
    ("motion, wording never trained on", "motion_unseen_paraphrase"),
    ("object, top-1 of 32", "object_top1_of_32"),
    ("text retrieval, R@1", "retrieval_R@1"),
    ("text retrieval, R@5", "retrieval_R@5"),
    ("questions: yes or no, is it there", "answers_exists"),
    ("questions: yes or no, does it move so", "answers_moves"),
    ("questions: direction of 4", "answers_direction"),
    ("questions: count of 1 to 3", "answers_count"),
    ("decoded text names the motion", "decoded_motion"),
    ("decoded text names the object", "decoded_object"),
    ("nearest caption names the object", "nearest_caption_object"),
    ("object that fills the frame, top-1 of 32", "object_close_up"),
    ("questions: is it there, filling the frame", "answers_exists_close_up"),
    ("object, best zero-training read-out, for comparison", "zero_training_object_top1_of_32"),
    ("is it there, best zero-training read-out", "zero_training_exists"),
    ("object that fills the frame, best zero-training read-out", "zero_training_object_close_up"),
    ("is it there, filling the frame, best zero-training read-out", "zero_training_exists_close_up"),
)
SETS = (
    ("coco-val", "COCO val2017, a part"), ("flickr8k-test", "Flickr8k test"), ("robot-test", "DROID robot clips"),
)  # fmt: skip
OURS = r"\*\*.+?\*\*"  # the row of a stage that is this project's default
PLAIN_INT8 = "OpenVINO, INT8 and f32"  # the row of the same graphs on a processor that has no bf16
NOT_MEASURED = "–"
BARS = (
    ("**a hop, p50**", "a hop with scaling, one thread, p50"),
    ("**a hop, p99**", "a hop with scaling, one thread, p99"),
)
STAGES = (
    ("X-encoder, the new frame", "X-encoder, appearance, one frame"),
    ("X-encoder, motion in the window", "X-encoder, motion, one window"),
    ("predictor", "predictor, one hop"),
    ("Y-decoder, one text (not part of a hop)", "Y-decoder, one caption"),
)
AFTER = (
    ("a 640x480 file at 30 fps, text included", "streaming a 640x480 file, 30 fps"),
    ("`load()` in a new process", "load() of the bundle, new process"),
)


def quality(manifest: Manifest) -> str:
    """The figures of the model card, in Markdown."""
    figures = manifest.figures
    if not figures:
        return f"The bundle {manifest.name} {manifest.version} carries no figures; `vljepa eval card` measures them."
    seen, held, photos, videos = (figures[key] for key in ("seen", "held", "real_photos", "real_videos"))
    lines = [
        *_everyday(figures.get("everyday", {})),
        f"* **Real video:** the decoded text says something right in {videos['says_right']} % of {videos['windows']} "
        f"stretches. The label that `classify` picks out of 48 is right in {videos['picks_right']} %.",
        f"* **Real photographs:** the label that `classify` picks out of 48 is right in {photos['model']} % of "
        f"{photos['count']}. The best read-out of the frozen image network alone is right in "
        f"{photos['best_zero_training']} %. " + _chosen_by(figures.get("real_photos_tuning")),
        "",
        f"`{manifest.name} {manifest.version}`, in per cent, measured with `vljepa eval card` on "
        f"{figures['clips_per_split']} drawn clips a split, over backgrounds that it was not trained on:",
        "",
        "| | objects trained on | held-out objects |",
        "|---|---:|---:|",
        *(f"| {label} | {_number(seen, key)} | {_number(held, key)} |" for label, key in ROWS),
        "",
        "Text retrieval ranks every caption of a split: "
        f"{seen['retrieval_captions']:,} and {held['retrieval_captions']:,} of them.",
    ]
    if CARD.is_file():
        lines += ["", f"The [model card]({CARD.relative_to(ROOT)}) has what it says about each photograph and video."]
    return "\n".join(lines)


def speed(documents: Mapping[str, str]) -> str:
    """One table of the runs of `make bench`, in Markdown: a column a processor. `documents` are texts by file name."""
    columns = [column for name, text in documents.items() for column in _columns(name, text)]
    if not columns:
        return "Speed has not been measured yet; `make bench` measures it and writes docs/performance.md."
    names = list(columns[0])
    rows = ["| " + " | ".join([name, *(column[name] for column in columns)]) + " |" for name in names]
    return "\n".join([rows[0].replace("**", ""), "|---|" + "---:|" * len(columns), *rows[1:]])


def _columns(name: str, document: str) -> list[dict[str, str]]:
    """What one run says, by row: as the processor computes, and, where it has bf16, the stages without that."""
    machine, model, kinds, date = (
        _found(rf"^{pattern}", document)
        for pattern in (r"\* Machine: (.+?), Linux", r"\* Model: (.+?) \(", r"\* Model: .+ computes in (.+)\.$",
                        r"Written by .+ on (\d{4}-\d{2}-\d{2});")
    )  # fmt: skip
    processor, _, features = machine.partition(" (")
    plain = "VNNI" if "vnni" in features else "AVX2"
    about = {"model": model, "computes in": kinds}
    source = {"measured": f"[{date}](docs/{name})"}
    bf16 = "bf16" in kinds
    ours = {"": f"bf16 and {plain}" if bf16 else f"{plain} alone", "processor": processor, **about}
    ours |= {label: _bar(document, row) for label, row in BARS}
    ours |= {label: _stage(document, title, OURS) for label, title in STAGES}
    ours |= {label: _bar(document, row) for label, row in AFTER} | source
    if not bf16:
        return [ours]
    stages = {label: _stage(document, title, re.escape(PLAIN_INT8)) for label, title in STAGES}
    without = {"": f"{plain}, bf16 switched off", "processor": "the same", **about, "computes in": "INT8 and f32"}
    return [ours, {**dict.fromkeys(ours, NOT_MEASURED), **without, **stages, **source}]


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else NOT_MEASURED


def _bar(document: str, row: str) -> str:
    return _found(rf"^\| {re.escape(row)} \| (.+?) \|", document)


def _stage(document: str, title: str, case: str) -> str:
    section = _found(rf"^### {re.escape(title)}\n((?:(?!^#).*\n)*)", document)
    return _found(rf"^\| {case} \| (.+?) \|", section)


def parts(manifest: Manifest) -> str:
    """A table of the graph files of a bundle, with the roles that each plays."""
    roles: dict[str, list[str]] = {}
    for role, graph in manifest.graphs.items():
        roles.setdefault(graph.file, []).append(f"`{role}`")
    sizes = {graph.file: graph.bytes for graph in manifest.graphs.values()}
    units = {graph.file: graph.unit for graph in manifest.graphs.values()}
    total = sum(entry.bytes for entry in manifest.entries().values())
    return "\n".join(
        [
            f"`{manifest.name} {manifest.version}`, as `vljepa models verify` sees it:",
            "",
            "| file | plays | runs on a | MB |",
            "|---|---|---|---:|",
            *(
                f"| `{file}` | {', '.join(names)} | {units[file]} | {sizes[file] / 1e6:.1f} |"
                for file, names in roles.items()
            ),
            f"| all files, tokenizers included | | | {total / 1e6:.1f} |",
        ]
    )


def fill(text: str, name: str, body: str) -> str:
    """`text` with the block `name` replaced. Raises ValueError unless there is exactly one."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"there must be one {begin} and one {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{body}\n{end}{after}"


def filled(manifest: Manifest) -> dict[Path, str]:
    """Each document with its blocks filled."""
    runs = {path.name: path.read_text(encoding="utf-8") for path in PERFORMANCE if path.is_file()}
    blocks = {
        ROOT / "README.md": {"speed": speed(runs), "quality": quality(manifest)},
        HERE / "model.md": {"parts": parts(manifest)},
    }
    texts = {path: path.read_text(encoding="utf-8") for path in blocks}
    for path, bodies in blocks.items():
        for name, body in bodies.items():
            texts[path] = fill(texts[path], name, body)
    return texts


def _chosen_by(tuning: Mapping[str, Any] | None) -> str:
    """What chose the question and the wording that the reported photographs were classified with."""
    if tuning is None:
        return "They also chose the question that `classify` asks."
    alone = tuning["setting"] == tuning["best_setting"]
    return f"{tuning['count']} others chose the question that `classify` asks" + (
        "." if alone else ", together with these."
    )


def _everyday(sets: Mapping[str, Any]) -> list[str]:
    """Captioned photographs and clips, a row a set; nothing of bundles that were not measured on them."""
    searched = [(label, sets[name]) for name, label in SETS if name in sets]
    if not searched:
        return []
    rows = [
        f"| {label} | {found['items']:,} | {found['captions']:,} | {found['text_to_item_R@1']:.1f} | "
        f"{found['text_to_item_R@5']:.1f} | {found.get('CIDEr', NOT_MEASURED)} |"
        for label, found in searched
    ]
    there = sets.get("is-there")
    return [
        "Search of real photographs and clips by what people wrote of them, per cent; nothing was trained on them:",
        "",
        "| | items | texts | R@1 | R@5 | CIDEr of decoded texts |",
        "|---|---:|---:|---:|---:|---:|",
        *rows,
        "",
        *([] if there is None else [
            f"* **Is it there?** Of {there['questions']:,} questions about objects in photographs, half yes and half "
            f"no, {there['by_cosine']} % are answered rightly by cosine, {there['by_asking']} % by asking.",
        ]),
    ]  # fmt: skip


def _number(split: Mapping[str, Any], key: str) -> str:
    value = split[key]
    return f"{value['best'] if isinstance(value, Mapping) else value:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("VLJEPA_MODEL"), help="a bundle (default: the embedded one)")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 when a block is out of date")
    arguments = parser.parse_args()
    bundle = Bundle.open(arguments.model or default_bundle())
    texts = filled(bundle.manifest)
    old = [path for path, text in texts.items() if path.read_text(encoding="utf-8") != text]
    for path in old:
        if arguments.check:
            print(f"{path.relative_to(ROOT)} is out of date; run: python docs/fill_figures.py")
            continue
        with replacing(path) as part:
            part.write_text(texts[path], encoding="utf-8")
        print(f"{path.relative_to(ROOT)}: filled from {bundle.manifest.name} {bundle.manifest.version}")
    return int(bool(old) and arguments.check)


if __name__ == "__main__":
    sys.exit(main())
