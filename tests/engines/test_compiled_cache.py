"""Compiled graphs are found again, and whatever is wrong with what is kept costs time and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.engines import compile_all, open_engine
from vljepa_edge.engines import openvino as openvino_engine
from vljepa_edge.engines.base import Graph
from vljepa_edge.engines.compiled_cache import LONGEST_UNUSED, VARIABLE, CompiledCache, compiled_root
from vljepa_edge.engines.openvino import OpenVinoEngine

ROOT = Path(__file__).parents[2]
DATA, NOTES = bytes(range(256)) * 5, {"outputs": ["a", "b"]}
TEXT = {"input_ids": np.ones((2, 4), np.int64), "attention_mask": np.ones((2, 4), np.int64)}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "compiled"))
    return tmp_path / "compiled"


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def graphs(bundle: Path, threads: int = 1) -> dict[str, Graph]:
    return compile_all(open_engine(threads=threads, precision="f32"), Bundle.open(bundle))


def refuse_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise AssertionError("it was compiled again")

    monkeypatch.setattr(OpenVinoEngine, "_compile", fail)


def test_graphs_are_found_again_and_give_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = graphs(default_bundle())
    refuse_to_compile(monkeypatch)
    found = graphs(default_bundle())
    draw = np.random.default_rng(0)
    frame = {"frame": draw.integers(0, 256, (1, 224, 224, 3), np.uint8)}
    for role, inputs in (("x_encoder_appearance", frame), ("query", TEXT), ("y_encoder", TEXT)):
        assert found[role].inputs == compiled[role].inputs
        assert found[role].outputs == compiled[role].outputs
        for name, array in compiled[role](inputs).items():
            np.testing.assert_array_equal(found[role](inputs)[name], array, err_msg=f"{role} {name}")


def test_a_graph_works_on_when_its_entry_is_removed(root: Path, toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs(toy)
    refuse_to_compile(monkeypatch)
    found = graphs(toy)
    for path in files(root):
        path.unlink()
    assert np.isfinite(found["y_encoder"](TEXT)["embedding"]).all()


def test_other_graphs_threads_and_machines_have_entries_of_their_own(
    root: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs(toy)
    first = set(files(root))
    graphs(write_toy_bundle(tmp_path / "other", seed=1))
    second = set(files(root)) - first
    graphs(toy, threads=2)
    third = set(files(root)) - first - second
    monkeypatch.setattr(openvino_engine, "_cpu_features", lambda: ["other"])
    graphs(toy)
    fourth = set(files(root)) - first - second - third
    assert all((first, second, third, fourth))
    assert {path.parent for path in first} == {path.parent for path in second | third}
    assert not {path.parent for path in first} & {path.parent for path in fourth}
    assert all(re.fullmatch(r"openvino-[\w.-]+", path.parent.name) for path in files(root))


def test_an_entry_that_openvino_refuses_is_made_again(root: Path, toy: Path) -> None:
    graphs(toy)
    for path in files(root):
        CompiledCache(root, path.parent.name).put(path.stem, b"no graph", NOTES)
    assert np.isfinite(graphs(toy)["y_encoder"](TEXT)["embedding"]).all()
    assert all(path.stat().st_size > 1000 for path in files(root))


def test_an_entry_is_what_was_put(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path, "place")
    assert cache.get("key") is None
    cache.put("key", DATA, NOTES)
    kept = cache.get("key")
    assert kept is not None and bytes(kept.data) == DATA and kept.notes == NOTES
    cache.put("key", b"", {})
    kept = cache.get("key")
    assert kept is not None and bytes(kept.data) == b"" and kept.notes == {}


@given(at=st.integers(0, 10**4), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_entry_is_none(at: int, bit: int, cut: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("damaged")
    cache = CompiledCache(root, "place")
    cache.put("key", DATA, NOTES)
    (path,) = files(root)
    data = bytearray(path.read_bytes())
    at %= len(data)
    data[at] ^= 1 << bit
    path.write_bytes(data[:at] if cut else data)
    assert cache.get("key") is None
    assert files(root) == [] or path.stat().st_size == 0
    cache.put("key", DATA, NOTES)
    kept = cache.get("key")
    assert kept is not None and bytes(kept.data) == DATA


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    cache, other = CompiledCache(tmp_path, "new", limit=6000), CompiledCache(tmp_path, "old", limit=6000)
    for age, (place, key) in enumerate([(cache, "a"), (cache, "b"), (other, "c")]):
        place.put(key, DATA, NOTES)
        (path,) = tmp_path.glob(f"*/{key}.compiled")
        os.utime(path, (path.stat().st_mtime - 100 * (age + 1),) * 2)  # c is the oldest, then b
    assert other.get("c") is not None  # and now the newest
    cache.put("d", DATA, NOTES)
    cache.put("e", DATA, NOTES)
    assert {path.stem for path in files(tmp_path)} == {"a", "c", "d", "e"}
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 6000


def test_what_was_not_used_for_a_month_goes_with_its_folder(tmp_path: Path) -> None:
    old = CompiledCache(tmp_path, "old")
    old.put("key", DATA, NOTES)
    (path,) = files(tmp_path)
    os.utime(path, (path.stat().st_mtime - LONGEST_UNUSED - 10,) * 2)
    CompiledCache(tmp_path, "new").put("key", DATA, NOTES)
    assert [path.relative_to(tmp_path).as_posix() for path in files(tmp_path)] == ["new/key.compiled"]
    assert not (tmp_path / "old").exists()


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path, "place", limit=2 * len(DATA))
    cache.put("key", DATA, NOTES)
    assert files(tmp_path) == []


@pytest.mark.parametrize("value", ["off", "OFF", "{file}/compiled", "/proc/compiled"])
def test_without_a_folder_graphs_are_compiled(
    value: str, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(VARIABLE, value.format(file=tmp_path / "file"))
    for _ in range(2):
        assert np.isfinite(graphs(toy)["y_encoder"](TEXT)["embedding"]).all()
    assert files(tmp_path) == [tmp_path / "file"]


def test_a_disk_that_is_full_leaves_nothing_behind(toy: Path, tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys, vljepa_edge\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"  # a write that goes beyond fails half way
        f"vljepa_edge.load({str(toy)!r}, threads=1)\n"
    )
    env = os.environ | {VARIABLE: str(tmp_path / "compiled"), "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-B", "-c", program], env=env, check=True, timeout=120)
    assert files(tmp_path) == []
    assert list(tmp_path.glob("compiled/*")), "the write that was to fail was not tried"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_what_another_user_wrote_is_not_believed(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path, "place")
    cache.put("key", DATA, NOTES)
    (path,) = files(tmp_path)
    os.chown(path, 12345, -1)
    assert cache.get("key") is None


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path))
    assert compiled_root() == tmp_path / "compiled"
    monkeypatch.setenv(VARIABLE, "~/mine")
    assert compiled_root() == Path.home() / "mine"


def test_many_threads_see_complete_entries(tmp_path: Path) -> None:
    cache = CompiledCache(tmp_path, "place")
    wrong: list[bytes] = []

    def work(act: Callable[[], None]) -> Callable[[], None]:
        return lambda: [act() for _ in range(40)] and None

    def look() -> None:
        kept = cache.get("key")
        if kept is not None and bytes(kept.data) != DATA:
            wrong.append(bytes(kept.data))

    actions = [lambda: cache.put("key", DATA, NOTES), lambda: cache.drop("key"), look, look]
    threads = [threading.Thread(target=work(act)) for act in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
