"""Where the time goes: parts timed in turns, and what decoding less saves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.toy_bundle import write_toy_bundle
from tests.training.tiny.fakes import fake_features, small_model
from vljepa_edge.model import load
from vljepa_edge.nn.config import LlamaStackConfig, TokenPredictorConfig, YDecoderConfig
from vljepa_edge.nn.token_predictor import TokenPredictor
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.perception.text import Query
from vljepa_edge.training.reproduction import latency
from vljepa_edge.training.reproduction.experiment import FAILS, HOLDS, OPEN
from vljepa_edge.training.reproduction.latency import HOP, QUERY, SEEN, TEXT, bundle_parts, interleaved, saved, summary
from vljepa_edge.training.reproduction.latency_torch import WRITTEN, Pair, parts, threads
from vljepa_edge.training.tiny.captions import Scene


class Clock:
    """Time that goes on only where a part says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float, calls: list[str], name: str) -> latency.Part:
        def part(number: int) -> None:
            calls.append(name)
            self.now += seconds * (1 + number % 2)

        return part


def test_each_round_calls_every_part_once_in_a_new_order() -> None:
    clock, calls = Clock(), list[str]()
    parts = {name: clock.taking(seconds, calls, name) for name, seconds in (("a", 0.001), ("b", 0.02), ("c", 0.3))}
    found = interleaved(parts, 40, clock)
    assert calls[:3] == ["a", "b", "c"] and len(calls) == 3 * 41
    rounds = [tuple(calls[3 * number : 3 * number + 3]) for number in range(1, 41)]
    assert all(sorted(own) == ["a", "b", "c"] for own in rounds) and len(set(rounds)) == 6
    assert found["b"] == pytest.approx(np.tile([20.0, 40.0], 20)) and found["c"][0] == pytest.approx(300.0)


def test_what_is_saved_is_the_share_of_decodes_that_never_run() -> None:
    assert saved(126, 203, 1.0) == 0.0 and saved(0, 5, 0.25) == pytest.approx(75.0)
    hops, text, share = 1000, 203, 0.35
    always, seldom = hops * (126 + text), hops * 126 + share * hops * text
    assert saved(126, text, share) == pytest.approx(100 * (always - seldom) / always)


def test_a_summary_is_of_medians_and_leaves_out_what_was_not_timed() -> None:
    times = {QUERY: np.array([1.0, 9.0, 2.0]), SEEN: np.array([10.0, 10.0, 30.0]), TEXT: np.array([20.0] * 3)}
    found = summary(times)
    assert found[QUERY] == 2.0 and found[latency.BEFORE_TEXT] == 12.0 and HOP not in found
    assert found["saved at 35%, window"] == pytest.approx(0.65 * 20 / 30 * 100)
    assert summary({**times, HOP: np.array([5.0])})["saved at 10%, hop"] == pytest.approx(0.9 * 20 / 25 * 100)


def test_the_parts_of_a_bundle_do_what_they_are_named_after(tmp_path: Path) -> None:
    model = load(write_toy_bundle(tmp_path / "toy"))
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 256, (8, 32, 32, 3), np.uint8) for _ in range(3)]
    parts = bundle_parts(model, clips)
    seen = [np.asarray(parts[SEEN](number)) for number in range(4)]
    assert np.array_equal(seen[0], seen[3]) and not np.allclose(seen[0], seen[1])
    hops = [np.asarray(parts[HOP](number)) for number in range(8)]
    assert hops[7] == pytest.approx(seen[0], abs=1e-6)
    assert parts[TEXT](1) == model.decode_text(seen[1])
    asked, query = parts[QUERY](0), model.text.query(model.manifest.text.default_query)
    assert isinstance(asked, Query) and np.array_equal(asked.tokens, query.tokens)


def test_a_token_model_and_a_decoder_write_equally_long_texts_of_what_the_encoder_saw() -> None:
    model = small_model()
    model.attach_y_decoder(
        YDecoder(YDecoderConfig(30, 32, 2, 2, 48, max_tokens=16, embedding=model.config.predictor.embedding))
    )
    assert model.y_decoder is not None
    sizes = model.config.predictor
    stack = LlamaStackConfig(32, 2, 2, 2, 48, max_positions=sizes.stack.max_positions + WRITTEN + 1)
    tokens = TokenPredictor(TokenPredictorConfig(sizes.streams, sizes.query_dim, 30, stack, WRITTEN + 1))
    features = [fake_features(Scene(motion, "owl")) for motion in ("left", "grow")]
    clips = [{name: torch.from_numpy(one)[None].float() for name, one in own.items()} for own in features]
    ids = torch.tensor([[1, 2, 3]])
    found = parts(Pair(model.eval(), tokens.eval(), ids), clips)
    with torch.inference_mode():
        wanted = model.predict(clips[1], ids, torch.ones_like(ids, dtype=torch.bool))
        assert torch.allclose(found[SEEN](3), wanted, atol=1e-6)  # type: ignore[arg-type]
        assert found[TEXT](1) == model.y_decoder.generate(wanted, 0, -1)[0][:WRITTEN]
        said = tokens.generate(model.streams(clips[1]), 0, -1, model.query_states(ids), torch.ones_like(ids))
    assert found[latency.TOKENS](1) == said[0] and len(said[0]) == WRITTEN
    assert found.keys() == latency.PAPER.keys()


def test_pytorch_computes_on_other_threads_only_meanwhile() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_claim_is_not_decided_without_a_token_model_and_fails_where_decoding_is_quick() -> None:
    judge, name = latency.LATENCY.judge, latency.PYTORCH.name
    own = {"query embedding": 1.0, SEEN: 10.0, TEXT: 30.0, latency.BEFORE_TEXT: 11.0}
    slow = {seed: own | {TEXT: 30.0 + seed} for seed in range(3)}
    assert judge({name: slow}).outcome == OPEN
    whole = {seed: found | {latency.TOKENS: 50.0} for seed, found in slow.items()}
    assert judge({name: whole}).outcome == HOLDS
    quick = {seed: found | {TEXT: 2.0} for seed, found in whole.items()}
    verdict = judge({name: quick})
    assert verdict.outcome == FAILS and any(TEXT in line for line in verdict.why)
