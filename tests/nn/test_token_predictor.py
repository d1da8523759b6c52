"""The token predictor against transformers' Llama in float64, and its cached ways against its plain one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import LlamaStackConfig, StreamConfig, TokenPredictorConfig
from vljepa_edge.nn.token_predictor import TokenPredictor

STACK = LlamaStackConfig(hidden=32, layers=3, heads=4, kv_heads=2, ffn=48, max_positions=64)
CONFIG = TokenPredictorConfig(
    streams=(StreamConfig("look", 12, positions=(2, 3), tubelet=2), StreamConfig("motion", 5, scale=2.0)),
    query_dim=10, vocab=40, stack=STACK, max_tokens=9,
)  # fmt: skip
ROWS, LENGTH = 3, 7
START, END = 0, 1


@pytest.fixture(scope="module")
def predictor() -> TokenPredictor:
    torch.manual_seed(0)
    made = TokenPredictor(CONFIG).double().eval()
    for parameter in made.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return made


@pytest.fixture(scope="module")
def llama(predictor: TokenPredictor) -> LlamaForCausalLM:
    """transformers' own model with the same weights, given embeddings."""
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=48, rms_norm_eps=STACK.rms_eps, tie_word_embeddings=True, attn_implementation="sdpa",
            rope_parameters={"rope_type": "default", "rope_theta": STACK.rope_theta},
        )
    ).double().eval()  # fmt: skip
    state = {"model.norm.weight": predictor.stack.norm.weight, "model.embed_tokens.weight": predictor.tokens.weight,
             "lm_head.weight": predictor.tokens.weight}  # fmt: skip
    for i, layer in enumerate(predictor.stack.layers):
        own, name = layer.state_dict(), f"model.layers.{i}"
        q, k, v = own["qkv.weight"].split([32, 16, 16])
        gate, up = own["gate_up.weight"].chunk(2)
        state |= {
            f"{name}.input_layernorm.weight": own["attention_norm.weight"], f"{name}.self_attn.q_proj.weight": q,
            f"{name}.self_attn.k_proj.weight": k, f"{name}.self_attn.v_proj.weight": v,
            f"{name}.self_attn.o_proj.weight": own["out.weight"], f"{name}.mlp.gate_proj.weight": gate,
            f"{name}.post_attention_layernorm.weight": own["ffn_norm.weight"], f"{name}.mlp.up_proj.weight": up,
            f"{name}.mlp.down_proj.weight": own["down.weight"],
        }  # fmt: skip
    made.load_state_dict(state)
    return made


def inputs(rows: int = ROWS) -> tuple[dict[str, Tensor], Tensor, Tensor, Tensor]:
    """Streams, ids from the start token, a query and its mask: rows of 5, 2 and no token."""
    rng = torch.Generator().manual_seed(1)
    streams = {"look": torch.randn(rows, 4, 3, 12, generator=rng, dtype=torch.float64),
               "motion": torch.randn(rows, 2, 5, generator=rng, dtype=torch.float64)}  # fmt: skip
    ids = torch.randint(2, 40, (rows, LENGTH), generator=rng)
    ids[:, 0] = START
    query = torch.randn(rows, 5, 10, generator=rng, dtype=torch.float64)
    return streams, ids, query, torch.arange(5) < torch.tensor([5, 2, 0])[:rows, None]


def embedded(predictor: TokenPredictor, streams: Mapping[str, Tensor], query: Tensor, row: int) -> Tensor:
    """Vision and query of one row, written out by hand. query: without padding."""
    look, motion = streams["look"][row], streams["motion"][row]
    own = predictor.state_dict()
    tubes = look.reshape(2, 2, 3, 12).mean(1).reshape(6, 12)
    place = (own["streams.look.time"] + own["streams.look.space"]).reshape(6, 32)
    first = tubes @ own["streams.look.project.weight"].T + own["streams.look.project.bias"] + place
    second = 2.0 * motion @ own["streams.motion.project.weight"].T + own["streams.motion.project.bias"]
    return torch.cat((first, second, query @ own["query.weight"].T + own["query.bias"]))


def test_logits_and_loss_are_those_of_transformers_llama(predictor: TokenPredictor, llama: LlamaForCausalLM) -> None:
    """Row by row there, without any padding; here all rows at once."""
    streams, ids, query, mask = inputs()
    with torch.no_grad():
        logits = predictor(streams, ids[:, :-1], query, mask)
        for row in range(ROWS):
            prefix = embedded(predictor, streams, query[row][mask[row]], row)
            whole = torch.cat((prefix, llama.model.embed_tokens(ids[row])))[None]
            labels = torch.cat((torch.full((len(prefix) + 1,), -100), ids[row, 1:]))[None]
            theirs = llama(inputs_embeds=whole, labels=labels)
            torch.testing.assert_close(logits[row], theirs.logits[0, len(prefix) : -1], atol=1e-5, rtol=1e-5)
            ours = F.cross_entropy(logits[row], ids[row, 1:])
            assert float(ours) == pytest.approx(float(theirs.loss), abs=1e-6)


def test_no_logit_sees_what_comes_after_and_all_see_vision_and_query(predictor: TokenPredictor) -> None:
    streams, ids, query, mask = inputs()
    changed = ids.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 40
    with torch.no_grad():
        before = predictor(streams, ids, query, mask)
        assert torch.equal(before[:, :4], predictor(streams, changed, query, mask)[:, :4])
        assert bool(((before - predictor(streams, changed, query, mask))[:, 4:].abs().amax(-1) > 1e-4).all())
        other = predictor({**streams, "motion": streams["motion"] + 1}, ids, query, mask)
        assert bool(((before - other).abs().amax(-1) > 1e-4).all())
        asked = predictor(streams, ids, query + 1, mask)
        assert bool(((before - asked).abs().amax(-1) > 1e-4)[:2].all())
        assert torch.equal(before[2], asked[2])  # whose query has no token


def test_how_far_a_query_is_padded_changes_nothing(predictor: TokenPredictor) -> None:
    streams, ids, query, mask = inputs()
    longer, wider = torch.cat((query, query), 1), torch.cat((mask, torch.zeros_like(mask)), 1)
    with torch.no_grad():
        found = predictor(streams, ids, query, mask)
        torch.testing.assert_close(predictor(streams, ids, longer, wider), found, atol=1e-5, rtol=1e-5)
        free = predictor({name: value[2:] for name, value in streams.items()}, ids[2:])
        torch.testing.assert_close(free, found[2:], atol=1e-5, rtol=1e-5)


def test_greedy_text_with_a_cache_is_that_without(predictor: TokenPredictor) -> None:
    streams, _, query, mask = inputs()
    end = 7
    said = predictor.generate(streams, START, end, query, mask)
    for row in range(ROWS):
        own, ids = {name: value[row : row + 1] for name, value in streams.items()}, [START]
        while len(ids) < CONFIG.max_tokens and end not in ids:
            with torch.no_grad():
                logits = predictor(own, torch.tensor([ids]), query[row : row + 1], mask[row : row + 1])
            ids.append(int(logits[0, -1].argmax()))
        assert said[row] == [token for token in ids[1:] if token != end]
    assert len({tuple(row) for row in said}) > 1
    first = said[0][2]
    assert predictor.generate(streams, START, first, query, mask)[0] == said[0][: said[0].index(first)]


def test_the_likelihood_of_an_answer_is_the_mean_of_its_tokens(predictor: TokenPredictor) -> None:
    """Against transformers-checked logits: perplexity is its exponential, whatever the answer's length."""
    streams, _, query, mask = inputs()
    ids = torch.tensor([[START, 5, 9, END], [START, 8, END, 33], [START, 5, 30, 11]])
    counts = [4, 3, 4]
    valid = torch.arange(4) < torch.tensor(counts)[:, None]
    found = predictor.log_likelihood(streams, ids, valid, query, mask)
    assert found.shape == (ROWS, 3)
    for answer, count in enumerate(counts):
        own = ids[answer, :count].expand(ROWS, -1)
        with torch.no_grad():
            logits = predictor(streams, own[:, :-1], query, mask)
        expected = -F.cross_entropy(logits.transpose(1, 2), own[:, 1:], reduction="none").mean(1)
        torch.testing.assert_close(found[:, answer].double(), expected, atol=1e-5, rtol=1e-5)


def test_wrong_shapes_are_refused(predictor: TokenPredictor) -> None:
    streams, ids, _, _ = inputs()
    with pytest.raises(InputError, match=r"streams must be \['look', 'motion'\], not \['look'\]"):
        predictor({"look": streams["look"]}, ids)
    with pytest.raises(InputError, match=r"ids must be \(3, 1 to 9\), not \(3, 10\)"):
        predictor(streams, torch.zeros(3, 10, dtype=torch.int64))
    with pytest.raises(InputError, match="each answer must have a token after its start"):
        predictor.log_likelihood(streams, ids, torch.arange(LENGTH).expand(3, -1) < 1)
    with pytest.raises(InputError, match="at least one stream"):
        TokenPredictorConfig((), 1, 2, STACK)
