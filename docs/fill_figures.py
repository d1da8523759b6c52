"""Write measured figures into the documents: `python docs/fill_figures.py [--model PATH] [--check]`.

README.md has a block between `<!-- figures:begin -->` and `<!-- figures:end -->`, docs/model.md one of `parts` and
docs/kernels.md one of `floors`. Quality and sizes come from the bundle's manifest, speed from docs/performance.md, and
floors from `vljepa_edge.kernels.tools.floors`. No number in those blocks is typed by hand.
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
from vljepa_edge.kernels.tools import floors
from vljepa_edge.support.atomic import replacing

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PERFORMANCE = HERE / "performance.md"
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
SECTIONS = ("The bars", "Where a hop's time goes")


def quality(manifest: Manifest) -> str:
    """The figures of the model card, in Markdown."""
    figures = manifest.figures
    if not figures:
        return f"The bundle {manifest.name} {manifest.version} carries no figures; `vljepa eval card` measures them."
    seen, held, photos, videos = (figures[key] for key in ("seen", "held", "real_photos", "real_videos"))
    lines = [
        f"**Quality** of `{manifest.name} {manifest.version}`, in per cent, measured with `vljepa eval card`: "
        f"{figures['clips_per_split']} composite clips a split, over backgrounds never trained on.",
        "",
        "| | objects trained on | held-out objects |",
        "|---|---:|---:|",
        *(f"| {label} | {_number(seen, key)} | {_number(held, key)} |" for label, key in ROWS),
        "",
        f"Retrieval ranks all captions of a split: {seen['retrieval_captions']:,} and {held['retrieval_captions']:,}.",
        "",
        f"* {photos['count']} real photographs, 48 labels each: the model picks the right one in "
        f"{photos['model']} %, the best zero-training read-out in {photos['best_zero_training']} %.",
        f"* {videos['windows']} stretches of real video: the decoded text says something right in "
        f"{videos['says_right']} %, the label picked of 48 is right in {videos['picks_right']} %.",
    ]
    if CARD.is_file():
        lines += ["", f"What it says about each photograph and video is in the [model card]({CARD.relative_to(ROOT)})."]
    return "\n".join(lines)


def speed(document: str | None) -> str:
    """The main sections of docs/performance.md, in Markdown, and the run that they are from."""
    if document is None:
        return "**Speed** has not been measured here yet; `make bench` measures it and writes docs/performance.md."
    written = re.search(r"^Written by (.+?); do not edit", document, re.MULTILINE)
    machine = re.search(r"^\* Machine: (.+)$", document, re.MULTILINE)
    model = re.search(r"^\* Model: (.+?);", document, re.MULTILINE)
    lines = ["**Speed**" + (f" of {model[1]}" if model else "") + ", on one thread"]
    lines[0] += f", by {written[1]}." if written else "."
    if machine:
        lines[0] += f" Machine: {machine[1]}"
    for title in SECTIONS:
        if section := re.search(rf"^## {re.escape(title)}\n(.+?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL):
            lines += ["", f"*{title}*", "", section[1].strip()]
    lines += ["", "The peers and limits of each stage are in [docs/performance.md](docs/performance.md)."]
    return "\n".join(lines)


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
    performance = PERFORMANCE.read_text(encoding="utf-8") if PERFORMANCE.is_file() else None
    blocks = {
        ROOT / "README.md": ("figures", quality(manifest) + "\n\n" + speed(performance)),
        HERE / "model.md": ("parts", parts(manifest)),
        HERE / "kernels.md": ("floors", floors.tables()),
    }
    return {path: fill(path.read_text(encoding="utf-8"), *block) for path, block in blocks.items()}


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
