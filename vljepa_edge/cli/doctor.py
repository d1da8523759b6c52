"""`vljepa doctor`: what is installed, what works, what is missing, and the command that fixes it."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from vljepa_edge.cli.machine import package_version
from vljepa_edge.cli.options import Debug, Json, ModelPath
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.cli.root import FAILURE, describe
from vljepa_edge.support.install import install_extra, install_torch, pip_install, reinstall

if TYPE_CHECKING:
    from vljepa_edge.bundle.store import Bundle

RUNTIME = ("numpy", "openvino", "av", "tokenizers", "pydantic", "typer", "rich")
_IMPORTED_AS = {"openvino": "vljepa_edge.support.quiet_openvino"}
OPTIONAL = {  # package: (what it is for, the line that adds it)
    "onnxruntime": ("a second engine, and INT8 export", partial(install_extra, "onnxruntime")),
    "torch": ("training, export and the reference engine", partial(install_torch, "onnx")),
    "transformers": ("training and export", partial(install_extra, "train")),
    "starlette": ("the live page and events by HTTP", partial(install_extra, "serve")),
    "rosbags": ("bags of ROS as sources", partial(install_extra, "ros")),
    "mcap": ("events as a topic of a bag", partial(install_extra, "ros")),
    "pyarrow": ("episodes of LeRobot as sources", partial(install_extra, "lerobot")),
    "rerun-sdk": ("what streams see and say, in Rerun", partial(install_extra, "rerun")),
    "pillow": ("captions drawn into videos", partial(install_extra, "captions")),
    "tensorrt": ("running on NVIDIA GPUs", partial(install_extra, "tensorrt")),
    "cuda-bindings": ("running on NVIDIA GPUs", partial(install_extra, "tensorrt")),
}
ENGINE_NEEDS = {"onnxruntime": ("onnxruntime",), "torch": ("torch", "onnx"), "tensorrt": ("tensorrt", "cuda-bindings")}
LIBRARIES = ("libavcodec", "libavformat", "libswscale")
CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")
DEFAULT_ENGINE = "openvino"
UNTRIED = "nothing has run on a GPU or an Arm board yet, see docs/tensorrt.md"
FIX = "; to fix it, run: "


@dataclass(frozen=True)
class Check:
    """One thing checked.

    status   `fail`: the runtime can't run. `missing`: something doesn't work that the runtime can do without.
             `optional`: not installed or not connected, which is no fault
    fix      the command that repairs or, for what is optional, adds it
    """

    name: str
    status: Literal["ok", "optional", "missing", "fail"]
    detail: str
    fix: str | None = None


def check_packages() -> Iterator[Check]:
    """The packages of the runtime, which must import, and optional ones, which may be absent."""
    for name in RUNTIME:
        try:
            importlib.import_module(_IMPORTED_AS.get(name, name))
        except Exception as error:
            yield Check(name, "fail", describe(error), pip_install("--upgrade", name))
        else:
            yield Check(name, "ok", package_version(name) or "installed")
    for name, (purpose, add) in OPTIONAL.items():
        found = package_version(name)
        if found is None:
            yield Check(name, "optional", f"not installed (optional); for {purpose}", add())
        else:
            yield Check(name, "ok", found)


def check_core() -> Check:
    """The compiled core imports."""
    try:
        core = importlib.import_module("vljepa_edge._core")
    except Exception as error:
        return Check("C++ core", "fail", describe(error), reinstall())
    return Check("C++ core", "ok", str(core.__file__))


def check_video() -> Iterator[Check]:
    """FFmpeg as PyAV has it: decoders and RTSP."""
    try:
        import av
        from av.codec.codec import UnknownCodecError
    except Exception as error:
        yield Check("FFmpeg", "fail", describe(error), pip_install("--upgrade", "av"))
        return
    libraries = (
        f"{name} {'.'.join(map(str, parts))}"
        for name, parts in sorted(av.library_versions.items())
        if name in LIBRARIES
    )
    yield Check("FFmpeg", "ok", ", ".join(libraries))
    missing = []
    for name in CODECS:
        try:
            av.Codec(name, "r")
        except UnknownCodecError:
            missing.append(name)
    fix = pip_install("--force-reinstall", "--only-binary", ":all:", "av")
    if missing:
        yield Check("video codecs", "missing", f"no decoder for {', '.join(missing)}", fix)
    else:
        yield Check("video codecs", "ok", ", ".join(CODECS))
    if "rtsp" in av.formats_available:
        yield Check("RTSP", "ok", "supported")
    else:
        yield Check("RTSP", "missing", "this FFmpeg has no RTSP", fix)


def check_cameras() -> Check:
    """Camera devices, and whether this user may read them."""
    devices = sorted(str(path) for path in Path("/dev").glob("video*")) if Path("/dev").is_dir() else []
    closed = [path for path in devices if not os.access(path, os.R_OK | os.W_OK)]
    if closed:
        fix = "sudo usermod -aG video $USER, then log in again"
        return Check("cameras", "missing", f"no permission for {', '.join(closed)}", fix)
    if not devices:
        return Check("cameras", "optional", "none at /dev/video* (optional)")
    return Check("cameras", "ok", ", ".join(devices))


def check_bundle(path: Path | None) -> tuple[Check, Bundle | None]:
    """The bundle opens and is complete."""
    from vljepa_edge.bundle.store import Bundle, default_bundle

    chosen = path or default_bundle()
    try:
        bundle = Bundle.open(chosen)
    except Exception as error:
        fix = reinstall() if path is None else f"vljepa models verify {path}, then copy it again from where it was made"
        return Check("bundle", "fail", describe(error), fix), None
    return Check("bundle", "ok", f"{bundle.manifest.name} {bundle.manifest.version} at {chosen}"), bundle


def check_engines(bundle: Bundle | None) -> Iterator[Check]:
    """Each engine really runs the bundle: one grey frame and one text. Only the default engine has to work."""
    from vljepa_edge.engines import available, verified

    for name, reason in available().items():
        bad: Literal["fail", "missing"] = "fail" if name == DEFAULT_ENGINE else "missing"
        note = "" if verified(name) else f" (NOT VERIFIED ON HARDWARE: {UNTRIED})"
        absent = [package for package in ENGINE_NEEDS.get(name, ()) if package_version(package) is None]
        if reason is not None and absent:
            detail = f"not installed (optional): it needs {', '.join(absent)}{note}"
            yield Check(f"engine {name}", "optional", detail, reason.partition(FIX)[2])
        elif reason is not None:
            what, _, fix = reason.partition(FIX)
            yield Check(f"engine {name}", bad, what + note, fix or None)
        elif bundle is None:
            yield Check(f"engine {name}", "missing", "not tried: there is no bundle to run" + note)
        else:
            try:
                yield Check(f"engine {name}", "ok", try_engine(name, bundle) + note)
            except Exception as error:
                what, _, fix = describe(error).partition(FIX)
                yield Check(f"engine {name}", bad, what + note, fix or pip_install("--upgrade", name))


def try_engine(name: str, bundle: Bundle) -> str:
    """Load the bundle on an engine and embed a grey frame and a text; says how long that took."""
    import numpy as np

    from vljepa_edge.model import load

    begin = time.perf_counter()
    model = load(bundle.path, engine=name)
    video = bundle.manifest.video
    grey = np.full((video.height, video.width, 3), 128, np.uint8)
    for what, embedding in (("video", model.embed_video([(grey, 0.0)])), ("text", model.embed_text(["a photo"])[0])):
        if not np.isfinite(embedding).all() or abs(float(np.linalg.norm(embedding)) - 1) > 0.02:
            raise ArithmeticError(f"the {what} embedding is not a unit vector")
    return f"runs the bundle; loaded, one frame and one text in {time.perf_counter() - begin:.2f} s"


def doctor(model: ModelPath = None, as_json: Json = False, debug: Debug = False) -> None:
    """Check what is installed and what really works. Exits with 1 when the runtime can't run.

    \b
    Examples:
      vljepa doctor
      vljepa doctor --json
    """
    python = Check("python", "ok", f"{platform.python_version()} at {sys.executable}")
    checks = [python, *check_packages(), check_core(), *check_video(), check_cameras()]
    if all(check.status != "fail" for check in checks if check.name in RUNTIME):
        found, bundle = check_bundle(model)
        checks += [found, *check_engines(bundle)]
    ok = all(check.status != "fail" for check in checks)
    if as_json:
        print_json({"ok": ok, "checks": [asdict(check) for check in checks]})
    else:
        print_checks(checks, ok)
    if not ok:
        raise typer.Exit(FAILURE)


def print_checks(checks: list[Check], ok: bool) -> None:
    """One line a check; under it the command that fixes or adds it."""
    from rich.text import Text

    out = console()
    styles = {"ok": "green", "optional": "dim", "missing": "yellow", "fail": "bold red"}
    for check in checks:
        out.print(Text.assemble((f"{check.status:8}", styles[check.status]), f"  {check.name:18} {check.detail}"))
        if check.fix is not None:
            purpose = "add" if check.status == "optional" else "fix"
            out.print(f"{'':29}to {purpose} it, run: {check.fix}", style="bold")
    out.print("everything that the runtime needs works" if ok else "the runtime can't run: see the lines marked fail")
