"""Plugins through NVIDIA's own `tensorrt.plugin` of 10.16 and 11.4, asked as TensorRT asks: see plugin_host.py."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engines.bindings import environment
from vljepa_edge.support.assets import AssetError

triton = pytest.importorskip("triton")
ROOT = Path(__file__).parents[2]
PTXAS = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
RUNS = [{"B": 1, "N": 2560, "S": 40}, {"B": 3, "N": 65, "S": 2}]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        (platform.system(), platform.machine(), sys.version_info[:2]) != ("Linux", "x86_64", (3, 11)),
        reason="the pinned bindings are for Python 3.11 on x86-64 Linux",
    ),
]


def request(plugin: str, *inputs: tuple[str, list[int | str]], **attributes: str) -> dict[str, Any]:
    return {"plugin": plugin, "attributes": attributes, "inputs": inputs, "runs": RUNS}


def attention(head_dim: int) -> list[tuple[str, list[int | str]]]:
    table: tuple[str, list[int | str]] = ("float16", ["N", head_dim])
    return [("float16", ["B", "N", 48, head_dim]), ("float16", ["B", "N", 8, head_dim]), table, table]


LENGTHS: tuple[str, list[int | str]] = ("int32", ["B"])
REQUESTS = {
    "rotate": request("RotateKeys", attention(64)[0], *attention(64)[2:], heads="32"),
    "padded": request("PaddedAttention", *attention(64), LENGTHS, heads="32"),
    "whole": request("BidirectionalAttention", *attention(128), heads="32"),
    "sum": request("PoolSum", ("float16", ["B", "N", 2048]), LENGTHS, eps="1e-05"),
    "project": request(
        "PoolProject", ("float32", ["B", "S", 2048]), LENGTHS, ("float32", [2048]), ("float16", [1536, 2048]),
        ("float16", [1536]),
    ),
}  # fmt: skip


def ask(release: str, arch: int, requests: list[dict[str, Any]], driver: int = 13010) -> list[dict[str, Any]]:
    try:
        variables = environment(release)
    except AssetError as error:
        pytest.skip(f"TensorRT's bindings can't be fetched: {error}")
    except FileNotFoundError:
        pytest.skip("there is no C compiler (cc) to make TensorRT's bindings load")
    variables["PYTHONPATH"] += os.pathsep + str(ROOT)
    command = [sys.executable, "tests/engines/plugin_host.py", f"sm_{arch}", str(driver)]
    done = subprocess.run(command, cwd=ROOT, env=variables, input=json.dumps(requests), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])  # TensorRT's log comes before
    return answers


@pytest.fixture(scope="module", params=["10.16", "11.4"])
def answers(request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    return dict(zip(REQUESTS, ask(request.param, 87, list(REQUESTS.values()), 12060), strict=True))


def test_outputs_have_the_types_and_shapes_of_the_operations(answers: dict[str, dict[str, Any]]) -> None:
    assert {name: (answer["type"], *answer["shapes"]) for name, answer in answers.items()} == {
        "rotate": ("float16", [1, 2560, 8, 64], [3, 65, 8, 64]),
        "padded": ("float16", [1, 2560, 32, 64], [3, 65, 32, 64]),
        "whole": ("float16", [1, 2560, 32, 128], [3, 65, 32, 128]),
        "sum": ("float32", [1, 40, 2048], [3, 2, 2048]),
        "project": ("float32", [1, 1536], [3, 1536]),
    }


def test_the_one_combination_is_the_types_of_the_network_and_linear_tensors(answers: dict[str, dict[str, Any]]) -> None:
    kinds = {"float16": "HALF", "float32": "FLOAT", "int32": "INT32"}
    for name, answer in answers.items():
        types = [*(kind for kind, _ in REQUESTS[name]["inputs"]), answer["type"]]
        assert answer["combinations"] == [[kinds[kind], "LINEAR"] for kind in types]


def test_launches_follow_the_shapes_of_each_run(answers: dict[str, dict[str, Any]]) -> None:
    def grids(name: str, tactic: str) -> list[list[int]]:
        return [[launch[f"grid_{axis}"] for axis in "xyz"] for launch in answers[name]["tactics"][tactic]["launches"]]

    assert grids("rotate", "0") == [[40, 8, 1], [2, 8, 3]]
    assert grids("padded", "1") == [[40, 32, 1], [2, 32, 3]]
    assert grids("sum", "0") == [[40, 1, 1], [2, 3, 1]]
    assert grids("project", "0") == [[96, 1, 1], [96, 3, 1]]
    for name, answer in answers.items():
        for code in answer["tactics"].values():
            assert code["integers"] == ([[40], [2]] if name == "project" else [[2560], [65]])
            assert code["integer_types"] == ["INT32"]


def test_tensorrt_times_only_tiles_that_it_can_launch(answers: dict[str, dict[str, Any]]) -> None:
    assert set(answers["padded"]["tactics"]) == {"1", "2", "3"}
    assert set(answers["whole"]["tactics"]) == {"2", "3"}  # the first takes 64 kB
    for answer in answers.values():
        for code in answer["tactics"].values():
            assert all(launch["shared_mem"] <= 48 << 10 for launch in code["launches"])


def test_the_entry_declares_what_tensorrt_passes_and_nothing_more(
    answers: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """A pointer an input, an int32, a pointer an output: Triton's two hidden pointers are gone, and ptxas takes it."""
    for name, answer in answers.items():
        for code in answer["tactics"].values():
            entry = re.search(rf"\.entry {code['name']}\((.*?)\)\s*\.reqntid (\d+)", code["ptx"], re.DOTALL)
            assert entry is not None
            assert code["ptx"].count(".version 8.5") == 1  # a driver of CUDA 12.6 takes no newer one
            declared = re.findall(r"\.param \.(\w+)", entry[1])
            assert declared == ["u64"] * len(REQUESTS[name]["inputs"]) + ["u32", "u64"]
            read = {int(place) for place in re.findall(rf"\[{code['name']}_param_(\d+)", code["ptx"])}
            assert read <= set(range(len(declared)))
            assert all(launch["block_x"] == int(entry[2]) for launch in code["launches"])
            (tmp_path / "code.ptx").write_text(code["ptx"])
            made = [str(PTXAS), "-arch=sm_87", str(tmp_path / "code.ptx"), "-o", str(tmp_path / "code.cubin")]
            subprocess.run(made, check=True, capture_output=True)


@pytest.mark.parametrize("arch", [90, 110])
def test_a_gpu_with_larger_tiles_gets_smaller_ones(arch: int) -> None:
    for answer in ask("11.4", arch, [REQUESTS["padded"], REQUESTS["whole"]]):
        assert answer["tactics"]
        for code in answer["tactics"].values():
            assert f".target sm_{arch}" in code["ptx"]


def test_without_ahead_of_time_plugins_there_is_nothing_to_import() -> None:
    code = "import tensorrt_bindings as trt; print(hasattr(trt, 'QuickPluginCreationRequest'))"
    found = {}
    for release in ("10.3", "10.16", "11.4"):
        try:
            variables = environment(release)
        except (AssetError, FileNotFoundError) as error:
            pytest.skip(str(error))
        done = subprocess.run([sys.executable, "-c", code], env=variables, check=True, capture_output=True, text=True)
        found[release] = done.stdout.split()[-1] == "True"
    assert found == {"10.3": False, "10.16": True, "11.4": True}
