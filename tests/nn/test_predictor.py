"""The predictor: both ways of seeing, padding, the ConSE paths, export."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import ConceptConfig, LlamaStackConfig, PredictorConfig, StreamConfig
from vljepa_edge.nn.llama import LlamaStack
from vljepa_edge.nn.predictor import Predictor

STACK = LlamaStackConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, max_positions=64)
PAPER = PredictorConfig((StreamConfig("x_encoder", 24),), query_dim=20, embedding=12, stack=STACK)
TINY = PredictorConfig(
    streams=(
        StreamConfig("motion", 6, positions=(1, 5)),
        StreamConfig("appearance", 20, positions=(2, 3), tubelet=2, scale=2.0),
    ),
    query_dim=12,
    embedding=12,
    stack=STACK,
    concept=ConceptConfig("appearance", start=8, width=12, scale=5.0),
)


def make(config: PredictorConfig) -> Predictor:
    torch.manual_seed(0)
    predictor = Predictor(config).eval()
    for parameter in predictor.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return predictor


def streams(config: PredictorConfig, batch: int = 2) -> dict[str, Tensor]:
    torch.manual_seed(1)
    if config.concept is None:
        return {"x_encoder": torch.randn(batch, 7, 24)}
    return {"appearance": torch.randn(batch, 4, 3, 20), "motion": torch.randn(batch, 5, 6)}


TRUSTING = replace(TINY, concept=ConceptConfig("appearance", start=8, width=12, scale=5.0, trust=0.4))
both = pytest.mark.parametrize("config", [PAPER, TINY, TRUSTING], ids=["paper", "tiny", "trusting"])


@both
def test_embedding_is_unit_norm(config: PredictorConfig) -> None:
    query = torch.randn(2, 4, config.query_dim)
    embedding = make(config)(streams(config), query, torch.ones(2, 4))
    assert embedding.shape == (2, 12)
    torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(2))


@both
def test_vision_tokens_see_the_query(config: PredictorConfig) -> None:
    predictor = make(replace(config, concept=None))
    vision = streams(config)
    query = torch.randn(2, 4, config.query_dim, requires_grad=True)
    count = sum(7 if n == "x_encoder" else 5 if n == "motion" else 6 for n in vision)
    states = predictor.states(vision, query).tokens[:, :count]
    other = predictor.states(vision, query + 1).tokens[:, :count]
    assert bool(((states - other).abs().amax(-1) > 1e-3).all())
    (gradient,) = torch.autograd.grad(states[:, 0].sum(), query)
    assert bool((gradient.abs().amax(-1) > 0).all()), "the first vision token sees every query token"


@both
def test_the_query_sees_the_vision_tokens(config: PredictorConfig) -> None:
    predictor = make(config)
    query = torch.randn(2, 4, config.query_dim)
    vision = {name: t.requires_grad_() for name, t in streams(config).items()}
    states = predictor.states(vision, query).tokens[:, -4:]
    for gradient in torch.autograd.grad(states.sum(), list(vision.values())):
        assert bool((gradient.abs().amax(-1) > 0).all())


def test_a_causal_predictor_attends_as_transformers_llama_does() -> None:
    from transformers import LlamaConfig, LlamaModel

    config = replace(PAPER, causal=True)
    torch.manual_seed(3)
    llama = LlamaModel(
        LlamaConfig(
            vocab_size=8, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5,
        )
    ).eval()  # fmt: skip
    predictor = make(config)
    predictor.stack.load_state_dict(LlamaStack.from_hf(llama).state_dict())
    query, mask = torch.randn(2, 4, 20), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    seen = streams(config)
    with torch.no_grad():
        tokens = torch.cat((predictor.streams["x_encoder"](seen["x_encoder"]), predictor.query(query)), 1)
        real = torch.cat((torch.ones(2, 7, dtype=torch.int64), mask), 1)
        expected = llama(inputs_embeds=tokens, attention_mask=real).last_hidden_state
        weight = real[..., None].float()
        pooled = predictor.head((expected * weight).sum(1) / weight.sum(1))
        found = predictor(seen, query, mask)
        torch.testing.assert_close(found, nn.functional.normalize(pooled, dim=-1), atol=1e-5, rtol=0)
        torch.testing.assert_close(
            predictor.states(seen, query, mask).tokens[:, :7], expected[:, :7], atol=1e-5, rtol=0
        )
        blind = predictor.states(seen, torch.randn(2, 4, 20), mask).tokens  # vision does not see the query
        torch.testing.assert_close(blind[:, :7], expected[:, :7], atol=1e-5, rtol=0)


@both
def test_padding_changes_nothing(config: PredictorConfig) -> None:
    predictor = make(config)
    vision = streams(config)
    query = torch.randn(2, 4, config.query_dim)
    padded = torch.cat((query, 100 * torch.randn(2, 6, config.query_dim)), dim=1)
    mask = (torch.arange(10) < 4).expand(2, -1)
    expected = predictor(vision, query)
    torch.testing.assert_close(predictor(vision, padded, mask), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(predictor(vision, query, torch.ones(2, 4)), expected, atol=1e-6, rtol=0)


@both
def test_only_padding_equals_no_query(config: PredictorConfig) -> None:
    predictor = make(config)
    vision = streams(config)
    blank = predictor(vision, torch.randn(2, 3, config.query_dim), torch.zeros(2, 3))
    torch.testing.assert_close(blank, predictor(vision), atol=1e-6, rtol=0)


def test_a_tubelet_is_the_mean_of_its_frames() -> None:
    predictor = make(TINY)
    vision = streams(TINY)
    mean = vision["appearance"].reshape(2, 2, 2, 3, 20).mean(2).repeat_interleave(2, dim=1)
    torch.testing.assert_close(predictor({**vision, "appearance": mean}), predictor(vision), atol=1e-6, rtol=0)


def test_features_beyond_the_channels_of_a_stream_are_not_read() -> None:
    motion, appearance = TINY.streams
    predictor = make(replace(TINY, streams=(motion, replace(appearance, channels=8)), concept=None))
    vision = streams(TINY)
    said = predictor(vision)
    vision["appearance"][..., 8:] = torch.randn_like(vision["appearance"][..., 8:])
    torch.testing.assert_close(predictor(vision), said, atol=0, rtol=0)
    vision["appearance"][..., 7] += 1.0
    assert not torch.allclose(predictor(vision), said)


def test_untrained_skip_is_the_readout_of_the_concepts() -> None:
    torch.manual_seed(0)
    predictor = Predictor(TINY)
    concept = nn.functional.normalize(torch.randn(2, 12), dim=-1)
    vision = streams(TINY)
    vision["appearance"][..., 8:] = concept[:, None, None]
    cosine = (predictor(vision, torch.randn(2, 4, 12)) * concept).sum(-1)
    assert cosine.min() > 0.98


def test_trusted_concepts_are_read_as_the_y_encoder_would_however_much_the_rest_was_trained() -> None:
    predictor, head, vision = make(TINY), nn.Linear(12, 12), streams(TINY)
    assert predictor.skip is not None
    for linear in (predictor.head, predictor.skip.project):  # as if training had silenced every other way
        nn.init.zeros_(linear.weight)
    nn.init.zeros_(predictor.head.bias)
    predictor.trust_concepts(0.3, head)
    expected = nn.functional.normalize(head(vision["appearance"][..., 8:].mean((1, 2))), dim=-1)
    torch.testing.assert_close(predictor(vision, torch.randn(2, 4, 12)), expected)


def test_trust_is_beside_what_was_trained_and_none_of_it_changes_nothing() -> None:
    predictor, trusting, head = make(TINY), make(TINY), nn.Linear(12, 12)
    vision, query = streams(TINY), torch.randn(2, 4, 12)
    before = predictor(vision, query)
    for trust in (0.0, 1e-6):
        fresh = make(TINY)
        fresh.trust_concepts(trust, head)
        torch.testing.assert_close(fresh(vision, query), before, atol=1e-5, rtol=0)
    trusting.trust_concepts(5.0, head)
    plain = nn.functional.normalize(head(vision["appearance"][..., 8:].mean((1, 2))), dim=-1)
    nearer = (trusting(vision, query) * plain).sum(-1) - (before * plain).sum(-1)
    assert (nearer > 0.1).all()
    assert Predictor(trusting.config).load_state_dict(trusting.state_dict()) is not None


def test_untrained_match_compares_what_is_said_without_a_query_with_the_query() -> None:
    predictor = make(TINY)
    assert predictor.match is not None
    for linear in (predictor.match.say, predictor.match.ask):
        nn.init.eye_(linear.weight)
    told: list[Tensor] = []
    predictor.match.inner.register_forward_pre_hook(lambda module, arguments: told.append(arguments[0]))
    vision, query = streams(TINY), torch.randn(2, 4, 12)
    predictor(vision, query, torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]))
    mean = torch.stack((query[0].mean(0), query[1, :2].mean(0)))
    width = predictor.match.say.out_features
    said, asked = predictor(vision)[:, :width], mean[:, :width]
    expected = 10 * nn.functional.cosine_similarity(said, asked, dim=-1)
    torch.testing.assert_close(told[0][:, -1], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(told[0][:, STACK.hidden : -1].sum(-1), expected, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_it_learns_to_say_whether_the_scene_holds_what_the_query_names() -> None:
    """Things are vectors drawn again for every batch, so the answer has to be learned as a comparison."""
    torch.manual_seed(0)
    predictor = Predictor(TINY)
    answers = nn.functional.normalize(torch.randn(2, 12), dim=-1)  # no, yes
    optimiser = torch.optim.Adam(predictor.parameters(), 3e-3)

    def loss_and_accuracy() -> tuple[Tensor, float]:
        thing, other = torch.randn(2, 128, 12)
        yes = torch.arange(128) % 2
        vision = {"appearance": torch.randn(128, 4, 3, 20), "motion": torch.randn(128, 5, 6)}
        vision["appearance"][..., 8:] = nn.functional.normalize(thing, dim=-1)[:, None, None]
        query = torch.where(yes[:, None] == 1, thing, other)[:, None] + 0.3 * torch.randn(128, 3, 12)
        scores = predictor(vision, query) @ answers.T * 10
        return nn.functional.cross_entropy(scores, yes), (scores.argmax(-1) == yes).float().mean().item()

    for _ in range(250):
        loss, _ = loss_and_accuracy()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert sum(loss_and_accuracy()[1] for _ in range(5)) / 5 > 0.85


class Positional(nn.Module):
    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.predictor = predictor

    def forward(self, appearance: Tensor, motion: Tensor, query: Tensor, mask: Tensor) -> Tensor:
        embedding: Tensor = self.predictor({"appearance": appearance, "motion": motion}, query, mask)
        return embedding


def test_onnx_equals_torch_at_any_query_length(tmp_path: Path) -> None:
    predictor = make(TINY)
    vision = streams(TINY, batch=1)
    file = str(tmp_path / "graph.onnx")
    names = ["appearance", "motion", "query_tokens", "query_mask"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Positional(predictor).eval(),
            (vision["appearance"], vision["motion"], torch.randn(1, 5, 12), torch.ones(1, 5, dtype=torch.long)),
            file,
            dynamo=False,
            opset_version=20,
            input_names=names,
            dynamic_axes={"query_tokens": {1: "L"}, "query_mask": {1: "L"}},
        )
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    for length in (1, 5, 23):
        query = torch.randn(1, length, 12)
        mask = (torch.arange(length) <= length // 2).long()[None]
        arrays = [t.numpy() for t in (vision["appearance"], vision["motion"], query, mask)]
        (found,) = session.run(None, dict(zip(names, arrays, strict=True)))
        with torch.no_grad():
            expected = predictor(vision, query, mask).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_wrong_inputs_are_refused() -> None:
    predictor = make(TINY)
    good = streams(TINY)
    query = torch.randn(2, 4, 12)
    for vision, tokens, mask, message in (
        ({"motion": good["motion"]}, query, None, "streams must be"),
        ({**good, "sound": query}, query, None, "streams must be"),
        ({**good, "motion": good["motion"][..., :5]}, query, None, "motion"),
        ({**good, "motion": good["motion"][:, :4]}, query, None, "positions"),
        ({**good, "appearance": good["appearance"][:, :3]}, query, None, "tubelet"),
        ({**good, "appearance": good["appearance"][:, :2]}, query, None, "positions"),
        (good, query[..., :11], None, "query_tokens"),
        (good, query[:, :0], None, "query_tokens"),
        (good, query, torch.ones(2, 5), "query_mask"),
        (good, query[:1], None, "batch"),
        (good, None, torch.ones(2, 4), "query_mask"),
    ):
        with pytest.raises(InputError, match=message):
            predictor(vision, tokens, mask)


def test_configs_that_do_not_fit_are_refused() -> None:
    assert TINY.concept is not None
    for change, message in (
        ({"concept": replace(TINY.concept, stream="sound")}, "sound"),
        ({"streams": (TINY.streams[0], replace(TINY.streams[1], channels=8))}, "channels must be None"),
        ({"concept": replace(TINY.concept, width=13)}, "outside"),
        ({"streams": TINY.streams[:1] * 2, "concept": None}, "differ"),
        ({"streams": (), "concept": None}, "at least one"),
        ({"dropout": 1.0}, "dropout"),
    ):
        with pytest.raises(InputError, match=message):
            replace(TINY, **change)
