"""The trained parts together."""

from __future__ import annotations

import torch

from tests.training.fakes import small_model
from vljepa_edge.nn.tiny_streams import GRID_WIDTH


def test_weighing_the_grid_is_the_same_as_showing_that_much_of_it() -> None:
    model, rng = small_model().eval(), torch.Generator().manual_seed(1)
    appearance = torch.randn(4, 8, 10, 640, generator=rng)
    luma, query = torch.rand(4, 8, 56, 56, generator=rng), torch.randn(4, 3, 384, generator=rng)
    weaker = appearance.clone()
    weaker[..., :GRID_WIDTH] *= 0.7
    with torch.inference_mode():
        before, expected = model(appearance, luma, query), model(weaker, luma, query)
        model.weigh_grid(0.7)
        found = model(appearance, luma, query)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert not torch.allclose(found, before, atol=1e-3)
