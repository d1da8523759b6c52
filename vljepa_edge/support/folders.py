"""Folders that are replaced as one, and only while they hold nothing but what an earlier run wrote there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath


def first_other(folder: Path, own: Collection[str]) -> str | None:
    """The first thing in `folder` that is neither a file of `own` (relative POSIX names) nor a folder that holds one.

    Links are not followed. Raises OSError.
    """
    folders = {parent.as_posix() for name in own for parent in PurePosixPath(name).parents}

    def search(inside: Path, prefix: str) -> str | None:
        for item in sorted(os.scandir(inside), key=lambda item: item.name):
            name = prefix + item.name
            if item.is_dir(follow_symlinks=False):
                found = search(Path(item.path), f"{name}/") if name in folders else name
                if found is not None:
                    return found
            elif name not in own:
                return name
        return None

    return search(folder, "")


@contextmanager
def replacing_folder(target: Path, own: Collection[str]) -> Iterator[Path]:
    """An empty folder beside `target` to fill; at the end it takes the place of `target`, whose mode it gets.

    `own`: the files that `target` may hold now, by relative POSIX name; no other file is ever removed. On an error or
    Ctrl-C, and where `target` holds another file at the end, it stays as it was. Raises OSError.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        _swap(part, target, own)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _swap(part: Path, target: Path, own: Collection[str]) -> None:
    """The old folder steps aside, and back if the rename fails: two full folders can't change places in one step."""
    if not target.exists() or not any(target.iterdir()):
        if target.exists():
            shutil.copymode(target, part)
        os.rename(part, target)
        return
    other = first_other(target, own)
    if other is not None:
        raise FileExistsError(None, f"it holds {other} since the work began", str(target))
    shutil.copymode(target, part)
    old = part.with_suffix(".old")
    try:
        os.rename(target, old)
        os.rename(part, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.rename(old, target)
        raise
    finally:
        if target.exists():  # ours, or that of another program that was faster
            _remove(old, own)


def _remove(folder: Path, own: Collection[str]) -> None:
    for name in own:
        with suppress(OSError):
            (folder / name).unlink()
    folders = {parent for name in own for parent in PurePosixPath(name).parents}
    for parent in sorted(folders, key=lambda item: len(item.parts), reverse=True):
        with suppress(OSError):  # it holds what someone put there while it was replaced
            (folder / parent).rmdir()
