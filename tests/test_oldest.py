"""With the oldest and the newest versions of what it needs, everything imports, streams and is built.

Small on purpose: CI runs this file alone with `requirements/oldest.txt`.
"""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vljepa_edge
from tests.media import flat, write_video

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "vljepa_edge"
# Module or package -> the library of an extra that it needs; it is imported where that library is.
EXTRAS = {
    "nn": "transformers", "export.tensorrt": "tensorrt", "export": "transformers", "onnx_graphs": "onnx",
    "engines.torch": "torch", "engines.onnxruntime": "onnxruntime", "engines.tensorrt": "tensorrt",
    "serve": "starlette", "serve.mqtt": "paho", "sinks.burn": "PIL", "sinks.event_bag": "mcap",
    "sinks.rerun_log": "rerun", "support.parquet": "pyarrow", "sinks.lettering": "PIL",
}  # fmt: skip


def modules() -> list[str]:
    """Every module of the package by its dotted name, without `vljepa_edge.`"""
    parts = (path.relative_to(PACKAGE).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py")))
    return [".".join(found) for found in parts if found[-1] not in ("__init__", "__main__")]


@pytest.mark.parametrize("name", modules())
def test_every_module_imports(name: str) -> None:
    for part, library in EXTRAS.items():
        if name.startswith(f"{part}.") or name == part:
            pytest.importorskip(library)
    importlib.import_module(f"vljepa_edge.{name}")


@pytest.mark.parametrize("command", [[], ["stream"], ["export"], ["search"]])
def test_every_command_prints_its_help(command: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "vljepa_edge", *command, "--help"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0 and "Usage" in ran.stdout, ran.stderr


def test_the_default_bundle_streams_a_video(tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", [flat(i // 6) for i in range(12)], fps=4)
    model = vljepa_edge.load(threads=1)
    events = list(model.stream(video, min_confidence=0))  # plain colours: no text of them is sure
    assert [events[0].status, events[-1].status] == ["open", "closed"] and events[-1].text
    (norm,) = np.linalg.norm(model.embed_text(["a red ball"]), axis=1)
    assert norm == pytest.approx(1, abs=1e-5)


def test_a_small_model_with_a_llama_predictor_says_what_transformers_says(tmp_path: Path) -> None:
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from tests.nn.small_models import bert
    from vljepa_edge.nn.config import LlamaStackConfig, PredictorConfig, StreamConfig, VLJepaConfig, YEncoderConfig
    from vljepa_edge.nn.llama import LlamaStack
    from vljepa_edge.nn.vljepa import VLJepa

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    llama = transformers.LlamaModel(
        transformers.LlamaConfig(vocab_size=50, num_hidden_layers=2, is_causal=False, initializer_range=0.2, **sizes)
    ).eval()
    bert().save_pretrained(tmp_path / "bert")
    stack = LlamaStack.from_hf(llama)
    assert isinstance(stack.config, LlamaStackConfig)
    predictor = PredictorConfig((StreamConfig("x_encoder", 12),), query_dim=24, embedding=20, stack=stack.config)
    made = VLJepa.assemble(VLJepaConfig(predictor=predictor, y_encoder=YEncoderConfig(
        str(tmp_path / "bert"), hidden=24, embedding=20, max_tokens=32)))  # fmt: skip
    made.predictor.stack.load_state_dict(stack.state_dict())
    model = VLJepa.from_pretrained(made.save_pretrained(tmp_path / "model"))
    x = torch.randn(2, 9, 32)
    with torch.no_grad():
        expected = llama(inputs_embeds=x, attention_mask=torch.ones(2, 9, dtype=torch.long)).last_hidden_state
        torch.testing.assert_close(model.predictor.stack(x), expected, atol=1e-5, rtol=0)
        ids = torch.tensor([[3, 7, 5]])
        states = bert()(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        torch.testing.assert_close(model.y_encoder.token_states(ids, torch.ones_like(ids)), states, atol=1e-5, rtol=0)
        embedding = model.predict({"x_encoder": torch.randn(1, 4, 12)}, ids)
    assert embedding.shape == (1, 20) and float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_the_oldest_versions_are_the_lower_bounds_of_the_project() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    runtime = text[text.index("dependencies = [") : text.index("[project.optional-dependencies]")]
    train = text[text.index("train = [") : text.index("export = [")]
    bounds = dict(re.findall(r'^    "([\w-]+)>=([\d.]+)', runtime + train, re.MULTILINE))
    pins = dict(re.findall(r"^([\w-]+)==([\d.]+)", (ROOT / "requirements/oldest.txt").read_text(), re.MULTILINE))
    assert len(bounds) > 15
    for name in ("torch", "triton"):  # requirements/oldest.txt says why they are newer than their bounds
        del bounds[name]
    for name, bound in bounds.items():
        pinned = [int(part) for part in pins[name].split(".")]
        floor = [int(part) for part in bound.split(".")]
        assert pinned == floor + [0] * (len(pinned) - len(floor)), f"{name}>={bound}, but the oldest is {pins[name]}"
