"""The guard of the move from a class of tiny's own to `VLJepa`: the losses of both are the same.

LOSSES are of version 0.8's `TinyModel` (motion stem, predictor, head of the Y-encoder, temperature), 50 steps of its
`train_stage` in fp32 on these batches from these weights; the first run of `VLJepa` beside it gave the same bits.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.training.tiny.fakes import small_model, stage
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.tiny import stages
from vljepa_edge.training.tiny.batches import Batch

SIZE, CLIPS, HARD = 6, 12, 3
LOSSES = [
    1.8931916, 1.8295311, 1.8370425, 1.7396054, 1.7624919, 1.5447180, 1.6755327, 1.4850165, 1.2890335, 1.1941192,
    1.3126338, 1.0859033, 0.9871422, 0.8646619, 0.9260413, 0.8810931, 0.5880577, 0.6787227, 0.5616901, 0.5196533,
    0.5589264, 0.6561444, 0.5506455, 0.5108166, 0.5817298, 0.4825163, 0.5064650, 0.5407485, 0.4201069, 0.4122778,
    0.3779975, 0.3604982, 0.2270383, 0.2954164, 0.2826329, 0.3487978, 0.3090436, 0.4089419, 0.2583360, 0.2913330,
    0.2008421, 0.2155493, 0.2415231, 0.1958015, 0.2545418, 0.2494183, 0.2656518, 0.3429011, 0.2236282, 0.2915351,
]  # fmt: skip


def fill(tensors: Mapping[str, nn.Parameter]) -> None:
    """Weights that depend on the names and shapes alone, not on the order in which modules are made."""
    for name, tensor in tensors.items():
        if name == "log_scale":
            continue
        drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(size=tuple(tensor.shape))
        with torch.no_grad():
            if tensor.ndim > 1:
                tensor.copy_(torch.from_numpy(drawn * tensor[0].numel() ** -0.5))
            else:
                norm = name.endswith("weight") or name == "predictor.skip.gate.bias"
                tensor.copy_(torch.from_numpy(0.1 * drawn + norm))


class Drawn:
    """Batches of random cached features: queries of several lengths, some empty, texts that are right for several
    clips, hard negatives, some left out."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.appearance = self._normal(CLIPS, 8, 10, 640)
        self.appearance[..., GRID_WIDTH:] *= 0.02
        self.luma = torch.from_numpy(self.rng.uniform(size=(CLIPS, 8, 56, 56))).float()
        self.texts = F.normalize(self._normal(CLIPS + 6, 384), dim=-1)
        self.queries = self._normal(CLIPS, 5, 384)

    def _normal(self, *shape: int) -> Tensor:
        return torch.from_numpy(self.rng.normal(size=shape)).float()

    def batch(self) -> Batch:
        rows = torch.from_numpy(self.rng.integers(CLIPS, size=SIZE))
        asked = int(self.rng.integers(3)) > 0  # a third of the batches has no query at all
        lengths = torch.from_numpy(self.rng.integers(6, size=SIZE))
        hard = torch.from_numpy(self.rng.integers(CLIPS + 6, size=(SIZE, HARD)))
        return Batch(
            self.appearance[rows], self.luma[rows], self.queries[rows] if asked else None,
            torch.arange(5) < lengths[:, None] if asked else None, [""] * SIZE, self.texts[rows],
            rows, rows[:, None], self.texts[hard], torch.from_numpy(self.rng.random((SIZE, HARD)) < 0.7),
        )  # fmt: skip

    def draws(self) -> object:
        return None


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """fp32 whatever the processor has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(stages, "autocast", lambda: torch.autocast("cpu", enabled=False))
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_fifty_losses_are_those_of_version_0_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, losses = small_model(), []
    fill(dict(stages.trained_parts(model).named_parameters()))
    step = stages._step

    def watched(*arguments: object) -> float:
        losses.append(step(*arguments))  # type: ignore[arg-type]
        return losses[-1]

    monkeypatch.setattr(stages, "_step", watched)
    recipe = stage(steps=len(LOSSES), warmup=5, lr=2e-3, cosine=True)
    stages.train_stage(model, Drawn(), recipe, "clips", tmp_path, lambda _: None)  # type: ignore[arg-type]
    # On the machine of LOSSES they agree to the last digit given; elsewhere sums have another order, and it adds up.
    assert losses == pytest.approx(LOSSES, rel=1e-3)
    assert losses[:5] == pytest.approx(LOSSES[:5], rel=1e-5)
