"""The Y-encoder around transformers' sentence encoders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from transformers import Gemma3TextConfig, PreTrainedConfig, PreTrainedModel

from tests.nn.small_models import bert, gemma
from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import YEncoderConfig
from vljepa_edge.nn.y_encoder import YEncoder

CONFIG = YEncoderConfig("local", hidden=24, embedding=24, max_tokens=48)
both = pytest.mark.parametrize("backbone", [bert, gemma])
IDS = torch.randint(3, 40, (2, 30), generator=torch.Generator().manual_seed(2))
MASK = (torch.arange(30) < torch.tensor([[30], [20]])).long()


@both
def test_identity_head_gives_the_mean_over_tokens(backbone: Callable[[], PreTrainedModel]) -> None:
    model = backbone()
    states = model(input_ids=IDS[1:, :20], attention_mask=MASK[1:, :20]).last_hidden_state
    found = YEncoder(CONFIG, model).eval()(IDS, MASK)
    torch.testing.assert_close(found[1:], F.normalize(states.mean(1), dim=-1), atol=1e-5, rtol=0)


@both
def test_padding_changes_nothing(backbone: Callable[[], PreTrainedModel]) -> None:
    encoder = YEncoder(CONFIG, backbone()).eval()
    other = torch.where(MASK.bool(), IDS, 7)
    torch.testing.assert_close(encoder(other, MASK), encoder(IDS, MASK), atol=1e-6, rtol=0)


@both
def test_the_first_token_sees_the_last(backbone: Callable[[], PreTrainedModel]) -> None:
    encoder = YEncoder(CONFIG, backbone()).eval()
    changed = IDS.clone()
    changed[:, 19] = (changed[:, 19] + 1) % 40
    difference = (encoder.token_states(IDS, MASK) - encoder.token_states(changed, MASK))[:, 0]
    assert bool((difference.abs().amax(-1) > 1e-4).all())


@both
def test_rebuilt_from_its_config_it_is_the_same(backbone: Callable[[], PreTrainedModel]) -> None:
    encoder = YEncoder(CONFIG, backbone()).eval()
    again = YEncoder(YEncoder(encoder.config).config)  # twice: EmbeddingGemma's window must not halve each time
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again.eval()(IDS, MASK), encoder.eval()(IDS, MASK), atol=0, rtol=0)


def test_the_window_stays_where_transformers_writes_the_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As 5.2 does, the oldest that is allowed: its Gemma 3 has no `to_dict` of its own."""
    expected = YEncoder(CONFIG, gemma()).config.architecture
    monkeypatch.setattr(Gemma3TextConfig, "to_dict", PreTrainedConfig.to_dict)
    assert gemma().config.to_dict()["sliding_window"] == 9
    encoder = YEncoder(CONFIG, gemma())
    for _ in range(3):
        assert encoder.backbone.config.sliding_window == 9  # of 16 on the hub: 8 on each side, and the token itself
        assert encoder.config.architecture == expected
        encoder = YEncoder(encoder.config)


def test_frozen_means_no_gradient_and_no_dropout() -> None:
    encoder = YEncoder(YEncoderConfig("local", 24, 24, frozen=True, max_tokens=48), bert()).train()
    torch.testing.assert_close(encoder(IDS, MASK), encoder(IDS, MASK), atol=0, rtol=0)
    encoder(IDS, MASK).sum().backward()
    assert all(p.grad is None for p in encoder.backbone.parameters())
    assert encoder.head is not None and encoder.head.weight.grad is not None


def test_wrong_inputs_are_refused() -> None:
    encoder = YEncoder(CONFIG, bert()).eval()
    long = IDS.repeat(1, 2), MASK.repeat(1, 2)
    for ids, mask in ((IDS[0], MASK[0]), (IDS, MASK[:, :5]), (IDS[:, :0], MASK[:, :0]), long):
        with pytest.raises(InputError):
            encoder(ids, mask)
    with pytest.raises(InputError, match="hidden"):
        YEncoder(YEncoderConfig("local", 32, 24), bert())
    with pytest.raises(InputError, match="without a head"):
        YEncoderConfig("local", 32, 24, head=False)
    with pytest.raises(InputError, match="architecture"):
        YEncoder(CONFIG)
    with pytest.raises(InputError, match="can't build"):
        YEncoder(YEncoderConfig("local", 24, 24, architecture={"model_type": "no such thing"}))
