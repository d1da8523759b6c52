"""Bundles are read as written, in a folder and in a zip, and are written completely or not at all."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.onnx_bytes import declared_inputs, external_weights
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import BundleError


@pytest.fixture(params=["toy", "toy.vljepa"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_toy_bundle(tmp_path / request.param)


def contents(bundle: Bundle) -> dict[str, bytes | Path]:
    return {name: bundle.read(name) for name in bundle.manifest.entries()}


def manifest_of(path: Path) -> dict[str, Any]:
    raw = (path / "manifest.json").read_bytes() if path.is_dir() else zipfile.ZipFile(path).read("manifest.json")
    result: dict[str, Any] = json.loads(raw)
    return result


def test_every_file_reads_back_with_the_hash_of_the_manifest(path: Path) -> None:
    bundle = Bundle.open(path)
    for name, entry in bundle.manifest.entries().items():
        assert hashlib.sha256(bundle.read(name)).hexdigest() == entry.sha256
    assert list(bundle.manifest.x_encoders) == ["x_encoder_appearance", "x_encoder_motion"]
    assert bundle.manifest.graphs["query"].file == bundle.manifest.graphs["y_encoder"].file
    assert bundle.path == path


def test_the_digest_is_the_manifests_and_the_same_in_both_forms(tmp_path: Path) -> None:
    folder = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    archive = Bundle.open(write_toy_bundle(tmp_path / "toy.vljepa"))
    assert folder.digest == archive.digest == hashlib.sha256((tmp_path / "toy/manifest.json").read_bytes()).hexdigest()
    assert Bundle.open(write_toy_bundle(tmp_path / "other", seed=1)).digest != folder.digest


def test_a_folder_zipped_by_another_tool_opens(tmp_path: Path) -> None:
    folder = write_toy_bundle(tmp_path / "toy")
    archive = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", folder))  # deflated, with folder entries
    assert Bundle.open(archive).digest == Bundle.open(folder).digest


GRAPH = "graphs/predictor.onnx"


@pytest.mark.parametrize("name", ["toy", "toy.vljepa"])
def test_a_view_has_the_bytes_of_the_file(name: str, tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / name))
    for file, entry in bundle.manifest.entries().items():
        assert hashlib.sha256(bundle.view(file)).hexdigest() == entry.sha256


def test_graphs_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    monkeypatch.setattr(hashlib, "sha256", None)
    assert bytes(bundle.view(GRAPH)) == (tmp_path / "toy" / GRAPH).read_bytes()


def test_a_view_of_a_graph_that_was_altered_since_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    path = tmp_path / "toy" / GRAPH
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    with pytest.raises(BundleError, match=f"{GRAPH}: was altered"):
        bundle.view(GRAPH)


def test_a_view_of_a_graph_that_was_copied_again_is_the_same(tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    path = tmp_path / "toy" / GRAPH
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    assert bytes(bundle.view(GRAPH)) == data


def test_a_bundle_goes_to_another_process(tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy"))
    there = pickle.loads(pickle.dumps(bundle))
    assert there == bundle
    assert bytes(there.view(GRAPH)) == bundle.read(GRAPH)


def test_links_within_the_bundle_and_to_it_are_fine(tmp_path: Path) -> None:
    folder = write_toy_bundle(tmp_path / "toy")
    (folder / "tokenizers/target.json").unlink()
    (folder / "tokenizers/target.json").symlink_to("query.json")
    (tmp_path / "latest").symlink_to(folder)
    assert Bundle.open(tmp_path / "latest").read("tokenizers/target.json")


def test_files_may_be_given_as_paths(tmp_path: Path) -> None:
    source = write_toy_bundle(tmp_path / "toy")
    first = Bundle.open(source)
    files: dict[str, bytes | Path] = {name: source / name for name in first.manifest.entries()}
    for out in (tmp_path / "copy", tmp_path / "copy.vljepa"):
        again = Bundle.open(write_bundle(out, manifest_of(source), files))
        assert contents(again) == contents(first)


def test_a_bundle_replaces_a_bundle_and_leaves_nothing_beside(path: Path) -> None:
    write_toy_bundle(path, seed=1)
    assert Bundle.open(path).manifest.provenance == {"seed": 1}
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["work", "work.vljepa"])
def test_what_is_no_bundle_is_never_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "thesis.txt").write_text("four years")
    with pytest.raises(BundleError, match="not a bundle"):
        write_toy_bundle(tmp_path / name)
    assert (tmp_path / name / "thesis.txt").read_text() == "four years"


def fails_after(count: int, real: Callable[..., Any], error: BaseException) -> Callable[..., Any]:
    calls = iter(range(count))

    def function(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            raise error
        return real(*arguments, **options)

    return function


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("files_written", [0, 3, 100])
def test_a_full_disk_or_ctrl_c_leaves_what_was_there(
    path: Path, files_written: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Bundle.open(path).digest
    monkeypatch.setattr(Path, "write_bytes", fails_after(files_written, Path.write_bytes, error))
    monkeypatch.setattr(zipfile.ZipFile, "writestr", fails_after(files_written, zipfile.ZipFile.writestr, error))
    monkeypatch.setattr(os, "rename", fails_after(0, print, error))
    monkeypatch.setattr(Path, "replace", fails_after(0, print, error))
    with pytest.raises(BundleError if isinstance(error, OSError) else KeyboardInterrupt):
        write_toy_bundle(path, seed=1)
    assert Bundle.open(path).digest == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_toy_bundle(tmp_path / "toy")
    before = Bundle.open(path).digest
    rename = os.rename

    def second_fails(source: Path, target: Path) -> None:
        if Path(source).suffix == ".partial":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(BundleError, match="Input/output error"):
        write_toy_bundle(path, seed=1)
    assert Bundle.open(path).digest == before
    assert [item.name for item in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize(
    ("name", "data"),
    [("../evil.md", b"x"), ("/tmp/evil.md", b"x"), ("model.pt", b"x"), ("graphs/more.bin", b"x"), ("empty.md", b"")],
)
def test_what_could_not_be_opened_is_not_written(name: str, data: bytes, tmp_path: Path) -> None:
    source = write_toy_bundle(tmp_path / "toy")
    files = contents(Bundle.open(source)) | {name: data}
    with pytest.raises(BundleError):
        write_bundle(tmp_path / "out", manifest_of(source), files)
    assert [item.name for item in tmp_path.iterdir()] == ["toy"]


def test_a_graph_without_a_file_and_nan_are_not_written(tmp_path: Path) -> None:
    source = write_toy_bundle(tmp_path / "toy")
    files = contents(Bundle.open(source))
    with pytest.raises(BundleError, match=r"NaN|nan"):
        write_bundle(tmp_path / "out", {**manifest_of(source), "figures": {"r1": float("nan")}}, files)
    del files["graphs/predictor.onnx"]
    with pytest.raises(BundleError, match="not among the files") as caught:
        write_bundle(tmp_path / "out", manifest_of(source), files)
    assert caught.value.file == "graphs/predictor.onnx"


def test_the_manifest_is_frozen(path: Path) -> None:
    manifest = Bundle.open(path).manifest
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "other"


def a_model() -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((3, 2), np.float32), "w")
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    shapes: dict[str, Any] = {"x": None, "unused": ["batch", 2], "w": [3, 2]}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(
        [node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], [weight]
    )
    return helper.make_model(graph)


def test_onnx_inputs_are_read_without_onnx() -> None:
    assert declared_inputs(a_model().SerializeToString()) == {"x": (), "unused": ("batch", None)}  # w is a weight
    assert external_weights(a_model().SerializeToString()) == []


def test_any_cut_or_noise_in_an_onnx_file_is_a_value_error_at_worst() -> None:
    model = a_model().SerializeToString()
    rng = np.random.default_rng(0)
    for length in range(len(model)):
        noisy = bytearray(model)
        noisy[rng.integers(len(model))] = rng.integers(256)
        for data in (model[:length], bytes(noisy), rng.bytes(length)):
            try:
                external_weights(data)
                declared_inputs(data)
            except ValueError:
                continue
