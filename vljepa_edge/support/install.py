"""What is missing, and the command that installs it: into the Python that runs, from where this package came."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import unquote, urlsplit

from vljepa_edge.errors import EngineError


def pip_install(*arguments: str) -> str:
    """`pip install` with these arguments, as a line for a shell."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def install_extra(name: str) -> str:
    """The line that adds one of this package's extras."""
    return pip_install(*_package(f"[{name}]"))


def require(modules: Sequence[str], extra: str, otherwise: str = "") -> None:
    """Raises EngineError naming those of an extra's modules that are not installed, with the line that adds them and
    what else can be done."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise EngineError(
            f"this needs {', '.join(missing)}, of the {extra} extra; run: {install_extra(extra)}{otherwise}"
        )


def reinstall() -> str:
    """The line that installs this package again, with what it needs left as it is."""
    return pip_install("--force-reinstall", "--no-deps", *_package())


def upgrade() -> str:
    """How a later version of this package is installed, as the end of an error."""
    return f"to fix it, run: {pip_install('--upgrade', *_package())}"


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
