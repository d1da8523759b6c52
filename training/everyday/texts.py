"""What people wrote about each photograph and clip: read out of public files, which are pinned as the originals are.

COCO: annotation files and a table of captions. Flickr8k: Flickr8k.token.txt. DROID and OpenVLA: the web page that shows
the clips. Bridge has names of tasks alone, in the names of its files and folders.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from html.parser import HTMLParser
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

from vljepa_edge.errors import DataError
from vljepa_edge.training.everyday.originals import Address, Original

Texts = Mapping[str, list[str]]
"""By what the file calls an item (see `_ITEM`), its texts."""


class TextFile(NamedTuple):
    """A public file of texts, and how its text is read."""

    address: Address
    read: Callable[[str], Texts]


def text_key(text: str) -> str:
    """Equal for texts that say the same word for word: case, spaces and punctuation don't count."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def read_texts(set_name: str, items: Iterable[Original], files: Mapping[Address, bytes]) -> dict[str, list[str]]:
    """Texts by the file of an item, in the order of the files, each once. An item without one is left out.

    files: the contents of FILES[set_name] that are there. Raises DataError for one that is not of its kind.
    """
    known: list[Texts] = []
    for file in FILES[set_name]:
        if file.address in files:
            try:
                known.append(file.read(files[file.address].decode("utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                place = f"{file.address.repo}/{file.address.path}"
                raise DataError(place, f"has no texts as they are expected ({error!r})") from error
    found: dict[str, list[str]] = {}
    for item in items:
        name = _ITEM[set_name](item)
        if texts := texts_of(item, [text for texts in known for text in texts.get(name, ())]):
            found[item.file] = texts
    return found


def texts_of(item: Original, written: Iterable[str]) -> list[str]:
    """What is said of an item, of what is written about it. Of Bridge nothing is written but names of files."""
    if item.set == "video_bridge":
        task = bridge_task(item.address.path)
        return [] if task is None else [task]
    return unique(map(sentence_case if item.set == "video_openvla" else tidy, written))


def tidy(text: str) -> str:
    """Without spaces around it, and one between words."""
    return " ".join(text.split())


def unique(texts: Iterable[str]) -> list[str]:
    """Texts that differ in more than case, spaces and punctuation, in their order."""
    return list({text_key(text): text for text in reversed(list(texts)) if text_key(text)}.values())[::-1]


# --- readers ---


def _coco_annotations(content: str) -> Texts:
    """captions_*.json of COCO: `annotations`, each with `image_id` and `caption`."""
    return _gathered((f"{note['image_id']:012}", note["caption"]) for note in json.loads(content)["annotations"])


def _coco_30k(content: str) -> Texts:
    """A table with `image_id` of 12 digits and `prompt`."""
    return _gathered((row["image_id"], row["prompt"]) for row in csv.DictReader(io.StringIO(content, newline="")))


def _flickr8k(content: str) -> Texts:
    """`NAME.jpg#0<tab>caption` a line."""
    return _gathered(
        (name.partition("#")[0], caption)
        for name, caption in (line.split("\t", 1) for line in content.splitlines() if line)
    )


def _droid_page(content: str) -> Texts:
    """The page has an object of JSON a clip: `src`, and `info`, the instruction and then the kind of scene."""
    shown = map(json.loads, re.findall(r"JSON\.parse\('(.*?)'\)[,\s\]]", content))
    return _gathered((f"visualizer/{clip['src']}", clip["info"].partition("<br>")[0]) for clip in shown)


def _openvla_page(content: str) -> Texts:
    page = _OpenVLAPage()
    page.feed(content)
    return _gathered((clip, re.sub(r"\(.*", "", task)) for clip, task in page.tasks)


class _OpenVLAPage(HTMLParser):
    """`tasks`: each clip with the nearest heading before it that has words, without the bold name of the policy."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[tuple[str, str]] = []
        self._heading: str | None = None
        self._task = ""
        self._bold = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self._heading = ""
        elif tag == "b":
            self._bold = True
        elif tag == "source" and (clip := dict(attrs).get("src")):
            self.tasks.append((clip, self._task))

    def handle_endtag(self, tag: str) -> None:
        if tag == "b":
            self._bold = False
        elif re.fullmatch("h[1-6]", tag) and self._heading is not None:
            if text_key(self._heading):  # a mark of success or failure alone has no words
                self._task = tidy(self._heading)
            self._heading = None

    def handle_data(self, data: str) -> None:
        if self._heading is not None and not self._bold:
            self._heading += data


_NAMES = ("Coke", "Taylor", "Swift")


def sentence_case(title: str) -> str:
    """A title with capitals as in a sentence: 'Put Eggplant into Pot' is 'Put eggplant into pot'."""
    first, *rest = title.split() or [""]
    return " ".join([first, *(word if word in _NAMES or word.isupper() else word.lower() for word in rest)])


def _gathered(pairs: Iterable[tuple[str, str]]) -> Texts:
    found: dict[str, list[str]] = {}
    for name, text in pairs:
        found.setdefault(name, []).append(text)
    return found


# --- Bridge ---

_TASKS = MappingProxyType({
    "put_beet_in_pot_sink": "put the beet in the pot in the sink",
    "beans": "sweep the beans",
    "carrot": "put the carrot on the plate",
    "drawer": "open the drawer",
    "flip_pot": "flip the pot upright",
    "mushroom": "put the mushroom in the pot",
    "pnp": "put the corn in the pot",
    "rice": "sweep the rice",
    "spoon_on_cloth": "put the spoon on the cloth",
    "unseen_pnp": "put the toothbrush in the bowl",
    "wipe_cloth": "wipe the table with the cloth",
})  # fmt: skip
"""The tasks that folders of evaluation clips, and one clip, are named after."""

_PLACE = re.compile(
    r"^(?:bridge_data_v1_berkeley|bridge_data_v2_(?:datacol2|deepthought)|flap_toykitchen_sequential_tasks|rss)_"
    r"(?:laundry_machine|realkitchen1_(?:counter|dishwasher)|tool_chest|toykitchen\d+|toysink\d+|folding_table)_"
    r"(?:room8052_|bww_)?"
)
_NUMBER = re.compile(r"(?:_pnp)?_\d\d$")
_NO_TASK = frozenset({"drawer", "sweep_granular", "set_table"})  # a place or a kind of task, not what is done


def bridge_task(path: str) -> str | None:
    """The task that the name of a clip of Bridge, or of its folder, says; None where it says none."""
    place = PurePosixPath(path)
    if place.parent.name in _TASKS:
        return _TASKS[place.parent.name]
    name, places = _PLACE.subn("", place.stem)
    task = _NUMBER.sub("", name)
    return None if not places or task in _NO_TASK else _TASKS.get(task, task.replace("_", " "))


# --- which file is whose ---


def _stem(item: Original) -> str:
    return PurePosixPath(item.file).stem


_ITEM: Mapping[str, Callable[[Original], str]] = MappingProxyType({
    "coco": _stem,
    "flickr8k": lambda item: PurePosixPath(item.file).name,
    "video_droid": lambda item: item.address.path,
    "video_bridge": lambda item: item.address.path,
    "video_openvla": lambda item: item.address.path,
    "video_demo": lambda item: item.address.path,
})  # fmt: skip
"""What files of texts call an item of a set."""


def _coco_files() -> Iterator[TextFile]:
    for repo, commit, path, sha256 in (
        ("ruizewang/evaluate", "1152656d3b8c66c48fc6a4357e159f5e21bd2d2d", "annotations/captions_val2017.json",
         "1018a8760deaf1fc71be2f1b8da1a1348b9c35994af4322ca2fd795a78abb79c"),
        ("Obmutescence/COCO-MINI", "644f29e7c1d2eefd9c4412d39bc5b0ee6fd0afd4", "annotations/captions_train2017.json",
         "42be98d9f3f07f9961ad33119b80b6582bbfd9bd0e13ed7485910342babf26a5"),
        ("lizhogn/tiny_coco_dataset", "68523ddd6c27f9ba5d2f0caf7f6fe95cc2c99311",
         "tiny_coco/annotations/captions_train2017.json",
         "0bb974528b07bb23f44e13d390b33826fb3b9f3ff946f108f2a072e2a752d941"),
    ):  # fmt: skip
        yield TextFile(Address(repo, commit, path, sha256), _coco_annotations)
    yield TextFile(
        Address(
            "rohitgandikota/erasing",
            "25613d27892326e0c7770f7f3555bea4be150089",
            "data/coco_30k.csv",
            "42c57b188c8f1f8a77cddfa11cde89e83fcbdd4dcd4fc6c840fb4e046d395383",
        ),
        _coco_30k,
    )


FILES: Mapping[str, tuple[TextFile, ...]] = MappingProxyType({
    "coco": tuple(_coco_files()),
    "flickr8k": (
        TextFile(
            Address(
                "prakhar-dhakar/Image-Captioning", "5ab3142167da9315c4287173ed24a643a0425ab8", "Flickr8k.token.txt",
                "9b8608b02da9040581f1e3d4c8738db1fb6f63314342100432adc3962f77d71a",
            ),
            _flickr8k,
        ),
    ),
    "video_droid": (
        TextFile(
            Address(
                "droid-dataset/droid-dataset.github.io", "ba175f41da9da45f8605978c94c62c3d6847886d",
                "visualizer/index.html", "1df86a67431857b51dbc668ded74402a7d180213553b74bc4aa6d6a08886b8c3",
            ),
            _droid_page,
        ),
    ),
    "video_bridge": (),
    "video_openvla": (
        TextFile(
            Address(
                "openvla/openvla.github.io", "03accb00690725f4d1ebd49b9f0c36d0aed3f554", "index.html",
                "fc8d7c59138ef1d5b668e12986d7b94d247b0ecf21e04063a2a65846b2aa824c",
            ),
            _openvla_page,
        ),
    ),
    "video_demo": (),
})  # fmt: skip
"""The files that a set's texts are in. Bridge's are in the names of its clips; the demo clips have none."""
