"""A damaged tokenizer is a BundleError that names its file, whenever its damage shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vljepa_edge.bundle import Bundle, write_bundle
from vljepa_edge.errors import BundleError
from vljepa_edge.model import Model, load
from vljepa_edge.perception.tokenizer import BundleTokenizer

Json = dict[str, Any]


def another_sequence(tokenizer: Json) -> None:
    tokenizer["post_processor"]["single"][1] = {"Sequence": {"id": "B", "type_id": 0}}


def unnamed_special(tokenizer: Json) -> None:
    del tokenizer["post_processor"]["special_tokens"]["[CLS]"]


def endless_strip(tokenizer: Json) -> None:
    tokenizer["decoder"] = {"type": "Strip", "content": "a", "start": 5, "stop": 9}


def no_model(tokenizer: Json) -> None:
    del tokenizer["model"]


def altered(toy: Path, out: Path, name: str, change: Callable[[Json], None]) -> Path:
    """The toy bundle with a tokenizer changed, and honest hashes."""
    bundle = Bundle.open(toy)
    files: dict[str, bytes | Path] = {file: bundle.read(file) for file in bundle.manifest.entries()}
    tokenizer = json.loads(bundle.read(name))
    change(tokenizer)
    files[name] = json.dumps(tokenizer).encode()
    return write_bundle(out, bundle.manifest.model_dump(mode="json", by_alias=True), files)


def query(model: Model) -> object:
    return model.text.query("what?")


def embed(model: Model) -> object:
    return model.embed_text(["a red ball"])


def decode(model: Model) -> object:
    return model.text._tokenizers.decoder.decode([3])  # "a", which the model might not say


@pytest.mark.parametrize(
    ("name", "change", "use"),
    [
        ("tokenizers/query.json", another_sequence, query),
        ("tokenizers/query.json", unnamed_special, query),
        ("tokenizers/target.json", another_sequence, embed),
        ("tokenizers/target.json", unnamed_special, embed),
        ("tokenizers/decoder.json", endless_strip, decode),
        ("tokenizers/decoder.json", no_model, decode),
    ],
)
def test_the_file_is_named_whether_it_fails_when_it_is_read_or_when_it_is_used(
    name: str, change: Callable[[Json], None], use: Callable[[Model], object], toy: Path, tmp_path: Path
) -> None:
    folder = altered(toy, tmp_path / "altered", name, change)
    with pytest.raises(BundleError) as caught:
        use(load(folder, threads=1))
    assert caught.value.file == name


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"version": "1.0"}', b"null"])
def test_what_is_no_tokenizer_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match="not a tokenizer"):
        BundleTokenizer("tokenizers/query.json", data)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_ctrl_c_passes(error: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped:
        @staticmethod
        def from_str(_: str) -> object:
            raise error

    monkeypatch.setattr("tokenizers.Tokenizer", Stopped)
    with pytest.raises(error):
        BundleTokenizer("tokenizers/query.json", b"{}")


@pytest.mark.parametrize("most", [1, 2, 3, 64])
def test_no_text_gives_more_tokens_than_are_asked_for(most: int, toy: Path) -> None:
    tokenizer = BundleTokenizer("query.json", Bundle.open(toy).read("tokenizers/query.json"), most)
    assert [len(ids) for ids in tokenizer.encode(["a red ball", ""])] == [min(most, 12), min(most, 2)]
