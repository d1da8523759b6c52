"""Cubins outside of Triton: the bundle, its C++ launcher, hidden parameters; and tuning without a GPU."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from vljepa_edge.cli import app
from vljepa_edge.errors import InputError, KernelError
from vljepa_edge.kernels import tiles
from vljepa_edge.kernels.launch import recorded
from vljepa_edge.kernels.tools import aot, ptx, tune, workloads
from vljepa_edge.kernels.tools import cubins as bundle

triton = pytest.importorskip("triton")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vljepa kernels build --arch 87` writes, in a process without the interpreter."""
    out = tmp_path_factory.mktemp("bundle") / "orin"
    command = [sys.executable, "-m", "vljepa_edge", "kernels", "build", "--arch", "87", "--out", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kernels"]
    return out


def test_every_file_of_the_bundle_is_there_and_is_a_cubin(folder: Path) -> None:
    data = json.loads((folder / "kernels.json").read_text())
    assert (data["format"], data["arch"], data["triton"]) == (1, 87, triton.__version__)
    for row in data["kernels"]:
        cubin = (folder / row["file"]).read_bytes()
        assert cubin[:4] == b"\x7fELF" and row["entry"].encode() in cubin
        assert row["threads"] in (64, 128, 256, 512) and row["grid"]
        assert [p["name"] for p in row["parameters"]] == list(dict.fromkeys(p["name"] for p in row["parameters"]))


def test_attention_takes_the_arguments_that_its_signature_has(folder: Path) -> None:
    rows = json.loads((folder / "kernels.json").read_text())["kernels"]
    (row,) = [r for r in rows if r["name"] == "attention_d64_fp16_bidirectional_attention_forward_kernel"]
    names = [p["name"] for p in row["parameters"]]
    assert names[:4] == ["Q", "K", "V", "OUT"] and names[-2:] == ["tokens", "scale"]
    assert "LSE" not in names  # absent pointers are compiled away
    assert {p["name"]: p["cpp"] for p in row["parameters"]}["scale"] == "float"
    assert row["constants"] == {"GROUP": 4, "HEAD_DIM": 64, "BLOCK_M": 64, "BLOCK_N": 64}
    assert row["hidden_null_pointers"] == 2
    assert row["grid"] == "blocks of queries, heads, B"


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_the_launcher_compiles_and_counts_its_arguments(folder: Path, tmp_path: Path) -> None:
    include = Path(triton.__file__).parent / "backends" / "nvidia" / "include"
    good = "kernel.launch(nullptr, {1, 1, 1}, CUdeviceptr{0}, std::int32_t{3}, 1.0f);"
    for line, right in ((good, True), ("kernel.launch(nullptr, {1, 1, 1}, 1.0);", False)):
        source = tmp_path / "main.cpp"
        source.write_text(
            '#include "kernels.hpp"\n'
            f'int main() {{ vljepa::kernels::Kernel kernel(vljepa::kernels::all[0], "."); {line} return 0; }}\n'
        )
        flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{folder}", f"-isystem{include}"]
        done = subprocess.run(["c++", *flags, str(source)], capture_output=True, text=True)
        assert (done.returncode == 0) == right, done.stderr


def test_an_entry_that_disagrees_with_its_signature_is_refused() -> None:
    def kernel(declared: str, **metadata: int) -> SimpleNamespace:
        text = f".visible .entry k(\n{declared}\n)\n"
        about = SimpleNamespace(name="k", **metadata)
        return SimpleNamespace(
            asm={"ptx": text}, src=SimpleNamespace(signature={"X": "*fp16", "n": "i32"}), metadata=about
        )

    two = ".param .u64 .ptr .global .align 1 k_param_0,\n.param .u32 k_param_1"
    assert ptx.entry(kernel(two)).hidden == 0
    assert ptx.entry(kernel(two + ",\n.param .u64 .ptr k_param_2")).hidden == 1
    for declared in (two.replace("u32", "u64"), two + ",\n.param .u32 k_param_2", ".param .u64 k_param_0"):
        with pytest.raises(KernelError, match="declares"):
            ptx.entry(kernel(declared))
    with pytest.raises(KernelError, match="scratch"):
        ptx.entry(kernel(two, global_scratch_size=64))


def test_tensorrt_gets_ptx_without_the_hidden_parameters_or_nothing() -> None:
    """They come last and are read by nothing, so without them the others stay where the instructions look for them."""

    def kernel(hidden: str = "", body: str = "", **types: str) -> SimpleNamespace:
        declared = ",\n".join(
            f"\t.param {'.u64 .ptr .global .align 1' if t[0] == '*' else '.f32' if t == 'fp32' else '.u32'} k_param_{i}"
            for i, t in enumerate(types.values())
        )
        inside = f"ld.param.b64 %rd1, [k_param_0];\n{body}"
        text = f".version 8.7\n.visible .entry k(\n{declared}{hidden}\n)\n{{\n{inside}}}\n"
        about = SimpleNamespace(name="k", global_scratch_size=0, profile_scratch_size=0)
        return SimpleNamespace(asm={"ptx": text}, src=SimpleNamespace(signature=types), metadata=about)

    right = {"X": "*fp16", "LENGTHS": "*i32", "n": "i32", "OUT": "*fp32"}
    passed = (["*fp16", "*i32"], 1, ["*fp32"])
    two = ",\n\t.param .u64 .ptr .global .align 1 k_param_4,\n\t.param .u64 .ptr .global .align 1 k_param_5"
    assert ptx.for_tensorrt(kernel(two, **right), *passed) == ("k", kernel(**right).asm["ptx"])
    assert ptx.for_tensorrt(kernel(**right), *passed) == ("k", kernel(**right).asm["ptx"])
    with pytest.raises(KernelError, match="reads k_param_5, which TensorRT doesn't pass"):
        ptx.for_tensorrt(kernel(two, "ld.param.b64 %rd2, [k_param_5];\n", **right), *passed)
    wrong = {
        "one too many": {**right, "OUT2": "*fp32"},
        "one too few": {name: kind for name, kind in right.items() if name != "LENGTHS"},
        "output before integer": {"X": "*fp16", "LENGTHS": "*i32", "OUT": "*fp32", "n": "i32"},
        "other element": {**right, "X": "*fp32"},
        "a float, which TensorRT can't pass": {**right, "n": "fp32"},
    }
    for types in wrong.values():
        with pytest.raises(KernelError, match="but TensorRT passes"):
            ptx.for_tensorrt(kernel(two, **types), *passed)


def test_a_driver_is_given_no_newer_ptx_than_it_takes() -> None:
    from triton.backends.nvidia.compiler import ptx_get_version

    for cuda in [(11, 8), *((12, minor) for minor in range(10)), (13, 0), (13, 1)]:
        assert ptx.newest_for(cuda) == ptx_get_version(f"{cuda[0]}.{cuda[1]}")
    (made,) = workloads.launches(90, "patchify fp16").values()
    old = aot.compiled(made._replace(config={**made.config, "ptx_version": ptx.newest_for((12, 4))}), 90)
    assert ptx.version_of(old) == 84 < ptx.version_of(aot.compiled(made, 90))


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sm_75.*87"):
        bundle.write_cubins(75, tmp_path)
    run = CliRunner().invoke(app, ["kernels", "build", "--arch", "75", "--out", str(tmp_path)])
    assert run.exit_code == 2 and "sm_75" in run.stderr


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One kernel, whose cubin is made up."""

    def write(label: str, launch: object, arch: int, out: Path) -> dict[str, Any]:
        name = "_".join(label.split())
        (out / f"{name}.cubin").write_bytes(b"cubin")
        unread: dict[str, Any] = {"entry": "k", "shared_bytes": 0, "threads": 32, "parameters": []}
        return {"name": name, "file": f"{name}.cubin", "hidden_null_pointers": 0} | unread

    monkeypatch.setattr(bundle, "_write", write)
    monkeypatch.setattr(bundle.workloads, "INFERENCE", ("patchify",))
    monkeypatch.setattr(bundle.workloads, "launches", lambda arch, workload: {workload: None})
    monkeypatch.setattr(bundle.aot, "require_compiler", lambda: None)


def test_a_folder_of_kernels_is_replaced_when_all_is_compiled(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "orin"
    bundle.write_cubins(87, out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(before) == ["kernels.hpp", "kernels.json", "launcher.hpp", "patchify.cubin"]

    def stop(rows: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bundle, "_table", stop)
        bundle.write_cubins(90, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert bundle.write_cubins(90, out)["arch"] == json.loads((out / "kernels.json").read_text())["arch"] == 90
    assert [item.name for item in tmp_path.iterdir()] == ["orin"]


@pytest.mark.parametrize("name", ["mine.cubin", "kernels.txt", "kernels.json", "src/main.cu"])
def test_a_folder_with_anything_else_in_it_is_left_alone(name: str, quick: None, tmp_path: Path) -> None:
    out = tmp_path / "orin"
    if name != "kernels.json":
        bundle.write_cubins(87, out)
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).write_text("[]")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="left alone"):
        bundle.write_cubins(87, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_measured_table_is_in_the_cache_that_the_user_chose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLJEPA_KERNELS_TABLES", raising=False)
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path))
    assert tiles.table_path("NVIDIA Thing (1)") == tmp_path / "kernels" / "NVIDIA-Thing-1-.json"
    monkeypatch.delenv("VLJEPA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert tiles.table_path("a") == tmp_path / "vljepa-edge" / "kernels" / "a.json"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tuning_without_a_gpu_says_so() -> None:
    with pytest.raises(KernelError, match="NVIDIA GPU"):
        tune.require_gpu()
    run = CliRunner().invoke(app, ["kernels", "tune"])
    assert run.exit_code == 1 and "NVIDIA GPU" in run.stderr


def test_candidates_begin_with_the_shipped_tiles_and_differ() -> None:
    name = tiles.key("attention_forward", 64, 16)
    tried = tiles.candidates(name, 87)
    sizes = [(t.block_m, t.block_n, t.warps, t.stages) for t in tried]
    assert tried[0] == tiles.shipped(name, 87) and len(set(sizes)) == len(sizes) > 5
    assert all(t.block_n == 0 for t in tiles.candidates("patchify", 87))


def test_a_measured_table_is_read_back_and_a_broken_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLJEPA_KERNELS_TABLES", str(tmp_path))
    tiles.own_table.cache_clear()
    path, mine = tiles.table_path("NVIDIA Thing (1)"), tiles.Tiles(32, 16, warps=2)
    assert path.parent == tmp_path and tiles.own_table("NVIDIA Thing (1)") == {}
    tiles.own_table.cache_clear()
    tune.write_table(path, "NVIDIA Thing (1)", {"patchify": mine})
    assert tiles.own_table("NVIDIA Thing (1)") == {"patchify": mine}
    tiles.own_table.cache_clear()
    path.write_text('{"tiles": {"patchify": {"block": 3}}}')
    with pytest.raises(KernelError, match="is no table"):
        tiles.own_table("NVIDIA Thing (1)")
    tiles.own_table.cache_clear()


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A device that tuning can time on, in made-up milliseconds: more warps are faster. Where its table will be."""
    monkeypatch.setenv("VLJEPA_KERNELS_TABLES", str(tmp_path))
    monkeypatch.setattr(tune, "require_gpu", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Thing")
    monkeypatch.setattr(tune, "_milliseconds", lambda made, device: 1 / made.config["num_warps"])
    tiles.own_table.cache_clear()
    return tiles.table_path("Thing")


def test_each_line_is_in_the_table_when_it_is_found_and_others_stay(gpu: Path) -> None:
    tune.write_table(gpu, "Thing", {"info_nce/16": tiles.Tiles(16), "patchify": tiles.Tiles(1)})
    found: list[str] = []

    def report(timing: tune.Timing) -> None:
        found.append(timing.name)
        kept = json.loads(gpu.read_text())["tiles"]
        assert kept["info_nce/16"]["block_m"] == 16
        assert {name for name in found if name != "patchify"} >= kept.keys() - {"info_nce/16", "patchify"}
        assert (timing.name in kept) == (timing.best_ms < timing.shipped_ms)

    path, timings = tune.tune(report, pytest.fail)
    assert path == gpu and [timing.name for timing in timings] == found and "patchify" in found
    assert not any(name.startswith(("info_nce", "attention_key_gradient")) for name in found)
    assert tiles.own_table("Thing")["patchify"].block_m > 1


def test_a_line_for_which_memory_is_too_small_is_skipped_and_the_others_stay(
    gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def milliseconds(made: Any, device: object) -> float:
        if made.kernel.__name__ == "patchify_kernel":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1 / float(made.config["num_warps"])

    monkeypatch.setattr(tune, "_milliseconds", milliseconds)
    skipped: list[KernelError] = []
    _, timings = tune.tune(lambda timing: None, skipped.append)
    assert [str(error) for error in skipped] == ["the shipped tiles of patchify don't run on sm_80: CUDA out of memory"]
    assert len(timings) > 5 and "patchify" not in json.loads(gpu.read_text())["tiles"]
    monkeypatch.setattr(workloads, "INFERENCE", ("patchify fp16",))
    with pytest.raises(KernelError, match="out of memory"):
        tune.tune(lambda timing: None, skipped.append)


def test_no_launch_that_is_timed_takes_more_than_half_a_gigabyte() -> None:
    for workload in workloads.WORKLOADS:
        with recorded(87) as made:
            workloads.WORKLOADS[workload](workloads.SMALL_BATCH)
        for one in made:
            sizes = [a.untyped_storage().nbytes() for a in one.arguments if isinstance(a, torch.Tensor)]
            assert sum(sizes) <= 512 << 20, (workload, one.kernel.__name__, sum(sizes) >> 20)


def test_tuning_finds_the_lines_that_a_workload_looks_up_and_puts_candidates_in_their_place() -> None:
    lines = tune._lines("attention d64 fp16", 87)
    assert lines == ["attention_forward/64/16", "attention_rotate"]
    candidate = tiles.Tiles(32, 32, warps=2)
    made = tune._with(candidate, "attention d64 fp16", lines[0], 87)
    assert made[-1].config["BLOCK_M"] == 32 and made[-1].config["num_warps"] == 2
    assert tiles.shipped(lines[0], 87) != candidate
