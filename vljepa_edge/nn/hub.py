"""Models on the Hugging Face hub: `NAME` or `NAME@REVISION`. A revision is a branch, a tag or a commit.

A branch moves, so a source is resolved to its commit before anything is read: all files are then of one commit, and the
config that is saved says which.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from vljepa_edge.errors import BundleError

CONFIG = "config.json"
# What git allows in the name of a branch or tag. The hub's cache uses it as a path, so `..` must not get there.
_REVISION = re.compile(r"(?!/)(?!.*(\.\.|//|@))[^\s~^:?*\[\\\x00-\x1f]+(?<![/.])")


class HubId(NamedTuple):
    """A model of the hub. revision: None is the hub's default branch."""

    name: str
    revision: str | None


def hub_id(path_or_id: str | Path) -> HubId | None:
    """None for a folder that is here, and for a .gguf file.

    Raises BundleError for a revision that is empty or that git does not allow.
    """
    if os.path.isdir(path_or_id) or Path(path_or_id).suffix == ".gguf":
        return None
    name, at, revision = str(path_or_id).partition("@")
    if not at:
        return HubId(name, None)
    if not _REVISION.fullmatch(revision):
        raise BundleError(
            path_or_id, f"must be NAME or NAME@REVISION, a branch, tag or commit; got the revision {revision!r}"
        )
    return HubId(name, revision)


def resolved(path_or_id: str | Path) -> str:
    """`NAME@COMMIT` of a hub id, from the model's config.json; what is here as it is.

    Raises BundleError when it is not here and the hub does not give it, or has no such revision.
    """
    found = hub_id(path_or_id)
    if found is None:
        return str(path_or_id)
    from huggingface_hub import hf_hub_download

    try:
        file = hf_hub_download(found.name, CONFIG, revision=found.revision)
    except Exception as error:  # huggingface_hub's many errors share no base
        at = "" if found.revision is None else f" at the revision {found.revision!r}"
        raise BundleError(path_or_id, f"is no folder here, and the hub doesn't give it{at}: {error}") from error
    return f"{found.name}@{Path(file).parent.name}"
