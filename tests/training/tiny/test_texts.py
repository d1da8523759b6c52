"""Texts are embedded once and kept; what comes out is what the sentence encoder says, whatever else is in the batch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.tiny.fakes import FakeEncoder, vector
from tests.training.tiny_bert import write_sentence_encoder
from vljepa_edge.training.tiny import texts
from vljepa_edge.training.tiny.texts import SentenceBank, SentenceEncoder

TEXTS = ["An owl.", "A red fox moves to the left.", "Yes."]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> SentenceEncoder:
    words = ["the", "owl", "fox", "red", "moves", "to", "left", "yes", "a", "an"]
    return SentenceEncoder(write_sentence_encoder(tmp_path_factory.mktemp("bert"), words, width=32))


def bank(folder: Path) -> SentenceBank:
    return SentenceBank(folder, FakeEncoder(8))  # type: ignore[arg-type]


def test_a_text_is_looked_up_as_it_was_embedded(tmp_path: Path) -> None:
    found = bank(tmp_path)
    found.add(TEXTS)
    found.add(["No.", *TEXTS])
    expected = torch.stack([vector(text, 8) for text in [TEXTS[1], "No.", TEXTS[1]]])
    torch.testing.assert_close(found([TEXTS[1], "No.", TEXTS[1]]), expected, rtol=1e-3, atol=1e-3)  # kept at 16 bits
    assert found([TEXTS[0]]).dtype == torch.float32
    assert found.vectors[found.ids(["No."])].tolist() == found(["No."]).tolist()
    with pytest.raises(KeyError):
        found(["Never added."])


def test_each_text_is_embedded_once(tmp_path: Path) -> None:
    found = bank(tmp_path)
    found.add([*TEXTS, *TEXTS])
    found.add(iter(TEXTS))
    assert sorted(found.encoder.asked) == sorted(TEXTS)  # type: ignore[attr-defined]


def test_texts_of_one_length_are_embedded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_BATCH", 2)
    found = bank(tmp_path)
    found.add(["a b c d", "extraordinarily", "x y z w", "no", "one two"])
    lengths = [found.encoder.lengths(batch) for batch in found.encoder.batches]
    assert lengths == [[1, 1], [2, 4], [4]]


def test_lengths_are_those_of_the_mask(encoder: SentenceEncoder) -> None:
    assert encoder.lengths(TEXTS) == encoder.tokens(TEXTS)[1].sum(1).tolist()


def test_what_was_kept_is_not_embedded_again_by_the_next_run(tmp_path: Path) -> None:
    first = bank(tmp_path)
    first.add(TEXTS)
    second = bank(tmp_path)
    second.add(TEXTS)
    assert second.encoder.asked == []  # type: ignore[attr-defined]
    torch.testing.assert_close(second(TEXTS), first(TEXTS), rtol=0, atol=0)


def test_what_is_not_kept_leaves_the_files_as_they_are_until_something_is(tmp_path: Path) -> None:
    first = bank(tmp_path)
    first.add(TEXTS)
    first.add(["Passing."], keep=False)
    assert set(json.loads((tmp_path / "sentences.json").read_text())) == set(TEXTS)
    torch.testing.assert_close(first(["Passing."])[0], vector("Passing.", 8), rtol=1e-3, atol=1e-3)
    first.add(["Staying."])
    second = bank(tmp_path)
    torch.testing.assert_close(second(["Staying.", "Passing."]), first(["Staying.", "Passing."]), rtol=0, atol=0)


def test_a_bank_that_was_broken_off_while_writing_starts_again(tmp_path: Path) -> None:
    bank(tmp_path).add(TEXTS)
    np.save(tmp_path / "sentences.npy", np.zeros((2, 8), np.float16))
    again = bank(tmp_path)
    assert again.index == {} and len(again.vectors) == 0
    again.add(TEXTS)
    torch.testing.assert_close(again([TEXTS[0]])[0], vector(TEXTS[0], 8), rtol=1e-3, atol=1e-3)


def test_texts_of_an_evaluation_leave_room_for_those_of_training(tmp_path: Path) -> None:
    bank(tmp_path).add(["a cat"])
    resumed = bank(tmp_path)
    with torch.inference_mode():
        resumed.add(["a dog", "a cow", "an owl", "a fox"], keep=False)
    resumed.add(["a bee"], keep=False)
    assert torch.equal(resumed(["a bee"]), bank(tmp_path / "other").encoder.sentences(["a bee"]).half().float())


def test_a_sentence_is_the_mean_of_its_tokens_at_unit_length(encoder: SentenceEncoder) -> None:
    found = encoder.sentences(TEXTS)
    for text, sentence in zip(TEXTS, found, strict=True):
        batch = encoder.tokenizer([text], return_tensors="pt")
        with torch.no_grad():
            states = encoder.model.double()(**batch).last_hidden_state[0]
        encoder.model.float()
        mean = states.mean(0)
        assert float(torch.cosine_similarity(sentence.double(), mean, dim=0)) > 0.999  # bfloat16 inside
        assert float(sentence.norm()) == pytest.approx(1.0, abs=1e-5)


def test_padding_beside_a_longer_text_changes_nothing(encoder: SentenceEncoder) -> None:
    together, alone = encoder.sentences(TEXTS), torch.cat([encoder.sentences([text]) for text in TEXTS])
    assert float(torch.cosine_similarity(together, alone).min()) > 0.9995
    states, mask = encoder.tokens(TEXTS)
    assert states.shape[:2] == mask.shape and mask.sum(1).tolist() == [
        len(encoder.tokenizer(t).input_ids) for t in TEXTS
    ]
