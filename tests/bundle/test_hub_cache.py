"""Bundles as the Hugging Face hub's tools leave them on disk: links into a cache, and files of git beside."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError
from vljepa_edge.model import load

REVISION = "3f1c2b9a7d5e4f60718293a4b5c6d7e8f9012345"


def snapshot(folder: Path) -> Path:
    """A toy bundle laid out as huggingface_hub.snapshot_download does: every file a relative link to a blob."""
    source = write_toy_bundle(folder / "source")
    (source / ".gitattributes").write_text("*.onnx filter=lfs\n")
    (source / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    model = folder / "hub" / "models--robots--toy"
    (model / "blobs").mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(REVISION)
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        name = file.relative_to(source)
        link = model / "snapshots" / REVISION / name
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = hashlib.sha256(file.read_bytes()).hexdigest()
        (model / "blobs" / blob).write_bytes(file.read_bytes())
        link.symlink_to(Path(*[".."] * (len(name.parts) + 1), "blobs", blob))
    return model / "snapshots" / REVISION


def test_a_snapshot_of_the_cache_opens_and_runs(tmp_path: Path) -> None:
    bundle = Bundle.open(snapshot(tmp_path))
    assert bundle.digest == Bundle.open(write_toy_bundle(tmp_path / "again")).digest
    assert load(bundle.path, threads=1).embed_text(["a red ball"]).shape == (1, 16)


def test_a_cache_that_is_reached_through_links_opens(tmp_path: Path) -> None:
    inner = snapshot(tmp_path)
    (tmp_path / "cache").symlink_to(tmp_path / "hub")
    (tmp_path / "robot").symlink_to(inner)
    assert Bundle.open(tmp_path / "cache" / inner.relative_to(tmp_path / "hub"))
    assert Bundle.open(tmp_path / "robot")


def test_a_blob_that_was_altered_is_refused(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    bundle = Bundle.open(folder)
    blob = (folder / "NOTICE").resolve()
    blob.write_bytes(blob.read_bytes().upper())
    for opened in (lambda: Bundle.open(folder), lambda: bundle.read("NOTICE")):
        with pytest.raises(BundleError, match="altered") as caught:
            opened()
        assert caught.value.file == "NOTICE"


@pytest.mark.parametrize(
    "target",
    [
        "/etc/passwd",
        "../../../secret",
        "../../refs/main",
        "../../blobs/../../secret",
        "../../blobs/chain",
        "../other/NOTICE",
        "NOTICE",
        "../../blobs",
    ],
)
def test_a_link_of_a_snapshot_to_anywhere_but_a_blob_is_refused(target: str, tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    model = folder.parent.parent
    secret = model.parent / "secret"
    secret.write_bytes((folder / "NOTICE").read_bytes())  # so that only the link can give it away, not the hash
    (model / "blobs" / "chain").symlink_to(secret)
    other = model / "snapshots" / "other" / "NOTICE"
    other.parent.mkdir()
    other.write_bytes(secret.read_bytes())
    (folder / "NOTICE").unlink()
    (folder / "NOTICE").symlink_to(target)
    with pytest.raises(BundleError) as caught:
        Bundle.open(folder)
    assert "NOTICE" in caught.value.file
    assert "link" in str(caught.value) or "plain files" in str(caught.value)


def test_blobs_beside_any_other_folder_are_no_cache(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    folder.parent.rename(folder.parent.with_name("shots"))
    with pytest.raises(BundleError, match="leaves the bundle"):
        Bundle.open(folder.parent.with_name("shots") / REVISION)


def test_what_git_and_the_hub_keep_beside_the_files_is_not_read(tmp_path: Path) -> None:
    """`hf download --local-dir` and `git clone` leave these."""
    folder = write_toy_bundle(tmp_path / "toy")
    digest = Bundle.open(folder).digest
    notes = ".cache/huggingface/download/NOTICE.metadata"
    for name in (".gitattributes", ".gitignore", notes, ".git/HEAD", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("theirs")
    assert Bundle.open(folder).digest == digest
    with pytest.raises(BundleError, match="not a file of the bundle"):
        Bundle.open(folder).read("README.md")


def test_replacing_a_snapshot_leaves_the_blobs(tmp_path: Path) -> None:
    folder = snapshot(tmp_path)
    for name in (".gitattributes", "README.md"):
        (folder / name).unlink()
    blobs = sorted((folder.parent.parent / "blobs").iterdir())
    write_toy_bundle(folder, seed=1)
    assert Bundle.open(folder).manifest.provenance == {"seed": 1}
    assert sorted((folder.parent.parent / "blobs").iterdir()) == blobs
