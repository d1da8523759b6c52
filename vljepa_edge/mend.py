"""The command that installs what is missing: into the Python that runs, and from where this package came."""

from __future__ import annotations

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit


def pip_install(*arguments: str) -> str:
    """`pip install` with these arguments, as a line for a shell."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def install_extra(name: str) -> str:
    """The line that adds one of this package's extras."""
    return pip_install(*_package(f"[{name}]"))


def reinstall() -> str:
    """The line that installs this package anew, with what it needs left as it is."""
    return pip_install("--force-reinstall", "--no-deps", *_package())


def _package(extra: str = "") -> list[str]:
    """How pip is told of this package: by its source folder, its archive or, where neither is on record, its name."""
    named = f"vljepa-edge{extra}"
    try:
        record = json.loads(distribution("vljepa-edge").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        record = {}
    url = record.get("url")
    if url is None:
        return [named]
    if "dir_info" not in record:
        return [f"{named} @ {url}"]
    folder = unquote(urlsplit(url).path) + extra
    return ["-e", folder] if record["dir_info"].get("editable") else [folder]
