"""Hub ids with a revision: the files of that commit are read, and the commit is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.nn.hub_cache import offline, publish
from tests.nn.small_models import vjepa2
from tests.nn.test_vljepa import paper
from tests.training.tiny_bert import tokenizer
from vljepa_edge.errors import BundleError
from vljepa_edge.nn.hub import hub_id, resolved
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.weights import load_llama_last_layers

OLD, NEW = "3f1c2b9a7d5e4f60718293a4b5c6d7e8f9012345", "9d8c7b6a5f4e3d2c1b0a99887766554433221100"


def llama(folder: Path, seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=50, num_hidden_layers=2, rms_norm_eps=1e-5, **sizes))
    model.save_pretrained(folder)
    made = tokenizer([f"w{i}" for i in range(20)])
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(folder)  # type: ignore[no-untyped-call]
    return model


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two commits of a language model: `v1` is the old one, `main` and the pull request's the new one."""
    offline(monkeypatch, tmp_path / "hub")
    for commit, seed, refs in ((OLD, 1, ["v1"]), (NEW, 2, ["main", "refs/pr/1"])):
        llama(tmp_path / commit, seed)
        publish(tmp_path / "hub", "robots/llama", commit, tmp_path / commit, *refs)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("source", "commit"),
    [
        ("robots/llama", NEW), ("robots/llama@main", NEW), ("robots/llama@refs/pr/1", NEW),
        ("robots/llama@v1", OLD), (f"robots/llama@{OLD}", OLD), (f"robots/llama@{NEW}", NEW),
    ],
)  # fmt: skip
def test_a_branch_a_tag_and_a_commit_name_the_weights_of_one_commit(source: str, commit: str, cache: Path) -> None:
    assert resolved(source) == f"robots/llama@{commit}"
    expected = LlamaForCausalLM.from_pretrained(cache.parent / commit).get_input_embeddings().weight
    torch.testing.assert_close(load_llama_last_layers(source, 1).embedding, expected.detach())


@pytest.mark.parametrize("revision", ["v2", "0" * 40, "refs/pr/7"])
def test_a_revision_that_is_not_there_is_an_error_that_names_it(revision: str, cache: Path) -> None:
    for read in (resolved, VLJepa.from_pretrained, lambda source: load_llama_last_layers(source, 1)):
        with pytest.raises(BundleError, match=f"robots/llama@{revision}"):
            read(f"robots/llama@{revision}")


@pytest.mark.parametrize(
    "revision", ["", " ", "../../x", "a..b", "/main", "main/", "a b", "a@b", "a:b", "a~1", "v1^", "a\nb", "a//b", "x*"]
)
def test_a_revision_that_git_does_not_allow_is_refused_before_anything_is_read(revision: str) -> None:
    with pytest.raises(BundleError, match="NAME or NAME@REVISION"):
        hub_id(f"robots/llama@{revision}")


def test_what_is_here_is_no_hub_id(tmp_path: Path) -> None:
    (tmp_path / "model@home").mkdir()
    for here in (tmp_path / "model@home", tmp_path / "not-made-yet@1.gguf"):
        assert hub_id(here) is None and resolved(here) == str(here)


def test_a_model_keeps_the_commits_of_its_parts_and_comes_back_from_them(cache: Path, tmp_path: Path) -> None:
    vjepa2().save_pretrained(tmp_path / "vjepa2")
    torch.manual_seed(4)
    BertModel(
        BertConfig(vocab_size=50, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    ).save_pretrained(tmp_path / "bert")
    publish(cache, "robots/vjepa2", OLD, tmp_path / "vjepa2", "main")
    publish(cache, "robots/bert", OLD, tmp_path / "bert", "main")
    small = paper(tmp_path)
    assert small.x_encoder is not None and small.language_model is not None
    config = replace(
        small,
        x_encoder=replace(small.x_encoder, source="robots/vjepa2"),
        language_model=replace(small.language_model, source="robots/llama@v1"),
        y_encoder=replace(small.y_encoder, source="robots/bert@main", frozen=True),
    )

    def sources(model: VLJepa) -> list[str]:
        parts = (model.config.x_encoder, model.config.language_model, model.config.y_encoder)
        return [part.source for part in parts if part is not None]

    made = VLJepa.assemble(config)
    pinned = [f"robots/{name}@{OLD}" for name in ("vjepa2", "llama", "bert")]
    assert sources(made) == pinned
    (cache / "models--robots--llama" / "refs" / "v1").write_text(NEW)  # the tag moves; the model does not
    again = VLJepa.from_pretrained(made.save_pretrained(tmp_path / "made"))
    assert sources(again) == pinned
    for name, tensor in made.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)
