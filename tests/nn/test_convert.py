"""Files as Meta and open-vljepa lay them out, written here, become ours and compute what theirs compute."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import Gemma3TextConfig, PreTrainedConfig

from tests.nn import open_vljepa_file as theirs
from tests.nn.hub_cache import offline, publish
from tests.nn.small_models import frames
from tests.nn.vjepa_reference import features, meta_state, vjepa2
from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import (
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.convert.convert import Options, convert_file
from vljepa_edge.nn.convert.open_vljepa import Sources
from vljepa_edge.nn.convert.torch_file import read_torch_file
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_x_encoder, x_encoder_config
from vljepa_edge.nn.x_encoder_config import XEncoderConfig

SMALL_2 = replace(vjepa2(48, 3), layers=2)
SMALL_2_1 = XEncoderConfig("local", 48, 12, 3, 192, 64).as_vjepa2_1()


def quiet(what: str, done: int, total: int) -> None:
    assert what and 0 <= done <= total


def wrapped(config: XEncoderConfig, seed: int) -> dict[str, torch.Tensor]:
    """Names as DistributedDataParallel and the multi-sequence wrapper of training leave them."""
    return {f"module.backbone.{name}": tensor for name, tensor in meta_state(config, seed).items()}


def vjepa_file(path: Path, config: XEncoderConfig, keys: tuple[str, ...]) -> Path:
    """Each encoder has weights of its own, by its place in `keys`."""
    data: dict[str, Any] = {key: wrapped(config, seed) for seed, key in enumerate(keys)}
    data |= {"predictor": {"module.backbone.norm.weight": torch.ones(4)}, "opt": {"state": {0: torch.ones(2)}}}
    data |= {"epoch": 3, "loss": 0.5, "scaler": None, "lr": 1e-4}
    torch.save(data, path)
    return path


@pytest.mark.parametrize(
    ("config", "keys", "kind", "taken"),
    [
        (SMALL_2, ("encoder", "target_encoder"), "vjepa2", 1),
        (SMALL_2, ("encoder",), "vjepa2", 0),
        (SMALL_2_1, ("encoder", "target_encoder", "ema_encoder"), "vjepa2.1", 2),
        (SMALL_2_1, ("encoder", "target_encoder"), "vjepa2.1", 1),
    ],
)
def test_v_jepa_gives_the_features_of_its_moving_average(
    config: XEncoderConfig, keys: tuple[str, ...], kind: str, taken: int, tmp_path: Path
) -> None:
    source = vjepa_file(tmp_path / "model.pt", config, keys)
    done = convert_file(source, tmp_path / "out", Options(heads=3, size=config.size), quiet)
    assert done.kind == kind and done.tensors == len(load_file(tmp_path / "out" / "model.safetensors"))
    assert {part.part for part in done.left_out} == {
        *(key for i, key in enumerate(keys) if i != taken), "predictor", "opt", "epoch", "loss", "scaler", "lr",
    }  # fmt: skip
    loaded = load_x_encoder(tmp_path / "out")
    assert loaded.config == replace(config, source=str(tmp_path / "out")) == x_encoder_config(tmp_path / "out")
    for count in (1, 4):
        expected = features(meta_state(config, taken), config, frames(count, config.size))
        torch.testing.assert_close(loaded(frames(count, config.size)).double(), expected, atol=1e-3, rtol=1e-4)


def test_another_encoder_of_the_file_can_be_asked_for(tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2, ("encoder", "target_encoder"))
    convert_file(source, tmp_path / "out", Options(encoder="encoder", heads=3, size=48), quiet)
    expected = features(meta_state(SMALL_2, 0), SMALL_2, frames(2))
    torch.testing.assert_close(load_x_encoder(tmp_path / "out")(frames(2)).double(), expected, atol=1e-3, rtol=1e-4)
    with pytest.raises(InputError, match="no 'ema_encoder'; the encoders in it are target_encoder, encoder"):
        convert_file(source, tmp_path / "out", Options(encoder="ema_encoder", heads=3), quiet)


def test_all_four_depths_of_v_jepa_2_1_can_be_asked_for(tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2_1, ("target_encoder",))
    convert_file(source, tmp_path / "out", Options(heads=3, size=64, outputs="all"), quiet)
    loaded = load_x_encoder(tmp_path / "out")
    every = replace(SMALL_2_1, outputs="all")
    expected = features(meta_state(SMALL_2_1), every, frames(2, 64))
    assert loaded.config.width == 192
    torch.testing.assert_close(loaded(frames(2, 64)).double(), expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "kind", "size"), [("vitl", "vjepa2", 256), ("vitg-384", "vjepa2", 384), ("b", "vjepa2.1", 384)]
)
def test_the_size_of_a_frame_is_guessed(name: str, kind: str, size: int, tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / f"{name}.pt", SMALL_2 if kind == "vjepa2" else SMALL_2_1, ("target_encoder",))
    convert_file(source, tmp_path / "out", Options(kind=kind, heads=3), quiet)
    assert x_encoder_config(tmp_path / "out").size == size


def test_positions_that_nothing_reads_are_named_as_left_out(tmp_path: Path) -> None:
    state = {**wrapped(SMALL_2, 0), "module.backbone.pos_embed": torch.zeros(1, 9, 48)}
    torch.save({"target_encoder": state}, tmp_path / "model.pt")
    done = convert_file(tmp_path / "model.pt", tmp_path / "out", Options(heads=3), quiet)
    assert [(part.part, part.tensors) for part in done.left_out] == [("pos_embed", 1)]


def test_weights_keep_their_precision(tmp_path: Path) -> None:
    state = {name: tensor.bfloat16() for name, tensor in wrapped(SMALL_2, 0).items()}
    torch.save({"encoder": state}, tmp_path / "model.pth")
    convert_file(tmp_path / "model.pth", tmp_path / "out", Options(heads=3), quiet)
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}


def damaged(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data: dict[str, Any] = {"target_encoder": wrapped(SMALL_2_1, 0), "epoch": 1}
    change(data["target_encoder"])
    return data


P = "module.backbone."
WRONG: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda s: s.pop(P + "norms_block.3.bias"), r"target_encoder lacks norms_block\.3\.bias"),
    (lambda s: s.pop(P + "blocks.4.norm1.bias"), r"lacks blocks\.4\.norm1\.bias"),
    (lambda s: s.pop(P + "patch_embed.proj.weight"), r"no patch_embed\.proj\.weight of five axes"),
    (
        lambda s: s.update({P + "cls_token": torch.zeros(1)}),
        "has cls_token, which the model it should be does not have",
    ),
    (lambda s: s.update({"blocks.0.norm1.bias": torch.zeros(48)}), "has a name twice"),
    (
        lambda s: s.update({P + "blocks.7.mlp.fc2.weight": torch.zeros(48, 96)}),
        r"blocks\.7\.mlp\.fc2\.weight has the shape \(48, 96\), but the config says \(48, 192\)",
    ),
    (
        lambda s: s.update({P + "blocks.7.attn.qkv.bias": torch.zeros(100)}),
        r"qkv\.bias does not fit the config: \(100,\)",
    ),
    (
        lambda s: s.update({P + "img_mod_embed": torch.full((1, 1, 48), math.nan)}),
        "img_mod_embed has numbers that are not",
    ),
    (
        lambda s: s.update({P + "img_mod_embed": torch.ones(1, 1, 48, dtype=torch.long)}),
        "must be floating point, got torch",
    ),
    (lambda s: s.update({P + "img_mod_embed": [1.0]}), "must hold tensors by name, got list"),
    (
        lambda s: [s.pop(name) for name in list(s) if ".blocks.5." in name],
        "has 11 blocks numbered up to 11; some are missing",
    ),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message[:30] for _, message in WRONG])
def test_a_tensor_too_many_too_few_or_of_another_size_is_refused(
    change: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    torch.save(damaged(change), tmp_path / "model.pt")
    with pytest.raises(BundleError, match=message) as refused:
        convert_file(tmp_path / "model.pt", tmp_path / "out", Options(heads=3), quiet)
    assert str(refused.value).startswith(str(tmp_path / "model.pt"))
    assert not (tmp_path / "out").exists()


def test_sizes_that_no_release_has_need_their_heads(tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2, ("encoder",))
    with pytest.raises(InputError, match=r"2 layers of 48 channels .* none of the released sizes .* --heads"):
        convert_file(source, tmp_path / "out", Options(), quiet)
    with pytest.raises(InputError, match=r"hidden \(48\) must split into heads \(5\)"):
        convert_file(source, tmp_path / "out", Options(heads=5), quiet)
    cut = {n: t for n, t in wrapped(SMALL_2_1, 0).items() if not any(f".blocks.{i}." in n for i in range(3, 12))}
    torch.save({"encoder": cut}, tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"V-JEPA 2\.1 has 12, 24, 40, 48 layers, not 3"):
        convert_file(tmp_path / "cut.pt", tmp_path / "out", Options(heads=3), quiet)


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


def test_a_pickle_that_needs_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"encoder": {"a": torch.ones(1)}, "extra": Runs()}, tmp_path / "model.pt")
    with pytest.raises(BundleError, match=r"runs code when it is loaded .*print.*, so it is not"):
        convert_file(tmp_path / "model.pt", tmp_path / "out", Options(), quiet)
    assert capsys.readouterr().out == ""


def test_files_of_others_say_what_they_hold(tmp_path: Path) -> None:
    cases: list[tuple[str, object, str]] = [
        ("a.pt", {"state_dict": {"w": torch.ones(1)}, "epoch": 1}, "has epoch, state_dict; a V-JEPA file has one of"),
        ("b.pt", [1, 2], "must hold a dict with text as keys, got list"),
        ("c.pt", {3: torch.ones(1)}, "must hold a dict with text as keys"),
        ("d.pt", {}, "has no key; a V-JEPA file"),
        ("e.pt", {"encoder": wrapped(SMALL_2, 0), "head": {"w": torch.ones(1)}}, "has tensors under 'head'; known are"),
    ]
    for name, data, message in cases:
        torch.save(data, tmp_path / name)
        with pytest.raises(BundleError, match=message):
            convert_file(tmp_path / name, tmp_path / "out", Options(heads=3), quiet)
    (tmp_path / "text.pt").write_text("no zip")
    whole = (tmp_path / "e.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    torch.save({"encoder": {}}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("text", "half", "old"):
        with pytest.raises(BundleError, match=r"cut off, or not a file that torch\.save"):
            convert_file(tmp_path / f"{name}.pt", tmp_path / "out", Options(), quiet)
    with pytest.raises(BundleError, match="is not here"):
        convert_file(tmp_path / "none.pt", tmp_path / "out", Options(), quiet)
    with pytest.raises(BundleError, match=r"\.pt or \.pth"):
        convert_file(tmp_path / "model.safetensors", tmp_path / "out", Options(), quiet)
    assert not (tmp_path / "out").exists()


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    file = io.BytesIO()
    torch.save({"encoder": {"a": torch.ones(3, 4), "b": torch.ones(2)}, "config": {"c": [1, None, "x"]}}, file)
    raw = bytearray(file.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[place] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.one_of(st.just(len(raw)), st.integers(0, len(raw)))) :]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        path.write_bytes(raw)
        with contextlib.suppress(BundleError):
            assert isinstance(read_torch_file(path), dict)


def test_options_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2, ("encoder",))
    for error, options, message in (
        (InputError, Options(kind="vjepa3"), "must be one of vjepa2, vjepa2.1, open-vljepa, got 'vjepa3'"),
        (BundleError, Options(kind="vjepa2.1"), "is vjepa2 by its keys, not vjepa2.1"),
        (InputError, Options(sources=Sources(y_encoder="x")), "--y-encoder does not apply to vjepa2"),
        (InputError, Options(heads=3, outputs="all"), "does not apply to vjepa2"),
    ):
        with pytest.raises(error, match=message):
            convert_file(source, tmp_path / "out", options, quiet)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a folder"):
        convert_file(source, tmp_path / "file", Options(heads=3), quiet)


def test_a_broken_folder_of_ours_is_refused(tmp_path: Path) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2, ("encoder",))
    out = tmp_path / "out"
    convert_file(source, out, Options(heads=3), quiet)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "layers": 3}))
    with pytest.raises(BundleError, match=r"don't fit config\.json"):
        load_x_encoder(out)
    (out / "config.json").write_text(json.dumps({**config, "colour": 3}))
    with pytest.raises(InputError, match="unknown key 'colour'"):
        load_x_encoder(out)
    (out / "config.json").write_text(json.dumps(config))
    (out / "model.safetensors").write_bytes((out / "model.safetensors").read_bytes()[:500])
    with pytest.raises(BundleError, match="can't be read"):
        load_x_encoder(out)


def test_a_model_assembles_from_a_converted_x_encoder(tmp_path: Path) -> None:
    theirs.write_sources(tmp_path)
    convert_file(
        vjepa_file(tmp_path / "model.pt", SMALL_2_1, ("ema_encoder",)), tmp_path / "x", Options(heads=3, size=64), quiet
    )
    config = VLJepaConfig(
        x_encoder=x_encoder_config(tmp_path / "x"),
        language_model=LanguageModelConfig(str(tmp_path / "llama"), "last 2", vocab=50, hidden=32, max_tokens=16),
        predictor=PredictorConfig((StreamConfig("x_encoder", 48),), 32, 20, stack(tmp_path)),
        y_encoder=YEncoderConfig(str(tmp_path / "gemma"), 24, 20, max_tokens=32),
    )
    model = VLJepa.assemble(config)
    assert model.x_encoder is not None
    expected = features(meta_state(SMALL_2_1), SMALL_2_1, frames(2, 64))
    torch.testing.assert_close(model.x_encoder(frames(2, 64)).double(), expected, atol=1e-3, rtol=1e-4)
    again = VLJepa.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    torch.testing.assert_close(again.predict(frames(2, 64)), model.eval().predict(frames(2, 64)))


def test_a_converted_x_encoder_can_come_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = vjepa_file(tmp_path / "model.pt", SMALL_2_1, ("ema_encoder",))
    convert_file(source, tmp_path / "x", Options(heads=3, size=64), quiet)
    offline(monkeypatch, tmp_path / "hub")
    publish(tmp_path / "hub", "lab/vjepa2_1-small", "a" * 40, tmp_path / "x", "main")
    pinned = "lab/vjepa2_1-small@" + "a" * 40
    for name in ("lab/vjepa2_1-small", pinned):
        assert load_x_encoder(name).config == x_encoder_config(name) == replace(SMALL_2_1, source=name)
    torch.testing.assert_close(load_x_encoder(pinned)(frames(2, 64)), load_x_encoder(tmp_path / "x")(frames(2, 64)))
    with pytest.raises(BundleError, match="lab/none"):
        load_x_encoder("lab/none")
    (tmp_path / "x" / "model.safetensors").unlink()
    publish(tmp_path / "hub", "lab/half", "b" * 40, tmp_path / "x", "main")
    with pytest.raises(BundleError, match=r"lab/half: the hub doesn't give model\.safetensors"):
        load_x_encoder("lab/half")


def stack(root: Path) -> LlamaStackConfig:
    from transformers import AutoConfig

    from vljepa_edge.nn.llama import stack_config

    return stack_config(AutoConfig.from_pretrained(root / "llama"), 2)


IDS = torch.randint(3, 40, (2, 9), generator=torch.Generator().manual_seed(4))
MASK = (torch.arange(9) < torch.tensor([[9], [5]])).long()
LONG_IDS = torch.randint(3, 40, (2, 30), generator=torch.Generator().manual_seed(5))
LONG_MASK = (torch.arange(30) < torch.tensor([[30], [22]])).long()  # longer than Gemma's window


@pytest.mark.parametrize(("dtype", "transformers"), [(torch.float32, "5.2"), (torch.bfloat16, "now")])
def test_open_vljepa_computes_what_its_own_code_computes(
    dtype: torch.dtype, transformers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs.write_sources(tmp_path)
    if transformers == "5.2":  # writes down the half of Gemma's window
        monkeypatch.setattr(Gemma3TextConfig, "to_dict", PreTrainedConfig.to_dict)
    model = theirs.parts(seed=11)  # trained: other weights than the sources have
    data = theirs.content(model, tmp_path)
    data["model_state_dict"] = {name: t.to(dtype) for name, t in data["model_state_dict"].items()}
    data["model_state_dict"]["predictor.rotary_emb.inv_freq"] = torch.ones(4)
    torch.save(data, tmp_path / "best.pt")
    done = convert_file(tmp_path / "best.pt", tmp_path / "out", Options(), quiet)
    assert done.kind == "open-vljepa"
    assert [(part.part, part.tensors) for part in done.left_out] == [("*.rotary_emb.*", 1)]
    loaded = VLJepa.from_pretrained(tmp_path / "out")
    assert loaded.config.language_model == LanguageModelConfig(str(tmp_path / "llama"), "last 2", 50, 32, 16)
    assert loaded.config.y_encoder.source == str(tmp_path / "gemma") and loaded.config.y_encoder.max_tokens == 64
    assert loaded.scale().item() == pytest.approx(1 / 0.05)
    with torch.no_grad():
        found = loaded.predict(frames(4), IDS, MASK), loaded.y_encoder(LONG_IDS, LONG_MASK)
    rounded = theirs.rounded(model, dtype)
    expected = theirs.predict(rounded, frames(4), IDS, MASK), theirs.embed(rounded, LONG_IDS, LONG_MASK)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=0)


def test_open_vljepa_sources_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline(monkeypatch, tmp_path / "empty")
    theirs.write_sources(tmp_path)
    data = theirs.content(theirs.parts(), Path("hub"))
    torch.save(data, tmp_path / "best.pt")
    with pytest.raises(BundleError, match="hub/"):
        convert_file(tmp_path / "best.pt", tmp_path / "out", Options(), quiet)
    named = Sources(*(str(tmp_path / name) for name in ("vjepa2", "llama", "gemma")))
    convert_file(tmp_path / "best.pt", tmp_path / "out", Options(sources=named), quiet)
    assert VLJepa.from_pretrained(tmp_path / "out").config.y_encoder.source == str(tmp_path / "gemma")


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("predictor", "n_keep_layers", 8, "config says predictor.n_keep_layers = 8, but the file has layers 2"),
        ("predictor", "proj_dim", 1536, "predictor.proj_dim = 1536, but predictor.out_proj gives 20"),
        ("y_encoder", "proj_dim", 1536, "y_encoder.proj_dim = 1536"),
        ("predictor", "disable_causal_mask", False, "causal mask"),
        ("encoder", "model_name", None, "config lacks encoder.model_name"),
    ],
)
def test_open_vljepa_config_that_disagrees_is_refused(
    part: str, key: str, value: object, message: str, tmp_path: Path
) -> None:
    theirs.write_sources(tmp_path)
    data = theirs.content(theirs.parts(), tmp_path)
    data["config"][part][key] = value
    torch.save(data, tmp_path / "best.pt")
    with pytest.raises(BundleError, match=message):
        convert_file(tmp_path / "best.pt", tmp_path / "out", Options(), quiet)
    assert not (tmp_path / "out").exists()


def test_open_vljepa_with_a_tensor_too_many_or_too_few_is_refused(tmp_path: Path) -> None:
    theirs.write_sources(tmp_path)
    for change, message in (
        (lambda s: s.update({"x_encoder.projector.weight": torch.ones(4, 4)}), "has x_encoder.projector.weight, which"),
        (lambda s: s.pop("y_encoder.projector.bias"), "lacks y_encoder.projector.bias"),
        (lambda s: s.pop("predictor.layers.1.mlp.up_proj.weight"), "lacks predictor.layers.1.mlp.up_proj.weight"),
        (lambda s: s.update({"predictor.embed_tokens.weight": torch.ones(50, 30)}), "embedding is 30 wide, but .* 32"),
        (lambda s: s.update({"y_encoder.projector.weight": torch.ones(20, 25)}), r"\(20, 25\), but the config says"),
    ):
        data = theirs.content(theirs.parts(), tmp_path)
        change(data["model_state_dict"])
        torch.save(data, tmp_path / "best.pt")
        with pytest.raises(BundleError, match=message):
            convert_file(tmp_path / "best.pt", tmp_path / "out", Options(), quiet)
