"""A small `best.pt` as open-vljepa's training script saves it, and what its model computes on transformers' layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, models
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from tests.nn.small_models import features, gemma, vjepa2

LAYERS, SHARED = 2, 20


class OpenVlJepa(NamedTuple):
    """The parts of one model."""

    llama: LlamaForCausalLM
    text: PreTrainedModel
    vis_proj: nn.Linear
    out_proj: nn.Linear
    projector: nn.Linear


def write_sources(root: Path) -> None:
    """Folders as the hub has them: vjepa2, llama, gemma."""
    vjepa2().save_pretrained(root / "vjepa2")
    parts().llama.save_pretrained(root / "llama")
    words: Any = Tokenizer(models.WordLevel({f"w{i}": i for i in range(50)}, "w0"))
    fast: Any = PreTrainedTokenizerFast
    fast(tokenizer_object=words).save_pretrained(root / "llama")
    gemma().save_pretrained(root / "gemma")


def parts(seed: int = 3) -> OpenVlJepa:
    """Llama 3.2's kind of layers, its RoPE scaled; seeds give other weights."""
    text = gemma()
    torch.manual_seed(seed)
    rope = {
        "rope_type": "llama3", "rope_theta": 10000.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 16,
    }  # fmt: skip
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rope_parameters=rope, initializer_range=0.2,
    )  # fmt: skip
    for parameter in text.parameters():
        nn.init.normal_(parameter, std=0.3)
    made = (LlamaForCausalLM(config).eval(), text, nn.Linear(48, 32), nn.Linear(32, SHARED), nn.Linear(24, SHARED))
    return OpenVlJepa(*made)


@torch.no_grad()
def rounded(model: OpenVlJepa, dtype: torch.dtype) -> OpenVlJepa:
    """The model with its weights as `dtype` keeps them. Changes the one that is given."""
    for part in model:
        for parameter in part.parameters():
            parameter.copy_(parameter.to(dtype))
    return model


def content(model: OpenVlJepa, root: Path) -> dict[str, Any]:
    """What its torch.save is given; the sources are the folders under `root`."""
    base = model.llama.model
    state = {"predictor.embed_tokens.weight": base.embed_tokens.weight, "predictor.norm.weight": base.norm.weight}
    for i, layer in enumerate(base.layers[-LAYERS:]):
        state |= {f"predictor.layers.{i}.{name}": tensor for name, tensor in layer.state_dict().items()}
    for prefix, module in (
        ("predictor.vis_proj", model.vis_proj),
        ("predictor.out_proj", model.out_proj),
        ("y_encoder.model", model.text),
        ("y_encoder.projector", model.projector),
    ):
        state |= {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
    config = {
        "encoder": {"type": "vjepa2-vitl", "model_name": str(root / "vjepa2"), "frozen": True, "output_dim": None},
        "y_encoder": {"model_name": str(root / "gemma"), "proj_dim": SHARED, "max_target_len": 64},
        "predictor": {
            "llama_name": str(root / "llama"), "n_keep_layers": LAYERS, "proj_dim": SHARED, "max_query_len": 16,
            "disable_causal_mask": True,
        },
        "training": {"temperature": 0.05, "lr": 1e-4},
    }  # fmt: skip
    detached = {name: tensor.detach().clone() for name, tensor in state.items()}
    return {"epoch": 7, "model_state_dict": detached, "loss": 1.25, "config": config}


@torch.no_grad()
def predict(model: OpenVlJepa, video: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
    """Its forward: vision, then query, no causal mask, mean over all that is no padding."""
    vision = model.vis_proj(features(vjepa2(), video))
    x = torch.cat((vision, model.llama.model.embed_tokens(ids)), 1)
    seen = torch.cat((torch.ones(vision.shape[:2]), mask.float()), 1)
    bias = ((1 - seen) * torch.finfo(torch.float32).min)[:, None, None, :].expand(-1, 1, x.shape[1], -1)
    places = torch.arange(x.shape[1])[None].expand(len(x), -1)
    rotary = model.llama.model.rotary_emb(x, places)
    for layer in model.llama.model.layers[-LAYERS:]:
        out = layer(x, attention_mask=bias, position_ids=places, position_embeddings=rotary)
        x = out[0] if isinstance(out, tuple) else out
    x = model.llama.model.norm(x)
    mean = (x * seen[..., None]).sum(1) / seen.sum(1, keepdim=True)
    return F.normalize(model.out_proj(mean), dim=-1)


@torch.no_grad()
def embed(model: OpenVlJepa, ids: Tensor, mask: Tensor) -> Tensor:
    """Its Y-encoder: mean over tokens, then the projector."""
    states = model.text(input_ids=ids, attention_mask=mask).last_hidden_state
    mean = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return F.normalize(model.projector(mean), dim=-1)
