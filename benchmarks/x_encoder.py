"""X-encoder: the frame graph (once a frame) and the clip graph (once a hop), one thread.

Peers: OpenVINO in fp32, ONNX Runtime, the same modules in PyTorch eager (fp32, bf16 autocast), and the bundle's own
weights run node by node in PyTorch by the reference engine. Limit: the peak of matrix products.
"""

from __future__ import annotations

from benchmarks.bench import Bench, cosine, installed
from benchmarks.comparison import Comparison, Stage
from benchmarks.interleave import Case


def stages(bench: Bench) -> list[Stage]:
    return [_role(bench, role, entry.unit) for role, entry in bench.bundle.manifest.x_encoders.items()]


def _role(bench: Bench, role: str, unit: str) -> Stage:
    inputs = bench.inputs[role]
    cost = bench.cost(role)
    cases, notes = same_weights(bench, role)
    missing = installed("torch")
    if missing is None and role in ("x_encoder_appearance", "x_encoder_motion"):
        from benchmarks import torch_peers

        module = torch_peers.appearance() if role.endswith("appearance") else torch_peers.motion(bench.bundle.manifest)
        peers, note = torch_peers.eager_cases(module, list(torch_peers.tensors(inputs).values()), cost.flops)
        cases += peers
        notes.append(note)
    title = f"X-encoder, {role.removeprefix('x_encoder_')}, one {'frame' if unit == 'frame' else 'window'}"
    return Stage(title, cases, lambda samples: Comparison(title, samples, bench.limit(cost), tuple(notes)))


def same_weights(bench: Bench, role: str) -> tuple[list[Case], list[str]]:
    """The bundle's graph on every engine that is here, and notes: how well they agree, and what is missing."""
    inputs = bench.inputs[role]
    exact = bench.computes_in("f32")
    variants = [(f"OpenVINO, {bench.computes_in(bench.precision)}", "openvino", "auto")]
    if bench.precision != "f32":
        variants.append((f"OpenVINO, {exact}", "openvino", "f32"))
    notes = []
    for name, engine, modules in (
        (f"ONNX Runtime, {exact}", "onnxruntime", ("onnxruntime",)),
        ("the graph in PyTorch, node by node", "torch", ("torch", "onnx")),
    ):
        missing = installed(*modules)
        if missing is None:
            variants.append((name, engine, "auto"))
        else:
            notes.append(f"{name}: {missing}.")
    graphs = [(name, bench.graph(role, engine, precision)) for name, engine, precision in variants]
    output = bench.bundle.manifest.graphs[role].outputs[0].name
    reference = graphs[0][1](inputs)[output]
    closest = [f"{cosine(reference, graph(inputs)[output]):.5f} {name}" for name, graph in graphs[1:]]
    notes.append(f"Cosine of our {output} with the same weights elsewhere: {'; '.join(closest)}.")
    return [Case(name, lambda graph=graph: graph(inputs)) for name, graph in graphs], notes
