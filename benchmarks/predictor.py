"""Predictor: vision features and a query to an embedding, once a hop, one thread. Peers and limit: see x_encoder."""

from __future__ import annotations

from benchmarks.bench import Bench, installed
from benchmarks.comparison import Comparison, Stage
from benchmarks.x_encoder import same_weights


def stages(bench: Bench) -> list[Stage]:
    cost = bench.cost("predictor")
    cases, notes = same_weights(bench, "predictor")
    missing = installed("torch")
    if missing is None and "recipe" in bench.bundle.manifest.provenance:
        from benchmarks import torch_peers

        given = torch_peers.tensors(bench.inputs["predictor"])
        streams = {name: given[name] for name in ("appearance", "motion")}
        module = torch_peers.predictor(bench.bundle.manifest)
        inputs = streams, given["query_tokens"], given["query_mask"]
        peers, note = torch_peers.eager_cases(module, inputs, cost.flops)
        cases += peers
        notes.append(note)
    title = "predictor, one hop"
    return [Stage(title, cases, lambda samples: Comparison(title, samples, bench.limit(cost), tuple(notes)))]
