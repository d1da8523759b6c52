"""A small world: a list of originals, files of texts about them; a host on this machine may have both."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.media import write_video
from tests.training.host import Host
from vljepa_edge.training.everyday import originals as listed
from vljepa_edge.training.everyday import texts
from vljepa_edge.training.everyday.originals import Address, Original

COMMIT = "c" * 40


def photo(seed: int, kind: str = "JPEG") -> bytes:
    """A picture of noise, so that no two are alike and a cut one lacks something."""
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 64, 3), np.uint8))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@dataclass
class World:
    """contents: of each original, in the order of the list; texts_of: by file of texts, its content."""

    items: list[Original]
    contents: list[bytes]
    files: dict[Address, bytes]

    def serve(self, host: Host) -> None:
        for item, content in zip(self.items, self.contents, strict=True):
            host.put(item.address.url(""), content)
        for address, content in self.files.items():
            host.put(address.url(""), content)

    def mirror(self, folder: Path) -> Path:
        """A mirror of it: photographs as WebP, clips as they are."""
        rows: dict[str, list[str]] = {}
        for number, (item, content) in enumerate(zip(self.items, self.contents, strict=True)):
            clip = item.file.endswith(".mp4")
            file = item.file if clip else str(Path(item.file).with_suffix(".webp"))
            row = {
                "file": file,
                "source_repo": f"github:{item.address.repo}",
                "commit": item.address.commit,
                "path": item.address.path,
                "sha256_original": item.address.sha256,
            }
            said = SAID[item.set][len(rows.setdefault(item.set, []))]
            (folder / item.set / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / item.set / file).write_bytes(content if clip else photo(number, "WEBP"))
            text = {"label": said[0]} if clip else {"captions": said}
            rows[item.set].append(json.dumps(row | text))
        for name, lines in rows.items():
            (folder / name / "manifest.jsonl").write_text("\n".join(lines))
        return folder


# By set, the texts of its items.
SAID = {
    "coco": [
        ["A cat sits on a mat.", "a cat on the floor"],
        ["Two dogs run", "two  dogs run."],
        ["A red bus", "a bus on a street"],
        ["a bowl of fruit"],
    ],
    "flickr8k": [
        ["A girl climbs stairs ."],
        ["A red bus .", "A man waits for a bus ."],  # the first is a test's text too
        ["A boy swims .", "A child in a pool ."],
    ],
    "video_droid": [["Open the drawer"], ["Close the drawer"], ["Move the cup"], ["open the drawer."]],
    "video_openvla": [["Put eggplant into pot"], ["Lift AAA battery"], ["Pick Coke can"]],
}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """Four photographs of COCO (the third for testing), three of Flickr8k (the third), four clips of DROID (the first),
    three of OpenVLA (the second failed)."""
    clip = write_video(tmp_path / "a clip.mp4", 8).read_bytes()
    splits: dict[str, tuple[str, ...]] = {
        "coco": ("train2017", "train2017", "val2017", "train2017"),
        "flickr8k": ("train", "dev", "test"),
        "video_droid": ("test", "train", "train", "train"),
        "video_openvla": ("", "", ""),
    }
    items, contents = [], []
    for name, of_items in splits.items():
        for number, split in enumerate(of_items):
            video = name.startswith("video")
            content = clip + bytes([len(items)]) if video else photo(len(items))
            file = f"clips/{number}.mp4" if video else f"images/{number:012}.jpg"
            path = f"visualizer/videos/a b:{number}.mp4" if video else f"data/{number:012}.jpg"
            address = Address(f"owner/{name}", COMMIT, path, hashlib.sha256(content).hexdigest())
            outcome = "" if name != "video_openvla" else ("success", "failure", "success")[number]
            items.append(Original(name, file, address, split, "CC BY 4.0", outcome))
            contents.append(content)
    annotations = [
        {"image_id": number, "caption": caption}
        for number, captions in enumerate(SAID["coco"])
        for caption in captions
    ]
    clips = [
        json.dumps({"info": f"{said[0]}<br><br>Office / Other", "src": f"videos/a b:{number}.mp4"})
        for number, said in enumerate(SAID["video_droid"])
    ]
    marks = ("✅", "❌", "✅")
    written = {
        "coco": [json.dumps({"annotations": annotations}), None, None, "image_id,source,prompt\n"],
        "flickr8k": [
            "".join(
                f"{number:012}.jpg#{row}\t{caption}\n"
                for number, captions in enumerate(SAID["flickr8k"])
                for row, caption in enumerate(captions)
            )
        ],
        "video_droid": ["let clips = [\n" + ",\n".join(f"JSON.parse('{one}')" for one in clips) + "\n];"],
        "video_openvla": [
            "".join(
                f"<h5><b>OpenVLA:</b><br>{said[0].title().replace('Aaa', 'AAA')}<br>(easy)</h5>"
                f'<h5 style="x">{mark}</h5><video><source src="visualizer/videos/a b:{number}.mp4"></video>'
                for number, (said, mark) in enumerate(zip(SAID["video_openvla"], marks, strict=True))
            )
        ],
    }
    files, pinned = {}, dict(texts.FILES)
    for name, of_set in written.items():
        pinned[name] = ()
        for number, content in enumerate(of_set):
            if content is not None:
                body = content.encode()
                address = Address(f"texts/{name}", COMMIT, f"file {number}", hashlib.sha256(body).hexdigest())
                files[address] = body
                pinned[name] += (texts.FILES[name][number]._replace(address=address),)
    monkeypatch.setattr(listed, "_all", lambda: tuple(items))
    for module in ("texts", "fetch"):
        monkeypatch.setattr(f"vljepa_edge.training.everyday.{module}.FILES", pinned)
    return World(items, contents, files)
