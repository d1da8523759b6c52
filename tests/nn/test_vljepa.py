"""The complete model: assembled from parts that transformers saved, saved, loaded, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tests.nn.small_models import bert, features, frames, gemma, vjepa2
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import (
    ConceptConfig,
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YDecoderConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_x_encoder, load_y_encoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig

STACK = LlamaStackConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, rope_theta=10000.0, max_positions=64)
DECODER = YDecoderConfig(vocab=50, hidden=16, layers=1, heads=2, ffn=16, prefix=2, max_tokens=6, embedding=20)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as the hub has them: vjepa2, llama, bert, gemma."""
    root = tmp_path_factory.mktemp("sources")
    vjepa2().save_pretrained(root / "vjepa2")
    torch.manual_seed(3)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    llama = LlamaConfig(vocab_size=50, num_hidden_layers=4, rms_norm_eps=1e-5, initializer_range=0.2, **sizes)
    LlamaForCausalLM(llama).save_pretrained(root / "llama")
    words = {f"w{i}": i for i in range(50)}
    tokenizer: Any = PreTrainedTokenizerFast
    tokenizer(tokenizer_object=Tokenizer(models.WordLevel(words, "w0"))).save_pretrained(root / "llama")
    bert().save_pretrained(root / "bert")
    gemma().save_pretrained(root / "gemma")
    return root


def paper(sources: Path, text: str = "gemma") -> VLJepaConfig:
    """The paper's shape, small."""
    return VLJepaConfig(
        x_encoder=XEncoderConfig(str(sources / "vjepa2"), hidden=48, layers=2, heads=2, ffn=192, size=48),
        language_model=LanguageModelConfig(str(sources / "llama"), "last 2", vocab=50, hidden=32, max_tokens=16),
        predictor=PredictorConfig((StreamConfig("x_encoder", 48),), query_dim=32, embedding=20, stack=STACK),
        y_encoder=YEncoderConfig(str(sources / text), hidden=24, embedding=20, max_tokens=32),
        y_decoder=DECODER,
    )


def tiny(sources: Path) -> VLJepaConfig:
    """The tiny model's shape: streams from outside, the query through the frozen sentence encoder."""
    return VLJepaConfig(
        predictor=PredictorConfig(
            (StreamConfig("appearance", 30, positions=(2, 3), tubelet=2), StreamConfig("motion", 6)),
            query_dim=24,
            embedding=24,
            stack=STACK,
            concept=ConceptConfig("appearance", 6, 24),
        ),
        y_encoder=YEncoderConfig(str(sources / "bert"), hidden=24, embedding=24, frozen=True, max_tokens=32),
    )


IDS = torch.randint(3, 40, (2, 9), generator=torch.Generator().manual_seed(4))
MASK = (torch.arange(9) < torch.tensor([[9], [5]])).long()


def outputs(model: VLJepa) -> tuple[Tensor, Tensor]:
    torch.manual_seed(5)
    video: Any = frames(4)
    if model.x_encoder is None:
        video = {"appearance": torch.randn(2, 4, 3, 30), "motion": torch.randn(2, 5, 6)}
    with torch.no_grad():
        pair: tuple[Tensor, Tensor] = model.eval()(video, IDS, MASK, IDS, MASK)
    return pair


shapes = pytest.mark.parametrize("config", [paper, tiny])


@shapes
def test_both_sides_are_unit_norm_in_one_space(sources: Path, config: Callable[[Path], VLJepaConfig]) -> None:
    for embedding in outputs(VLJepa.assemble(config(sources))):
        assert embedding.shape == (2, config(sources).predictor.embedding)
        torch.testing.assert_close(embedding.norm(dim=-1), torch.ones(2))


def test_assembled_parts_carry_the_real_weights(sources: Path) -> None:
    model = VLJepa.assemble(paper(sources))
    assert model.x_encoder is not None and model.query_embedding is not None
    torch.testing.assert_close(model.x_encoder(frames(4)), features(vjepa2(), frames(4)), atol=2e-5, rtol=0)
    llama = LlamaForCausalLM.from_pretrained(sources / "llama")
    torch.testing.assert_close(model.query_tokens(IDS), llama.model.embed_tokens(IDS))
    torch.testing.assert_close(
        model.predictor.stack.get_parameter("layers.1.out.weight"), llama.model.layers[3].self_attn.o_proj.weight
    )
    states = gemma()(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(model.eval().y_encoder.token_states(IDS, MASK), states)


def test_a_predictor_may_start_at_random_beside_the_language_models_token_embedding(sources: Path) -> None:
    started = paper(sources)
    assert started.language_model is not None
    fresh = replace(started, language_model=replace(started.language_model, layers="none"))
    model = VLJepa.assemble(fresh)
    llama = LlamaForCausalLM.from_pretrained(sources / "llama")
    torch.testing.assert_close(model.query_tokens(IDS), llama.model.embed_tokens(IDS))
    weight = model.predictor.stack.get_parameter("layers.1.out.weight")
    assert not torch.allclose(weight, llama.model.layers[3].self_attn.o_proj.weight)


def test_tiny_reads_the_query_through_the_y_encoder(sources: Path) -> None:
    model = VLJepa.assemble(tiny(sources)).eval()
    torch.testing.assert_close(model.query_tokens(IDS, MASK), model.y_encoder.token_states(IDS, MASK))


def test_what_trains_is_what_the_paper_trains(sources: Path) -> None:
    trained = {name.split(".")[0] for name, p in VLJepa.assemble(paper(sources)).named_parameters() if p.requires_grad}
    assert trained == {"predictor", "y_encoder", "y_decoder", "log_scale"}


@shapes
@pytest.mark.parametrize("include_frozen", [True, False])
def test_save_and_load_are_exact(
    sources: Path, tmp_path: Path, config: Callable[[Path], VLJepaConfig], include_frozen: bool
) -> None:
    model = VLJepa.assemble(config(sources))
    model.save_pretrained(tmp_path / "m", include_frozen=include_frozen)
    assert {file.name for file in (tmp_path / "m").iterdir()} == {"config.json", "model.safetensors"}
    again = VLJepa.from_pretrained(tmp_path / "m")
    assert again.config == model.config
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=0, rtol=0)
    for found, expected in zip(outputs(again), outputs(model), strict=True):
        torch.testing.assert_close(found, expected, atol=0, rtol=0)


@shapes
def test_a_complete_checkpoint_needs_no_source(
    sources: Path, tmp_path: Path, config: Callable[[Path], VLJepaConfig]
) -> None:
    VLJepa.assemble(config(sources)).save_pretrained(tmp_path, include_frozen=True)
    text = (tmp_path / "config.json").read_text().replace(str(sources), "/nowhere")
    (tmp_path / "config.json").write_text(text)
    VLJepa.from_pretrained(tmp_path)


def test_left_out_parts_name_their_missing_source(sources: Path, tmp_path: Path) -> None:
    VLJepa.assemble(paper(sources)).save_pretrained(tmp_path)
    text = (tmp_path / "config.json").read_text().replace(str(sources / "vjepa2"), "/nowhere")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(BundleError, match="/nowhere"):
        VLJepa.from_pretrained(tmp_path)


def test_saving_over_a_checkpoint_that_fails_leaves_it_complete(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = VLJepa.assemble(tiny(sources))
    model.save_pretrained(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(state: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("vljepa_edge.nn.vljepa.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        model.save_pretrained(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt"])
def test_pickles_are_refused(sources: Path, tmp_path: Path, name: str) -> None:
    model = VLJepa.assemble(tiny(sources))
    folder = model.save_pretrained(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / name)
    with pytest.raises(BundleError, match=f"{name}.*pickle"):
        VLJepa.from_pretrained(folder)
    with pytest.raises(BundleError, match=f"{name}.*pickle"):
        load_y_encoder(replace(tiny(sources).y_encoder, source=str(folder)))
    with pytest.raises(BundleError, match=f"{name}.*pickle"):
        load_x_encoder(folder)


def broken(folder: Path, file: str, change: Callable[[bytes], bytes]) -> None:
    (folder / file).write_bytes(change((folder / file).read_bytes()))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("model.safetensors", lambda b: b[: len(b) // 2], "model.safetensors"),
        ("model.safetensors", lambda b: b"garbage", "model.safetensors"),
        ("config.json", lambda b: b"{", "config.json"),
        ("config.json", lambda b: b"[]", "config.json"),
        ("config.json", lambda b: b.replace(b'"vl_jepa"', b'"llama"'), "vl_jepa"),
        ("config.json", lambda b: b.replace(b'"ffn": 48', b'"ffn": 32'), "model.safetensors"),
    ],
)
def test_broken_checkpoints_are_refused(
    sources: Path, tmp_path: Path, file: str, change: Callable[[bytes], bytes], message: str
) -> None:
    VLJepa.assemble(tiny(sources)).save_pretrained(tmp_path)
    broken(tmp_path, file, change)
    with pytest.raises(BundleError, match=message):
        VLJepa.from_pretrained(tmp_path)


def test_an_unknown_config_key_is_named(sources: Path, tmp_path: Path) -> None:
    VLJepa.assemble(tiny(sources)).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["predictor"]["stack"]["depth"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"predictor\.stack\.depth"):
        VLJepa.from_pretrained(tmp_path)


def test_sizes_that_differ_from_the_source_are_refused(sources: Path) -> None:
    config = paper(sources)
    assert config.x_encoder is not None and config.language_model is not None
    for other in (
        replace(config, x_encoder=replace(config.x_encoder, layers=3)),
        replace(config, language_model=replace(config.language_model, layers="last 3")),
        replace(config, language_model=replace(config.language_model, vocab=51)),
    ):
        with pytest.raises(InputError, match="the config"):
            VLJepa.assemble(other)


def test_wrong_inputs_are_refused(sources: Path) -> None:
    with pytest.raises(InputError, match="no X-encoder"):
        VLJepa.assemble(tiny(sources)).predict(frames(2))
    model = VLJepa.assemble(paper(sources))
    with pytest.raises(InputError, match="at most 16"):
        model.predict(frames(2), torch.zeros(2, 17, dtype=torch.long))


def test_any_sentence_encoder_fits(sources: Path) -> None:
    encoder: PreTrainedModel = VLJepa.assemble(paper(sources, "bert")).y_encoder.backbone  # type: ignore[assignment]
    assert encoder.config.model_type == "bert"
