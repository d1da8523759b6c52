"""A dress rehearsal with files in the layouts of the real ones, few small layers, from weights to a stream.

V-JEPA 2, V-JEPA 2.1, Llama 3.2, EmbeddingGemma, open-vljepa: assemble, two stages, Y-decoder, INT8, stream, retrieval.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import Gemma3TextConfig, Gemma3TextModel, LlamaConfig, LlamaForCausalLM

import vljepa_edge
from tests.cli.conftest import Run, Vljepa
from tests.nn import open_vljepa_file as theirs
from tests.nn.sentence_repository import maps, write_repository
from tests.nn.small_models import vjepa2
from tests.nn.vjepa_reference import meta_state
from tests.training.small_run import COLOURS, QUESTION, SIDES, WORDS, save_tokenizer, tokenizer_of_words, write_clips
from vljepa_edge.evaluation.ranks import ranks
from vljepa_edge.nn.config_json import to_dict
from vljepa_edge.nn.weights import x_encoder_config
from vljepa_edge.nn.x_encoder_config import XEncoderConfig

pytestmark = pytest.mark.usefixtures("one_thread")
VOCABULARY = 3 + len(dict.fromkeys(WORDS))
CAPTIONS = [f"a {colour} square on the {side}" for colour in COLOURS for side in SIDES]
FRAMES = {"count": 4, "width": 32, "height": 32}
STAGE: dict[str, Any] = {"batch": 24, "lr": 3e-3, "multipliers": {"y_encoder.": 0.05}, "cache": True}


def sharded(model: Any, folder: Path) -> None:
    """Several files and an index, as large models are published."""
    model.save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    assert len(list(folder.glob("model-*-of-*.safetensors"))) > 1


def write_llama(folder: Path) -> None:
    """Llama-3.2-1B's kind: grouped heads, a scaled RoPE, tied embeddings."""
    torch.manual_seed(0)
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 64}  # fmt: skip
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, rope_parameters=rope,
        tie_word_embeddings=True,
    )  # fmt: skip
    sharded(LlamaForCausalLM(config), folder)
    save_tokenizer(folder)


def write_gemma(folder: Path) -> None:
    """EmbeddingGemma's kind: bidirectional, a sliding window, mean pooling, two Dense modules and a norm behind it."""
    torch.manual_seed(1)
    config = Gemma3TextConfig(
        vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=12, intermediate_size=32, max_position_embeddings=64, sliding_window=16,
        layer_types=["sliding_attention", "full_attention"], use_bidirectional_attention=True, initializer_range=0.3,
    )  # fmt: skip
    write_repository(folder, Gemma3TextModel(config), maps(24, 48, 24))
    save_tokenizer(folder)


def model_of(folder: Path, x_encoder: dict[str, Any], width: int) -> dict[str, Any]:
    """The paper's shape over these sources."""
    rope = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_positions": 64}
    return {
        "x_encoder": x_encoder,
        "language_model": {"source": str(folder / "llama"), "layers": "last 2", "vocab": VOCABULARY, "hidden": 32,
                           "max_tokens": 16},
        "predictor": {
            "streams": [{"name": "x_encoder", "dim": width}], "query_dim": 32, "embedding": 24,
            "stack": {"hidden": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 48, "rope_theta": 500000.0,
                      "max_positions": 256, "rope_scaling": rope},
        },
        "y_encoder": {"source": str(folder / "gemma"), "hidden": 24, "embedding": 24, "max_tokens": 32,
                      "modules": "take", "prompt": "a "},
        "y_decoder": {"vocab": VOCABULARY, "hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "max_tokens": 12,
                      "embedding": 24},
    }  # fmt: skip


def write_run(folder: Path, clips: Path, **parts: Any) -> Path:
    """Both stages on drawn clips, then the Y-decoder on their captions."""
    size = parts.pop("size", 32)
    frames = {"count": 4, "width": size, "height": size}
    run = {
        "name": "rehearsal", "out": str(folder / "run"), "device": "cpu",
        "data": {"clips": {"path": str(clips / "clips.csv")}, "asked": {"path": str(clips / "asked.csv")},
                 "check": {"path": str(clips / "clips.csv")}},
        "stages": [
            {"name": "pretrain", "query": False, "steps": 60, "data": {"clips": 1.0}, "frames": frames, **STAGE},
            {"name": "sft", "query": True, "steps": 40, "data": {"asked": 1.0, "clips": 1.0}, "schedule": "cosine",
             "frames": frames, **STAGE},
        ],
        "decoder": {"corpus": ["clips", "asked"], "steps": 300, "batch": 16, "lr": 3e-3, "noise": 0.6, "warmup": 10},
        "parallel": {"bf16": False}, "loader": {"workers": 0}, "checkpoint": {"every": 1000}, "peak": 0.1, **parts,
    }  # fmt: skip
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_clips(folder, 72)
    write_clips(folder, 72, questions=True)
    (folder / "queries.txt").write_text(QUESTION + "\n")
    (folder / "texts.txt").write_text("\n".join(CAPTIONS) + "\n")
    return folder


def done(run: Run) -> Run:
    assert run.status == 0, run.err
    return run


def shown_and_named(bundle: Path, clips: Path) -> None:
    """Streams the bundle, and retrieves each video by its caption: better than chance by far."""
    model = vljepa_edge.load(bundle, threads=1, precision="f32")
    videos = [clips / f"{colour}_{side}.mp4" for colour in COLOURS for side in SIDES]
    events = list(model.stream(videos[0]))
    assert [events[0].status, events[-1].status] == ["open", "closed"] and events[-1].text
    texts = model.embed_text(CAPTIONS)
    seen = np.stack([next(iter(model.windows(video))).embedding for video in videos])
    found = ranks(texts @ seen.T, np.arange(len(videos)))
    assert np.median(found) <= 2, found  # of 12; chance is 5.5


def test_the_papers_parts_from_weights_to_a_stream_in_int8(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    sharded(vjepa2(hidden=48, heads=2, size=32), tmp_path / "vjepa2")
    write_llama(tmp_path / "llama")
    write_gemma(tmp_path / "gemma")
    encoder = {"kind": "vjepa2", "source": str(tmp_path / "vjepa2"), "hidden": 48, "layers": 2, "heads": 2, "ffn": 192,
               "size": 32}  # fmt: skip
    run = write_run(tmp_path, clips, model=model_of(tmp_path, encoder, 48), evaluate={"data": "check", "every": 60})
    trained = done(vljepa("train", str(run), "--json")).json
    assert trained["steps"] == 100 and trained["figures"]["v2t_R@5"] > 60
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert any("CIDEr" in line for line in log)
    out = tmp_path / "int8.vljepa"
    done(
        vljepa("export", trained["model"], "--precision", "int8", "--calibration", str(clips), "--window", "4",
               "--force", "--no-card", "--out", str(out))
    )  # fmt: skip
    shown_and_named(out, clips)


def test_v_jepa_2_1_from_its_file_to_a_stream(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    config = XEncoderConfig("local", 48, 12, 3, 192, 64).as_vjepa2_1()
    state = {"ema_encoder": {f"module.backbone.{n}": t for n, t in meta_state(config).items()}, "epoch": 3}
    torch.save(state, tmp_path / "vjepa2_1_384.pt")
    done(vljepa("weights", "convert", str(tmp_path / "vjepa2_1_384.pt"), "--out", str(tmp_path / "vjepa2_1"),
                "--heads", "3", "--size", "64"))  # fmt: skip
    write_llama(tmp_path / "llama")
    write_gemma(tmp_path / "gemma")
    converted = to_dict(x_encoder_config(tmp_path / "vjepa2_1"))
    run = write_run(tmp_path, clips, model=model_of(tmp_path, converted, config.hidden), size=64)
    trained = done(vljepa("train", str(run), "--json")).json
    out = tmp_path / "bundle.vljepa"
    done(vljepa("export", trained["model"], "--window", "4", "--out", str(out)))
    shown_and_named(out, clips)


def test_open_vljepas_checkpoint_is_trained_further(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    """Its stages go on from best.pt; the Y-decoder, which it lacks, starts from a language model."""
    theirs.write_sources(tmp_path)
    torch.save(theirs.content(theirs.parts(seed=11), tmp_path), tmp_path / "best.pt")
    done(vljepa("weights", "convert", str(tmp_path / "best.pt"), "--out", str(tmp_path / "open")))
    write_llama(tmp_path / "speaker")
    tokenizer_of_words().save(str(tmp_path / "words.json"))
    files = {role: str(tmp_path / "words.json") for role in ("query", "target", "decoder")}
    decoder = {"corpus": ["clips"], "steps": 100, "batch": 16, "lr": 3e-3, "source": str(tmp_path / "speaker")}
    run = write_run(tmp_path, clips, init=str(tmp_path / "open"), tokenizers=files, size=48, decoder=decoder)
    trained = done(vljepa("train", str(run), "--json")).json
    out = tmp_path / "bundle.vljepa"
    done(vljepa("export", trained["model"], "--window", "4", "--out", str(out)))
    shown_and_named(out, clips)
