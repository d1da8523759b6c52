"""The trained parts together."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.training.tiny.fakes import small_model
from vljepa_edge.nn.tiny_streams import GRID_WIDTH


def test_a_finished_model_that_trusts_concepts_says_more_of_what_they_say() -> None:
    model, rng = small_model().eval(), torch.Generator().manual_seed(1)
    appearance = torch.randn(4, 8, 10, 640, generator=rng)
    kept = {"appearance": appearance, "luma": torch.rand(4, 8, 56, 56, generator=rng)}
    query = torch.randn(4, 3, 384, generator=rng)
    with torch.inference_mode():
        plain = model.encode_text(appearance[..., GRID_WIDTH:].mean((1, 2)))
        before = (model.predict(kept, query) * plain).sum(-1)
    model.trust_concepts(0.5)
    with torch.inference_mode():
        found = model.predict(kept, query)
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(4))
    assert ((found * plain).sum(-1) > before).all()
    assert F.cosine_similarity(found, plain).max() < 0.999
