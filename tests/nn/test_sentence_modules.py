"""The Y-encoder's pooling, Dense modules and repositories of sentence-transformers, against transformers and numpy."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers import PreTrainedModel

from tests.nn.hub_cache import offline, publish
from tests.nn.sentence_repository import Map, maps, sentence, write_repository
from tests.nn.small_models import bert, gemma
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import (
    DenseConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.config_json import from_dict, to_dict
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_y_encoder
from vljepa_edge.nn.y_encoder import YEncoder

both = pytest.mark.parametrize("backbone", [bert, gemma])
TEXTS = [[5, 9, 2, 30, 17, 2, 8], [7, 11, 4], [2, 6, 20, 33]]  # 2 and 3 end a text; the second has none
LENGTH = 9


def padded(left: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask; padding has an id that ends a text."""
    ids, mask = torch.full((len(TEXTS), LENGTH), 2), torch.zeros(len(TEXTS), LENGTH, dtype=torch.long)
    for row, text in enumerate(TEXTS):
        where = slice(LENGTH - len(text), LENGTH) if left else slice(len(text))
        ids[row, where], mask[row, where] = torch.tensor(text), 1
    return ids, mask


def plain(encoder: YEncoder) -> NDArray[np.float64]:
    with torch.no_grad():
        return encoder.eval()(*padded()).double().numpy()


@both
@pytest.mark.parametrize(("mode", "pooling"), [("mean_tokens", "mean"), ("lasttoken", "last")])
@pytest.mark.parametrize("widths", [(24,), (24, 40), (24, 48, 24)], ids=["no Dense", "one", "two"])
def test_a_repositorys_modules_are_taken(
    backbone: Callable[[], PreTrainedModel], mode: str, pooling: str, widths: tuple[int, ...], tmp_path: Path
) -> None:
    dense = maps(*widths)
    source = write_repository(tmp_path, backbone(), dense, pooling=mode)
    config = YEncoderConfig(str(source), 24, widths[-1], head=False, max_tokens=32, modules="take")
    encoder = load_y_encoder(config)
    assert (encoder.config.pooling, len(encoder.config.dense), encoder.config.normalise) == (pooling, len(dense), True)
    token = None if pooling == "mean" else -1
    expected = [sentence(backbone(), text, dense, token) for text in TEXTS]
    np.testing.assert_allclose(plain(encoder), expected, atol=1e-5)
    again = YEncoder(from_dict(YEncoderConfig, to_dict(encoder.config)))
    again.load_state_dict(encoder.state_dict())
    np.testing.assert_array_equal(plain(again), plain(encoder))


def test_the_modules_are_left_by_default(tmp_path: Path) -> None:
    source = write_repository(tmp_path, gemma(), maps(24, 48, 24), pooling="lasttoken")
    found = load_y_encoder(YEncoderConfig(str(source), 24, 24, head=False, max_tokens=32))
    np.testing.assert_allclose(plain(found), [sentence(gemma(), text, []) for text in TEXTS], atol=1e-5)
    assert len(found.dense) == 0 and not found.config.normalise


def test_they_come_from_the_hub_at_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_repository(tmp_path / "made", gemma(), maps(24, 48, 24))
    offline(monkeypatch, tmp_path / "hub")
    publish(tmp_path / "hub", "lab/sentences", "a" * 40, source, "main")
    found = load_y_encoder(YEncoderConfig("lab/sentences", 24, 24, head=False, max_tokens=32, modules="take"))
    np.testing.assert_allclose(plain(found), [sentence(gemma(), t, maps(24, 48, 24)) for t in TEXTS], atol=1e-5)
    with pytest.raises(BundleError, match=r"lab/other/modules\.json: the hub doesn't give it"):
        load_y_encoder(YEncoderConfig("lab/other", 24, 24, max_tokens=32, modules="take"))


@both
@pytest.mark.parametrize(
    ("pooling", "tokens"), [("last", [6, 2, 3]), ("end_token", [2, 2, 0])], ids=["last", "first end, else last"]
)
def test_one_token_is_the_text(backbone: Callable[[], PreTrainedModel], pooling: str, tokens: list[int]) -> None:
    end_ids = (2, 3) if pooling == "end_token" else ()
    config = YEncoderConfig("local", 24, 24, head=False, max_tokens=32, pooling=pooling, end_ids=end_ids)
    expected = [sentence(backbone(), text, [], token) for text, token in zip(TEXTS, tokens, strict=True)]
    np.testing.assert_allclose(plain(YEncoder(config, backbone())), expected, atol=1e-5)


@pytest.mark.parametrize(("pooling", "end_ids"), [("last", ()), ("end_token", (2, 3))])
def test_padding_in_front_is_padding_too(pooling: str, end_ids: tuple[int, ...]) -> None:
    encoder = YEncoder(YEncoderConfig("local", 24, 24, pooling=pooling, end_ids=end_ids), bert())
    states = torch.arange(LENGTH * 24.0).reshape(1, LENGTH, 24).repeat(len(TEXTS), 1, 1)
    (ids, mask), (front, front_mask) = padded(), padded(left=True)
    for row, text in enumerate(TEXTS):
        place = (LENGTH - len(text)) * 24
        found = encoder.pool(states, front_mask, front)[row]
        torch.testing.assert_close(found, encoder.pool(states, mask, ids)[row] + place)


def test_a_text_without_a_token_is_zeros() -> None:
    for pooling, end_ids in (("mean", ()), ("last", ()), ("end_token", (2,))):
        encoder = YEncoder(YEncoderConfig("local", 24, 24, pooling=pooling, end_ids=end_ids), bert())
        none = torch.zeros(1, 4, dtype=torch.long)
        assert not encoder.pool(torch.ones(1, 4, 24), none, none).any()


def test_a_frozen_encoders_modules_do_not_train(tmp_path: Path) -> None:
    source = write_repository(tmp_path, bert(), maps(24, 48, 24))
    for frozen in (True, False):
        config = YEncoderConfig(str(source), 24, 16, frozen=frozen, max_tokens=32, modules="take")
        encoder = load_y_encoder(config).train()
        encoder(*padded()).sum().backward()
        assert encoder.head is not None and encoder.head.weight.grad is not None
        assert all((p.grad is None) == frozen for p in encoder.dense.parameters())


@pytest.mark.parametrize("frozen", [True, False])
def test_a_model_keeps_them(frozen: bool, tmp_path: Path) -> None:
    dense = maps(24, 48, 30)
    source = write_repository(tmp_path / "made", bert(), dense)
    config = VLJepaConfig(
        predictor=PredictorConfig((StreamConfig("a", 6),), 24, 20, LlamaStackConfig(32, 1, 4, 2, 48)),
        y_encoder=YEncoderConfig(str(source), 24, 20, frozen=frozen, max_tokens=32, modules="take", prompt="text: "),
    )
    model = VLJepa.assemble(config)
    head: Any = model.y_encoder.head
    for text, found in zip(TEXTS, plain(model.y_encoder), strict=True):
        expected = head.weight.double().detach().numpy() @ sentence(bert(), text, dense) + head.bias.detach().numpy()
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=1e-5)
    again = VLJepa.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.config == model.config and again.config.y_encoder.prompt == "text: "
    np.testing.assert_array_equal(plain(again.y_encoder), plain(model.y_encoder))
    ids, mask = padded()
    with torch.no_grad():
        pooled = model.y_encoder.pool(model.y_encoder.token_states(ids, mask), mask, ids)
        assert pooled.shape == (3, 30)
        torch.testing.assert_close(model.encode_text(pooled), model.encode_text(ids, mask))


def edited(name: str, change: Callable[[Any], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        change(data)
        (folder / name).write_text(json.dumps(data))

    return edit


def rewritten(folder: Path) -> None:
    save_file({"linear.weight": np.ones((48, 20), np.float32)}, folder / "2_Dense" / "model.safetensors")


def pickled(folder: Path) -> None:
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")


D2, P1 = "2_Dense/config.json", "1_Pooling/config.json"
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no list": (lambda f: (f / "modules.json").unlink(), r"modules\.json: is not here"),
    "no JSON": (lambda f: (f / "modules.json").write_text("{"), r"modules\.json: can't be read"),
    "no rows": (lambda f: (f / "modules.json").write_text("{}"), "must be a list of modules"),
    "order": (edited("modules.json", lambda m: m.reverse()), "allowed are Transformer, Pooling, Dense"),
    "unknown": (
        edited("modules.json", lambda m: m[2].update(type="a.LSTM")),
        "has the modules Transformer, Pooling, LSTM",
    ),
    "elsewhere": (
        edited("modules.json", lambda m: m[0].update(path="0_T")),
        "must be in the folder itself, not in 0_T",
    ),
    "max": (edited(P1, lambda c: c.update(pooling_mode_max_tokens=True)), "must pool by one of .*, got .*max_tokens"),
    "cls": (
        edited(P1, lambda c: c.update(pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)),
        "got pooling_mode_cls_token",
    ),
    "gelu": (edited(D2, lambda c: c.update(activation_function="torch.nn.GELU")), "Identity, Tanh, got 'GELU'"),
    "no size": (edited(D2, lambda c: c.pop("in_features")), "must have in_features and out_features"),
    "negative": (edited(D2, lambda c: c.update(in_features=-1)), "must be positive"),
    "bias": (edited(D2, lambda c: c.update(bias=True)), r"2_Dense/config\.json says .*linear\.bias"),
    "size": (rewritten, r"has \{'linear\.weight': \(48, 20\)\}, but"),
    "pickle": (pickled, r"2_Dense/model\.safetensors: is not here"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_repository_is_refused(name: str, tmp_path: Path) -> None:
    damage, message = BROKEN[name]
    source = write_repository(tmp_path, bert(), maps(24, 48, 24))
    damage(source)
    with pytest.raises(BundleError, match=message) as refused:
        load_y_encoder(YEncoderConfig(str(source), 24, 24, max_tokens=32, modules="take"))
    assert str(source) in str(refused.value)


def test_configs_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for wrong, message in (
        ({"pooling": "max"}, "pooling must be 'mean', 'last' or 'end_token'"),
        ({"pooling": "end_token"}, "needs end_ids"),
        ({"end_ids": (3,)}, "others none"),
        ({"modules": "keep"}, "modules must be 'leave' or 'take'"),
        ({"dense": (DenseConfig(20, 24),)}, "takes 20 numbers, but gets 24"),
        (
            {"dense": (DenseConfig(24, 30), DenseConfig(30, 40)), "head": False},
            "gives 40 numbers, but the shared .* 24",
        ),
    ):
        with pytest.raises(InputError, match=message):
            YEncoderConfig("local", 24, 24, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="activation must be"):
        DenseConfig(2, 2, activation="gelu")
    with pytest.raises(InputError, match="must be positive"):
        DenseConfig(0, 2)
    with pytest.raises(InputError, match="modules must be 'take'"):
        load_y_encoder(YEncoderConfig("local", 24, 24, dense=(DenseConfig(24, 24),)))
    with pytest.raises(InputError, match="needs ids"):
        YEncoder(YEncoderConfig("local", 24, 24, pooling="end_token", end_ids=(2,)), bert()).pool(
            torch.ones(1, 2, 24), torch.ones(1, 2)
        )
    source = write_repository(tmp_path, bert(), [Map(np.ones((30, 24), np.float32), None, False)])
    narrow = YEncoderConfig(str(source), 24, 24, head=False, modules="take")
    with pytest.raises(InputError, match="gives 30 numbers"):
        load_y_encoder(narrow)
    assert load_y_encoder(replace(narrow, embedding=30)).config.pooled == 30
