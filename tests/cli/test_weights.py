"""`vljepa weights convert` from the command line."""

from __future__ import annotations

from pathlib import Path

import torch

from tests.cli.conftest import Vljepa
from tests.nn.vjepa_reference import meta_state, vjepa2


def write(path: Path) -> Path:
    torch.save({"target_encoder": {f"module.{n}": t for n, t in meta_state(vjepa2()).items()}, "epoch": 3}, path)
    return path


def test_it_says_what_it_wrote_and_what_it_left_out(vljepa: Vljepa, tmp_path: Path) -> None:
    source = write(tmp_path / "model.pt")
    run = vljepa("weights", "convert", str(source), "--out", str(tmp_path / "out"), "--heads", "2", "--size", "48")
    assert run.status == 0, run.err
    assert run.out.splitlines() == [
        f"vjepa2: 28 tensors, 0.1 M parameters, written to {tmp_path / 'out'}",
        "left out: epoch (0 tensors): a number or text of its training",
    ]
    run = vljepa("weights", "convert", str(source), "--out", str(tmp_path / "out"), "--heads", "2", "--json")
    assert run.json["kind"] == "vjepa2" and run.json["tensors"] == 28
    assert run.json["left_out"] == [{"part": "epoch", "tensors": 0, "reason": "a number or text of its training"}]


def test_a_file_that_is_none_of_them_ends_with_2_and_one_line(vljepa: Vljepa, tmp_path: Path) -> None:
    torch.save({"weights": torch.ones(2)}, tmp_path / "a.pt")
    run = vljepa("weights", "convert", str(tmp_path / "a.pt"), "--out", str(tmp_path / "out"))
    assert run.status == 2 and run.out == ""
    assert run.err.startswith(f"error: {tmp_path / 'a.pt'}: has weights; a V-JEPA file has one of ema_encoder")
    assert len(run.err.splitlines()) == 1 and not (tmp_path / "out").exists()
