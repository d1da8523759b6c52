"""Checkpoints on disk: the latest is always complete, old ones go, damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.training import run_folder
from vljepa_edge.training.run_folder import RunFolder, load_checkpoint


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"model.a": torch.full((3, 2), value), "model.b": torch.arange(6).reshape(2, 3).T}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "checkpoints").mkdir()
    return RunFolder(tmp_path, keep=2)


def test_what_is_saved_is_loaded(folder: RunFolder) -> None:
    path = folder.save(5, tensors(1.5), {"stage": 1, "step": 5}, best=False)
    found, header = load_checkpoint(folder.named("latest"))
    assert path == folder.named("latest") and header == {"stage": 1, "step": 5}
    assert torch.equal(found["model.a"], tensors(1.5)["model.a"])
    assert torch.equal(found["model.b"], tensors(1.5)["model.b"])  # though it is not contiguous


def test_the_last_ones_and_the_best_stay(folder: RunFolder) -> None:
    for step in range(1, 7):
        folder.save(step, tensors(step), {}, best=step == 2)
    assert sorted(path.stem for path in folder.checkpoints.iterdir()) == ["00000002", "00000005", "00000006"]
    assert folder.named("best").stem == "00000002"
    assert folder.named("latest").stem == "00000006"


def test_a_disk_that_is_full_leaves_the_last_good_one(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.save(1, tensors(1), {"step": 1}, best=False)

    def full(*arguments: object) -> None:
        Path(str(arguments[0])).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(run_folder, "write_tensors", full)
        folder.save(2, tensors(2), {"step": 2}, best=True)
    assert load_checkpoint(folder.named("latest"))[1] == {"step": 1}
    assert [path.name for path in folder.checkpoints.iterdir()] == ["00000001.safetensors"]
    with pytest.raises(InputError, match="best must be latest, best or a checkpoint file"):
        folder.named("best")


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: b"", lambda data: b"\x80\x04pickle" + data])
def test_a_damaged_checkpoint_is_named(folder: RunFolder, damage: object) -> None:
    path = folder.save(1, tensors(1), {}, best=False)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(BundleError, match=r"00000001\.safetensors: can't be read as a checkpoint"):
        load_checkpoint(path)


def test_weights_of_something_else_are_no_checkpoint(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors(1) | {"model.b": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(BundleError, match="is no checkpoint of a run"):
        load_checkpoint(tmp_path / "model.safetensors")


@pytest.mark.parametrize("dtype", list(run_folder._DTYPES))
def test_safetensors_reads_what_is_written(tmp_path: Path, dtype: torch.dtype) -> None:
    written = {"a": torch.arange(6).reshape(2, 3).T.to(dtype), "b": torch.zeros(0, 4, dtype=dtype),
               "ü.c": torch.tensor(1).to(dtype)}  # fmt: skip
    run_folder.write_tensors(tmp_path / "x.safetensors", written, {"format": "pt", "note": "naïve"})
    found = load_file(tmp_path / "x.safetensors")
    assert found.keys() == written.keys()
    for name, value in written.items():
        assert found[name].dtype == dtype and found[name].shape == value.shape and torch.equal(found[name], value)
    with safe_open(tmp_path / "x.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt", "note": "naïve"}
