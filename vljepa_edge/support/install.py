"""What is missing, and the command that installs it: into the Python that runs, from where this package came."""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vljepa_edge.errors import EngineError

# PyPI's torch for Linux brings gigabytes of CUDA; for other systems it has none.
# This index has "2.13.0+cpu", which a pin of 2.13.0 allows, and which pip takes before "2.13.0".
_CPU_WHEELS = "https://download.pytorch.org/whl/cpu"
_PINS = "requirements/any-python.txt"
_WITH_TORCH = ("train", "export")


def pip_install(*arguments: str) -> str:
    """`pip install` with these arguments, as a line for a shell."""
    return shlex.join([sys.executable, "-m", "pip", "install", *arguments])


def install_torch(*packages: str) -> str:
    """The line that adds PyTorch for the CPU, and other packages with it, at the versions this package pins."""
    return pip_install("torch", *packages, *_cpu_torch())


def install_extra(name: str) -> str:
    """The line that adds one of this package's extras. PyTorch in it is the one for the CPU, but in "kernels"."""
    if name in _WITH_TORCH:
        return pip_install(*_package(f"[{name}]"), *_cpu_torch())
    return pip_install(*_package(f"[{name}]"), *(_pins() if name == "kernels" else ()))


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


def _cpu_torch() -> list[str]:
    index = ["--extra-index-url", _CPU_WHEELS] if sys.platform == "linux" else []
    return [*_pins(), *index]


def _pins() -> list[str]:
    """The constraints in this package's source folder, where that is known and still there."""
    record = _record()
    if "dir_info" not in record:
        return []
    pins = Path(_folder(record), _PINS)
    return ["-c", str(pins)] if pins.is_file() else []


def _package(extra: str = "") -> list[str]:
    """How pip is told of this package: by its source folder, its archive or, where neither is on record, its name."""
    named = f"vljepa-edge{extra}"
    record = _record()
    if "url" not in record:
        return [named]
    if "dir_info" not in record:
        return [f"{named} @ {record['url']}"]
    folder = _folder(record) + extra
    return ["-e", folder] if record["dir_info"].get("editable") else [folder]


def _folder(record: dict[str, Any]) -> str:
    return unquote(urlsplit(record["url"]).path)


def _record() -> dict[str, Any]:
    """Where pip says that this package came from: PEP 610's direct_url.json, or nothing."""
    try:
        record: dict[str, Any] = json.loads(distribution("vljepa-edge").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return record
