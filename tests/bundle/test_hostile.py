"""Broken and hostile bundles: each is refused with a BundleError that names the file and says what is allowed."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import vljepa_edge.bundle.files as files_module
import vljepa_edge.bundle.store as bundle_module
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError

GRAPH = "graphs/predictor.onnx"
Break = Callable[[Path], Path]  # changes a good bundle folder and returns the path to open


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_toy_bundle(tmp_path / "toy")


def manifest_of(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return result


def edited(change: Callable[[dict[str, Any]], object]) -> Break:
    def broken(folder: Path) -> Path:
        manifest = manifest_of(folder)
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return broken


def after(*steps: Callable[[Path], object]) -> Break:
    def broken(folder: Path) -> Path:
        for step in steps:
            step(folder)
        return folder

    return broken


def raw_manifest(data: bytes) -> Break:
    def broken(folder: Path) -> Path:
        (folder / "manifest.json").write_bytes(data)
        return folder

    return broken


def added(name: str, data: bytes, *, declared: bool = False) -> Break:
    def broken(folder: Path) -> Path:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        if declared:
            entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            edited(lambda m: m["files"].update({name: entry}))(folder)
        return folder

    return broken


def graph_replaced(data: bytes) -> Break:
    """A hostile graph with an honest hash."""

    def broken(folder: Path) -> Path:
        (folder / GRAPH).write_bytes(data)
        entry = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        return edited(lambda m: m["graphs"]["predictor"].update(entry))(folder)

    return broken


def with_past(shape: list[int]) -> Break:
    past = {"name": "past", "shape": shape, "dtype": "float32"}
    return edited(lambda m: m["graphs"]["y_decoder"]["inputs"].append(past))


def linked(to: Callable[[Path], Path]) -> Break:
    def broken(folder: Path) -> Path:
        target = to(folder)
        (folder / GRAPH).rename(folder.parent / "predictor.onnx")
        (folder / GRAPH).symlink_to(target)
        return folder

    return broken


def zipped(change: Callable[[zipfile.ZipFile], object], method: int = zipfile.ZIP_STORED) -> Break:
    def broken(folder: Path) -> Path:
        path = folder.with_suffix(".vljepa")
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in sorted(p for p in folder.rglob("*") if p.is_file()):
                archive.write(file, file.relative_to(folder).as_posix())
            change(archive)
        return path

    return broken


def zip_entry(name: str, mode: int = stat.S_IFREG, data: bytes = b"x") -> Callable[[zipfile.ZipFile], object]:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o644) << 16
    return lambda archive: archive.writestr(info, data)


def nothing(_: object) -> None:
    pass


def cut_zip(folder: Path) -> Path:
    path = zipped(nothing)(folder)
    path.write_bytes(path.read_bytes()[:-200])
    return path


def flipped_zip(folder: Path) -> Path:
    """One bit of a weight: what zip's own checksum sees."""
    path = zipped(nothing)(folder)
    data = bytearray(path.read_bytes())
    at = data.find((folder / GRAPH).read_bytes()) + 300
    data[at] ^= 1
    path.write_bytes(data)
    return path


def bomb(folder: Path) -> Path:
    """A few kilobytes that say they are, and are, 64 MiB."""
    size = 64 << 20
    (folder / GRAPH).write_bytes(bytes(size))
    edited(lambda m: m["graphs"]["predictor"].update(bytes=size))(folder)
    return zipped(nothing, zipfile.ZIP_DEFLATED)(folder)


def lying_zip(folder: Path) -> Path:
    """The directory says a few bytes, the entry unpacks to 8 MiB."""
    size = (folder / GRAPH).stat().st_size
    (folder / GRAPH).write_bytes(os.urandom(1 << 20) * 8)
    path = zipped(nothing, zipfile.ZIP_DEFLATED)(folder)
    data = path.read_bytes().replace(struct.pack("<L", 8 << 20), struct.pack("<L", size))
    path.write_bytes(data)
    return path


def locked_zip(folder: Path) -> Path:
    path = zipped(nothing)(folder)
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        data[at + 8] |= 1  # the encryption flag of the central directory
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)
    return path


def as_file(name: str, data: bytes) -> Break:
    def broken(folder: Path) -> Path:
        (folder.parent / name).write_bytes(data)
        return folder.parent / name

    return broken


def replaced_by(make: Callable[[Path], object]) -> Break:
    def broken(folder: Path) -> Path:
        (folder / GRAPH).unlink()
        make(folder / GRAPH)
        return folder

    return broken


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder)
    folder.mkdir()
    return folder


def renamed_graph(name: str) -> Break:
    return edited(lambda m: m["graphs"]["predictor"].update(file=name))


def onnx_with_weights_at(location: str) -> bytes:
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    node = helper.make_node("Add", ["x", "w"], ["embedding"])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "embedding")]
    graph = helper.make_graph([node], "g", values[:1], values[1:], [weight])
    return bytes(helper.make_model(graph).SerializeToString())


def onnx_with_hidden_weights() -> bytes:
    """External data in a Constant node of the branch of an If, not where one looks first."""
    weight = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/passwd")
    out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [2])
    branch = helper.make_graph([helper.make_node("Constant", [], ["embedding"], value=weight)], "b", [], [out])
    node = helper.make_node("If", ["x"], ["embedding"], then_branch=branch, else_branch=branch)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.BOOL, [])], [out])
    return bytes(helper.make_model(graph).SerializeToString())


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("unpickled",)


def drop(m: dict[str, Any], *keys: str) -> None:
    for key in keys[:-1]:
        m = m[key]
    del m[keys[-1]]


PHOTO = b"\xff\xd8\xff\xe0\x00\x10JFIF" + os.urandom(2000)
TABLE: dict[str, tuple[Break, str, str]] = {
    # name: (how it is broken, the file that the error names, what its message says)
    "zip with ../": (zipped(zip_entry("../evil.onnx")), "../evil.onnx", "must be relative"),
    "zip with inner ..": (zipped(zip_entry("graphs/../../evil")), "graphs/../../evil", "must be relative"),
    "zip with an absolute name": (zipped(zip_entry("/etc/cron.d/evil")), "/etc/cron.d/evil", "must be relative"),
    "zip with a drive letter": (zipped(zip_entry("C:evil.onnx")), "C:evil.onnx", "must be relative"),
    "zip with backslashes": (zipped(zip_entry("..\\evil.onnx")), "..\\evil.onnx", "must be relative"),
    "zip with a NUL in a name": (zipped(zip_entry("NOTICE\0.onnx")), "NOTICE", "twice|relative names"),
    "zip with a symlink": (zipped(zip_entry("link.md", stat.S_IFLNK, b"/etc/passwd")), "link.md", "plain files"),
    "zip with a device": (zipped(zip_entry("null.md", stat.S_IFCHR)), "null.md", "plain files"),
    "zip with an entry twice": (zipped(zip_entry("NOTICE")), "NOTICE", "twice"),
    "zip with one more file": (zipped(zip_entry("graphs/more.onnx")), "graphs/more.onnx", "holds nothing else"),
    "zip bomb": (bomb, GRAPH, "times its packed size"),
    "zip whose sizes lie": (lying_zip, "toy.vljepa|" + GRAPH, "not a readable bundle|altered"),
    "zip packed with LZMA": (zipped(nothing, zipfile.ZIP_LZMA), "NOTICE", "stored or deflated"),
    "zip with a password": (locked_zip, "NOTICE", "encrypted"),
    "zip cut short": (cut_zip, "toy.vljepa", "bundle folder or a .vljepa file"),
    "zip with a flipped bit": (flipped_zip, "toy.vljepa|" + GRAPH, "not a readable bundle|altered"),
    "zip in a folder": (
        zipped(zip_entry("toy/x.md")), "toy/x.md", "holds nothing else"),
    "missing graph": (after(lambda f: (f / GRAPH).unlink()), GRAPH, "missing"),
    "missing tokenizer": (
        after(lambda f: (f / "tokenizers/query.json").unlink()), "tokenizers/query.json", "missing"),
    "graph that is a folder": (replaced_by(Path.mkdir), GRAPH, "missing"),
    "graph that is a pipe": (replaced_by(os.mkfifo), GRAPH, "plain files"),
    "empty graph": (replaced_by(Path.touch), GRAPH, "has 0 bytes"),
    "longer graph": (
        after(lambda f: (f / GRAPH).write_bytes((f / GRAPH).read_bytes() + b"more")), GRAPH, "bytes"),
    "altered graph": (
        after(lambda f: (f / GRAPH).write_bytes((f / GRAPH).read_bytes()[:-1] + b"!")), GRAPH, "SHA-256"),
    "wrong hash": (edited(lambda m: m["graphs"]["predictor"].update(sha256="0" * 64)), GRAPH, "SHA-256"),
    "wrong hash of a tokenizer": (
        edited(lambda m: m["files"]["NOTICE"].update(sha256="0" * 64)), "NOTICE", "SHA-256"),
    "one more file": (added("notes.md", b"hello"), "notes.md", "holds nothing else"),
    "one more hidden file": (added(".DS_Store", b"hello"), ".DS_Store", "holds nothing else"),
    "pickle beside": (added("checkpoint/model.pt", pickle.dumps(Evil())), "checkpoint/model.pt", "nothing else"),
    "pickle in the manifest": (
        added("checkpoint/model.pt", pickle.dumps(Evil()), declared=True), "checkpoint/model.pt", "allowed are"),
    "script in the manifest": (added("setup.py", b"import os", declared=True), "setup.py", "allowed are"),
    "library in the manifest": (added("graphs/op.so", b"\x7fELF", declared=True), "graphs/op.so", "allowed are"),
    "pickle as graph": (graph_replaced(pickle.dumps(Evil())), GRAPH, "not an ONNX graph"),
    "photo as graph": (graph_replaced(PHOTO), GRAPH, "not an ONNX graph"),
    "cut graph": (
        lambda f: graph_replaced((f / GRAPH).read_bytes()[:-50])(f), GRAPH, "not an ONNX graph"),
    "weights at ../": (graph_replaced(onnx_with_weights_at("../../etc/passwd")), GRAPH, "weights inside"),
    "weights at an absolute path": (graph_replaced(onnx_with_weights_at("/etc/passwd")), GRAPH, "weights inside"),
    "weights beside the graph": (graph_replaced(onnx_with_weights_at("w.bin")), GRAPH, "weights inside"),
    "weights elsewhere, hidden": (graph_replaced(onnx_with_hidden_weights()), GRAPH, "'hidden'"),
    "link out of the bundle": (linked(lambda f: f.parent / "predictor.onnx"), GRAPH, "leaves the bundle"),
    "link to a system file": (linked(lambda _: Path("/etc/passwd")), GRAPH, "leaves the bundle"),
    "folder link out of the bundle": (
        after(lambda f: (f / "graphs").rename(f.parent / "g"), lambda f: (f / "graphs").symlink_to(f.parent / "g")),
        "graphs", "leaves the bundle"),
    "manifest that is a folder": (
        after(lambda f: (f / "manifest.json").unlink(), lambda f: (f / "manifest.json").mkdir()),
        "toy", "no manifest.json"),
    "manifest empty": (raw_manifest(b""), "manifest.json", "JSON"),
    "manifest not JSON": (raw_manifest(b"name: tiny\n"), "manifest.json", "JSON"),
    "manifest binary": (raw_manifest(PHOTO), "manifest.json", "JSON"),
    "manifest a list": (raw_manifest(b"[]"), "manifest.json", "object|dictionary"),
    "manifest nested 100000 deep": (raw_manifest(b"[" * 100_000), "manifest.json", "JSON"),
    "manifest of 5 MiB": (raw_manifest(b" " * (5 << 20)), "manifest.json", "larger than"),
    "manifest with a key twice": (raw_manifest(b'{"schema": 1, "schema": 1}'), "manifest.json", "twice"),
    "NaN": (edited(lambda m: m["video"].update(fps=float("nan"))), "manifest.json", "NaN"),
    "infinity in free JSON": (edited(lambda m: m.update(figures={"a": float("inf")})), "manifest.json", "Infinity"),
    "an integer over 64 bits": (
        edited(lambda m: m.update(figures={"a": 2**63})), "manifest.json", "too large for a number"),
    "an integer of 5000 digits": (lambda f: raw_manifest(
        (f / "manifest.json").read_bytes().replace(b'"hop": 1', b'"hop": ' + b"1" * 5000))(f),
        "manifest.json", "too large for a number"),
    "free JSON nested 40 deep": (
        edited(lambda m: m.update(figures=json.loads('{"a":' * 40 + "1" + "}" * 40))), "manifest.json", "nested"),
    "start token of 63 bits": (
        edited(lambda m: m["text"].update(decoder_start=2**62)), "manifest.json", "text.decoder_start"),
    "start token beyond the words": (
        edited(lambda m: m["text"].update(decoder_start=23)), "manifest.json", "must be below 23"),
    "end token beyond the words": (
        edited(lambda m: m["text"].update(decoder_end=10**6)), "manifest.json", "must be below 23"),
    "a file of 2**62 bytes": (edited(lambda m: m["files"]["NOTICE"].update(bytes=2**62)), "manifest.json", "NOTICE"),
    "a dimension of 2**40": (
        edited(lambda m: m["graphs"]["query"]["outputs"][0].update(shape=[-1, -1, 2**40])), "manifest.json", "shape"),
    "a shape of 9 dimensions": (
        edited(lambda m: m["graphs"]["query"]["outputs"][0].update(shape=[1] * 9)), "manifest.json", "shape"),
    "a window of 3 TB": (
        edited(lambda m: m["video"].update(window=65536, width=4096, height=4096)), "manifest.json", "too large"),
    "a frame in 30 years": (edited(lambda m: m["video"].update(fps=1e-9)), "manifest.json", "video.fps"),
    "half a character": (
        lambda f: raw_manifest((f / "manifest.json").read_bytes().replace(b'"toy"', rb'"\ud800"'))(f),
        "manifest.json", "name|JSON"),
    "1e999": (lambda f: raw_manifest(
        (f / "manifest.json").read_bytes().replace(b'"fps": 4.0', b'"fps": 1e999'))(f), "manifest.json", "too large"),
    "schema as text": (edited(lambda m: m.update(schema="1")), "manifest.json", "schema"),
    "schema of the past": (edited(lambda m: m.update(schema=0)), "manifest.json", "schema: .*1"),
    "schema true": (edited(lambda m: m.update(schema=True)), "manifest.json", "schema"),
    "schema a list": (edited(lambda m: m.update(schema=[1])), "manifest.json", "schema"),
    "needs a number": (edited(lambda m: m.update(needs=1)), "manifest.json", "needs: must be a version"),
    "needs no version": (edited(lambda m: m.update(needs="latest")), "manifest.json", "needs: must be a version"),
    "no schema": (edited(lambda m: drop(m, "schema")), "manifest.json", "schema: Field required"),
    "unknown key": (edited(lambda m: m.update(run="rm -rf /")), "manifest.json", "does not know run"),
    "unknown key inside": (edited(lambda m: m["video"].update(mean=0)), "manifest.json", r"does not know video\.mean"),
    "width as text": (edited(lambda m: m["video"].update(width="224")), "manifest.json", "video.width"),
    "width as a boolean": (edited(lambda m: m["video"].update(width=True)), "manifest.json", "video.width"),
    "negative window": (edited(lambda m: m["video"].update(window=-8)), "manifest.json", "video.window"),
    "huge width": (edited(lambda m: m["video"].update(width=10**9)), "manifest.json", "video.width"),
    "no fps": (edited(lambda m: m["video"].update(fps=0)), "manifest.json", "video.fps"),
    "unknown resize": (edited(lambda m: m["video"].update(resize="warp")), "manifest.json", "'cover' or 'stretch'"),
    "unknown dtype": (
        edited(lambda m: m["graphs"]["query"]["inputs"][0].update(dtype="object")), "manifest.json", "dtype"),
    "negative size": (edited(lambda m: m["graphs"]["query"].update(bytes=-1)), "manifest.json", "bytes"),
    "hash in capitals": (edited(lambda m: m["graphs"]["query"].update(sha256="A" * 64)), "manifest.json", "sha256"),
    "no predictor": (edited(lambda m: drop(m, "graphs", "predictor")), "manifest.json", "predictor missing"),
    "unknown role": (
        edited(lambda m: m["graphs"].update(judge=m["graphs"]["query"])), "manifest.json", "judge: a role must be"),
    "graph outside": (renamed_graph("../predictor.onnx"), "../predictor.onnx", "must be relative"),
    "graph at an absolute path": (renamed_graph("/tmp/predictor.onnx"), "/tmp/predictor.onnx", "must be relative"),
    "graph that is no .onnx": (renamed_graph("graphs/predictor.xml"), "graphs/predictor.xml", "allowed are"),
    "tokenizer not listed": (
        edited(lambda m: m["text"].update(query_tokenizer="/etc/passwd")), "manifest.json", "not among files"),
    "input nobody makes": (
        edited(lambda m: m["graphs"]["predictor"]["inputs"][0].update(name="audio")), "manifest.json",
        "got audio"),
    "shape that doesn't fit": (
        edited(lambda m: m["graphs"]["predictor"]["inputs"][0].update(shape=[1, 4, 4, 8])), "manifest.json",
        r"does not fit; expected float32 \[1, 8, 4, 8\]"),
    "a cache that never comes out": (with_past([1, 4, -1, 8]), "manifest.json", "y_decoder: present missing"),
    "a cache of fixed length": (with_past([1, 4, 9, 8]), "manifest.json", "y_decoder.past: .* does not fit"),
    "a cache of any head size": (with_past([1, 4, -1, -1]), "manifest.json", "y_decoder.past: .* does not fit"),
    "embedding of another width": (edited(lambda m: m["embedding"].update(width=99)), "manifest.json", "does not fit"),
    "file and graph at once": (
        edited(lambda m: m["files"].update({GRAPH: {"sha256": "0" * 64, "bytes": 1}})), "manifest.json",
        "under graphs only"),
    "a photo": (as_file("cat.jpg", PHOTO), "cat.jpg", "bundle folder or a .vljepa file"),
    "a text file": (as_file("notes.vljepa", b"hello"), "notes.vljepa", "bundle folder or a .vljepa file"),
    "an empty file": (as_file("empty.vljepa", b""), "empty.vljepa", "bundle folder or a .vljepa file"),
    "an empty folder": (emptied, "toy", "no manifest.json"),
    "nothing there": (lambda f: f.parent / "absent", "absent", "does not exist"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", TABLE)
def test_is_refused_by_name(case: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, file, message = TABLE[case]
    monkeypatch.chdir(tmp_path)
    path = broken(folder)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(path)
    names = file.split("|")
    assert any(caught.value.file == name or Path(caught.value.file).name == name for name in names), caught.value.file
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"needs": "99.1"}, r"^manifest\.json: needs vljepa-edge 99\.1 or later, this is \d+\.\d+"),
        ({"needs": "99.1", "rhythm": 3, "video": None}, r"needs vljepa-edge 99\.1 or later"),
        ({"rhythm": 3}, r"needs vljepa-edge later than \d+\.\d+\.\d+, which does not know rhythm"),
        ({"needs": "0.1", "rhythm": 3}, r"needs vljepa-edge later than .*, which does not know rhythm"),
        ({"schema": 2, "rhythm": 3}, r"needs vljepa-edge later than .*it has schema 2, this version reads 1"),
        ({"schema": 1.1}, r"needs vljepa-edge later than .*it has schema 1\.1, this version reads 1"),
        ({"schema": "1.1.0"}, r"needs vljepa-edge later than .*it has schema 1\.1\.0"),
    ],
)
def test_a_manifest_of_a_later_version_says_which_version_it_needs(
    keys: dict[str, Any], message: str, folder: Path
) -> None:
    edited(lambda m: m.update(keys))(folder)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.open(folder)
    assert "to fix it, run: " in str(caught.value) and "install --upgrade" in str(caught.value)


@pytest.mark.parametrize("needs", ["0", "0.8", "0.8.0", "0.7.99"])
def test_a_manifest_that_needs_this_version_or_an_older_one_opens(needs: str, folder: Path) -> None:
    edited(lambda m: m.update(needs=needs))(folder)
    assert Bundle.open(folder).manifest.needs == needs


def test_a_file_altered_after_opening_is_refused(folder: Path) -> None:
    bundle = Bundle.open(folder)
    (folder / "NOTICE").write_bytes((folder / "NOTICE").read_bytes().upper())
    with pytest.raises(BundleError, match="altered") as caught:
        bundle.read("NOTICE")
    assert caught.value.file == "NOTICE"


@pytest.mark.parametrize("name", ["manifest.json", "../toy/NOTICE", "/etc/passwd", "graphs", ""])
def test_reads_only_what_the_manifest_names(name: str, folder: Path) -> None:
    with pytest.raises(BundleError, match="not a file of the bundle"):
        Bundle.open(folder).read(name)


def test_a_cap_on_all_files_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "MAX_BYTES", 1000)
    with pytest.raises(BundleError, match="at most 1000"):
        Bundle.open(folder)


def test_a_folder_of_many_files_is_not_walked_to_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_FILES", 5)
    with pytest.raises(BundleError, match="at most 5"):
        Bundle.open(folder)


def test_the_hostile_graphs_are_what_they_say() -> None:
    for model in (onnx_with_weights_at("/etc/passwd"), onnx_with_hidden_weights()):
        assert onnx.load_model_from_string(model).graph.node
