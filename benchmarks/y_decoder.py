"""Y-decoder: one caption, greedy, one thread.

Peers: the same loop on ONNX Runtime; the module in PyTorch eager; a Llama of the same size in transformers' generate(),
which keeps a key-value cache. All take as many steps as our caption has. Limit: each step reads the weights once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench import Bench, installed
from benchmarks.comparison import Comparison, Stage
from benchmarks.flops import Cost
from benchmarks.interleave import Case, Samples
from vljepa_edge.perception.text import greedy

CAPTION = "A dog moves to the left."


def stages(bench: Bench) -> list[Stage]:
    manifest = bench.bundle.manifest
    embedding = bench.model.embed_text([CAPTION])
    entry, text = manifest.graphs["y_decoder"], manifest.text
    steps = min(len(greedy(bench.graph("y_decoder"), entry, text, embedding)) + 1, text.decoder_tokens)
    cases = [Case("decode_text", lambda: bench.model.decode_text(embedding[0]))]
    notes = [f"The caption: {bench.model.decode_text(embedding[0])!r}, {steps} steps."]
    if (missing := installed("onnxruntime")) is None:
        other = bench.graph("y_decoder", "onnxruntime")
        name = f"ONNX Runtime, {bench.computes_in('f32')}, the same loop"
        cases.append(Case(name, lambda: greedy(other, entry, text, embedding)))
    else:
        notes.append(f"ONNX Runtime: {missing}.")
    if (missing := installed("torch")) is None and "recipe" in manifest.provenance:
        cases += _torch(bench, embedding, steps)
        if (absent := installed("transformers")) is None:
            cases.append(Case("transformers Llama.generate, fp32", _transformers(bench, steps)))
        else:
            notes.append(f"transformers: {absent}.")
    elif missing:
        notes.append(f"PyTorch: {missing}.")
    cost = Cost()
    past = entry.input("past")
    for n in range(1, steps + 1):
        read = {"embedding": embedding, "ids": np.zeros((1, n if past is None else 1), np.int64)}
        if past is not None:
            read["past"] = np.zeros((1, past.shape[1], n, past.shape[3]), np.float32)
        cost += bench.cost("y_decoder", read)
    title = "Y-decoder, one caption"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        each = f"{samples[0].median / steps:.2f} ms a token."
        return Comparison(title, samples, bench.limit(cost), (*notes, each))

    return [Stage(title, cases, tell)]


def _torch(bench: Bench, embedding: NDArray[np.float32], steps: int) -> list[Case]:
    import torch

    from benchmarks import torch_peers

    module = torch_peers.decoder(bench.bundle.manifest, steps)
    given = torch.from_numpy(embedding), 0, -1  # no token is -1: it never ends before `steps`
    return [
        Case("PyTorch eager, fp32", torch_peers.eager(module.generate, *given)),
        Case("PyTorch eager, bf16 autocast", torch_peers.eager(module.generate, *given, bf16=True)),
    ]


def _transformers(bench: Bench, steps: int) -> Callable[[], object]:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from benchmarks import torch_peers

    size = torch_peers.decoder_config(bench.bundle.manifest, steps)
    config = LlamaConfig(
        vocab_size=size.vocab, hidden_size=size.hidden, intermediate_size=size.ffn, num_hidden_layers=size.layers,
        num_attention_heads=size.heads, tie_word_embeddings=True, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    prompt = torch.zeros(1, size.prefix + 1, size.hidden)
    mask = torch.ones(prompt.shape[:2], dtype=torch.long)
    return torch_peers.eager(
        lambda: model.generate(
            inputs_embeds=prompt, attention_mask=mask, do_sample=False, min_new_tokens=steps, max_new_tokens=steps
        )
    )
