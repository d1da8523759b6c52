"""What a batch holds: texts that are true of the clips as they were turned, mirrored and stilled, no false negatives.
The clips are bright squares and the words hashed vectors, so that what a row shows can be read back from it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.training.tiny.fakes import (
    CLASSES,
    NAMES,
    NOUNS,
    banks,
    blobs,
    fake_clips,
    fake_concepts,
    has_word,
    said,
    stage,
    vector,
)
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.batches import (
    Batch,
    Sampler,
    _Item,
    all_wordings,
    luma_to_float,
    text_keys,
    wordings,
)
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.drawn_figures import motion_of
from vljepa_edge.training.tiny.features import Clips
from vljepa_edge.training.tiny.texts import SentenceBank

ONE = [Scene(motion, name) for name in NAMES for motion in ("left", "right", "up", "down", "appear", "vanish", "still")]
PAIRS = [
    Scene(motion, NAMES[i], NAMES[i + 1])
    for i, motion in enumerate(("approach", "apart", "left_while", "right_while", "up_while", "down_while"))
]
GROUPS = [Scene(motion, NAMES[i], None, 2 + i % 2) for i, motion in enumerate(say.COUNTED_MOTIONS * 2)]
ANSWERS = {
    "Yes.", "No.", *(say.sentence(c) for c in (*say.COUNTS, *say.DIRECTIONS)), *(say.doing(m) for m in say.ONE)
}  # fmt: skip


def sampler(
    folder: Path, scenes: list[Scene], seed: int = 0, photos: Clips | None = None, **changes: object
) -> tuple[Sampler, SentenceBank]:
    sentences, queries = banks(folder)
    made = Sampler(
        fake_clips(scenes), photos, stage(**changes), fake_concepts(), sentences, queries, NAMES, seed
    )  # fmt: skip
    return made, sentences


def squares(luma: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(8, 56, 56) true where a square is; brightness and contrast do not matter."""
    low, high = luma.min(), luma.max()
    return luma > (low + high) / 2 if high - low > 0.1 else np.zeros(luma.shape, bool)


def shown(luma: NDArray[np.float32]) -> str:
    """The motion that the squares of a clip make."""
    mask = squares(luma)
    there = mask.any((1, 2))
    if not there.all():
        return "appear" if there[-1] else "vanish"
    places = [np.stack(np.nonzero(frame)[::-1]) for frame in mask]
    (dx, dy), widths = places[-1].mean(1) - places[0].mean(1), [np.ptp(p[0]) for p in places]
    if abs(dx) > 4 or abs(dy) > 4:
        return ("right" if dx > 0 else "left") if abs(dx) > abs(dy) else ("down" if dy > 0 else "up")
    if abs(widths[-1] - widths[0]) > 4:
        return "apart" if widths[-1] > widths[0] else "approach"
    return "still"


def spoken(text: str) -> str | None:
    """The motion that a caption speaks of, of one object or two."""
    if "apart" in text or "away from each other" in text:
        return "apart"
    if "towards each other" in text or "come together" in text:
        return "approach"
    if " next to " in text or ("stay still" in text and " and " in text):
        return "still"
    text = text.replace(" rises", " is rising").replace(" falls", " is falling")
    return motion_of(text, "no such name")


def rows(batch: Batch, bank: SentenceBank) -> list[tuple[str, NDArray[np.float32], NDArray[np.float32]]]:
    return list(zip(said(bank, batch.target), batch.luma.numpy(), batch.appearance.numpy(), strict=True))


def test_shapes_and_kinds(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, ONE + GROUPS, question_share=0.5)
    batch = made.batch()
    assert batch.appearance.shape == (32, 8, 10, 640) and batch.appearance.dtype == torch.float32
    assert batch.luma.shape == (32, 8, 56, 56) and batch.luma.dtype == torch.float32
    assert batch.query is not None and batch.query_mask is not None
    assert batch.query.shape[::2] == (32, 384) and batch.query.shape[:2] == batch.query_mask.shape
    assert batch.target.shape == (32, 384) and batch.keys.shape == (32,) and batch.also.shape[0] == 32
    assert batch.hard.shape == (*batch.hard_mask.shape, 384) and batch.hard_mask.shape[1] <= 14


def test_the_first_stage_asks_nothing(tmp_path: Path) -> None:
    batch = sampler(tmp_path, ONE)[0].batch()
    assert batch.query is None and batch.query_mask is None


def test_a_seed_gives_the_same_batches_and_another_does_not(tmp_path: Path) -> None:
    options = {"question_share": 0.5, "rename_share": 0.3, "hide_grid_share": 0.3, "image_share": 0.2}
    one, again, other = (sampler(tmp_path, ONE + PAIRS + GROUPS, seed, **options)[0] for seed in (3, 3, 4))
    for _ in range(3):
        first, second, third = one.batch(), again.batch(), other.batch()
        for name in ("appearance", "luma", "query", "target", "keys", "also", "hard", "hard_mask"):
            torch.testing.assert_close(getattr(first, name), getattr(second, name), rtol=0, atol=0)
        assert not torch.equal(first.target, third.target)


def test_sampling_leaves_the_cached_clips_as_they_are(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, ONE, rename_share=1.0, hide_grid_share=1.0, image_share=0.5)
    before = made.clips.appearance.copy(), made.clips.luma.copy()
    made.batch()
    np.testing.assert_array_equal(made.clips.appearance, before[0])
    np.testing.assert_array_equal(made.clips.luma, before[1])


def test_captions_are_true_of_clips_turned_mirrored_and_stilled(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE + PAIRS + GROUPS, image_share=0.2, batch=64)
    seen: Counter[str] = Counter()
    for _ in range(6):
        for text, luma, appearance in rows(made.batch(), bank):
            motion = spoken(text)
            if motion is not None:  # else it is about the object alone
                assert motion == shown(luma), text
                seen[motion] += 1
            concept = appearance[4, 0, GRID_WIDTH:]
            nearest = max(NAMES, key=lambda name: float(concept @ vector(name).numpy()))
            assert has_word(text, nearest) or has_word(text, say.plural(nearest)), text
    assert set(seen) == {"left", "right", "up", "down", "appear", "vanish", "still", "approach", "apart"}
    assert abs(seen["left"] - seen["right"]) < 40 and abs(seen["appear"] - seen["vanish"]) < 30


def test_mirroring_moves_the_windows_with_the_picture(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, [s for s in ONE if s.motion in say.DIRECTIONS], batch=64)
    batch = made.batch()
    for luma, appearance in zip(batch.luma.numpy(), batch.appearance.numpy(), strict=True):
        for t, mask in enumerate(squares(luma)):
            ys, xs = (places.mean() for places in np.nonzero(mask))
            strongest = int(np.linalg.norm(appearance[t, 1:, GRID_WIDTH:], axis=-1).argmax())
            row, column = divmod(strongest, 3)
            assert abs(ys / 56 * 3 - 0.5 - row) < 0.6 and abs(xs / 56 * 3 - 0.5 - column) < 0.6


def test_a_stilled_clip_is_one_frame_and_says_so(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE + GROUPS, image_share=1.0, batch=64)
    for text, luma, appearance in rows(made.batch(), bank):
        assert (luma == luma[:1]).all() and squares(luma).any()
        assert (appearance == appearance[:1]).all()
        assert spoken(text) in ("still", None)


def test_a_renamed_object_shows_the_other_words_concept_and_no_looks(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE, rename_share=1.0, batch=64)
    allowed = {text for word in (*CLASSES, *NOUNS) for text in say.object_captions(word)}
    allowed |= {say.caption(Scene(motion, word)) for word in (*CLASSES, *NOUNS) for motion in say.ONE}
    closest = []
    for text, luma, appearance in rows(made.batch(), bank):
        assert text in allowed
        assert spoken(text) in (None, shown(luma))
        grid = appearance[:, :, :GRID_WIDTH]
        assert np.abs(grid - grid[0, 0]).max() < 1e-6  # nothing but the noise that all clips get
        word = next(word for word in (*CLASSES, *NOUNS) if has_word(text, word))
        if word in CLASSES:
            whole = appearance[4, 0, GRID_WIDTH:]
            closest.append(max(CLASSES, key=lambda c: float(whole @ vector(f"a word: {c}").numpy())) == word)
    assert np.mean(closest) > 0.6


def test_hidden_looks_leave_the_concept(tmp_path: Path) -> None:
    scenes = [Scene("still", "owl")] * 8
    made, _ = sampler(tmp_path, scenes, hide_grid_share=1.0)
    made.clips.appearance[..., :GRID_WIDTH] = 5.0
    hidden = made.batch().appearance
    assert float(hidden[..., :GRID_WIDTH].abs().mean()) < 0.5 < float(hidden[..., GRID_WIDTH:].norm(dim=-1).max())
    plain, _ = sampler(tmp_path, scenes, hide_grid_share=0.0)
    plain.clips.appearance[..., :GRID_WIDTH] = 5.0
    assert float((plain.batch().appearance[..., :GRID_WIDTH] - 5).abs().mean()) < 0.5


def test_light_changes_a_clip_as_a_whole(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, [Scene("still", "owl")] * 64, batch=64)
    luma = made.batch().luma
    plain = luma_to_float(blobs(Scene("still", "owl")))
    gains = []
    for clip in luma:
        (gain, level), residual, *_ = np.polyfit(plain.flatten().numpy(), clip.flatten().numpy(), 1, full=True)
        assert 0.69 < gain < 1.31 and -0.11 < level < 0.11 and (residual < 1e-6).all()
        gains.append(gain)
    assert np.std(gains) > 0.1


@pytest.mark.parametrize("image_share", [0.0, 0.5])
def test_questions_are_answered_truly_and_evenly(tmp_path: Path, image_share: float) -> None:
    made, bank = sampler(tmp_path, ONE + PAIRS + GROUPS, question_share=1.0, image_share=image_share, batch=64)
    answers: Counter[str] = Counter()
    for _ in range(12):
        for text, luma, _ in rows(made.batch(), bank):
            answers[text] += 1
            if text in [say.sentence(d) for d in say.DIRECTIONS]:
                assert shown(luma) == text[:-1].lower()
            if text in [say.doing(m) for m in say.DIRECTIONS]:
                assert shown(luma) == text[:-1].split()[-1].lower()
    assert answers["Yes."] + answers["No."] > 200
    assert abs(answers["Yes."] - answers["No."]) < 0.2 * (answers["Yes."] + answers["No."])
    counts = [answers[say.sentence(count)] for count in say.COUNTS]
    assert min(counts) > 25 and max(counts) < 1.6 * min(counts)


@pytest.mark.slow
def test_what_is_asked_for_does_not_give_the_answer_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else "no" would be learnt for every word that training shows in no clip, held-out ones among them."""
    made, _ = sampler(tmp_path, ONE + PAIRS + GROUPS, question_share=1.0, rename_share=0.6, batch=64)
    queries: list[str] = []
    batch_of = made.queries.batch

    def batch(asked: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        queries.extend(asked)
        return batch_of(asked)

    monkeypatch.setattr(made.queries, "batch", batch)
    answers = [text for _ in range(20) for text in made.batch().texts]
    for words in (NAMES, [*CLASSES, *NOUNS]):
        yes = [
            answer == "Yes."
            for query, answer in zip(queries, answers, strict=True)
            if query.startswith(("Is there a", "Do you see a")) and any(has_word(query, word) for word in words)
        ]
        assert len(yes) > 100
        assert abs(np.mean(yes) - 0.5) < 4 * 0.5 / len(yes) ** 0.5


def test_two_and_three_of_a_kind_are_counted_equally_often_however_many_pairs_there_are(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, ONE + PAIRS * 20 + GROUPS)
    scenes = [made.clips.scenes[made._row_for("count")] for _ in range(3000)]
    alike = Counter(scene.count for scene in scenes if scene.second is None)
    assert set(alike) == {1, 2, 3} and max(alike.values()) < 1.2 * min(alike.values())
    assert 0 < len(scenes) - alike.total() < 0.2 * len(scenes)


@pytest.mark.parametrize(
    "scenes", [ONE, PAIRS, GROUPS, [Scene("appear", "owl")]], ids=["one", "pairs", "groups", "appear"]
)
def test_every_question_can_be_drawn_whatever_kinds_of_clips_there_are(tmp_path: Path, scenes: list[Scene]) -> None:
    """Recipes may leave out groups, pairs or both."""
    made, bank = sampler(tmp_path, scenes, question_share=1.0)
    for _ in range(4):
        batch = made.batch()
        assert len(said(bank, batch.target)) == 32


def test_nothing_is_said_of_names_that_were_not_given(tmp_path: Path) -> None:
    """The sampler knows the trained names alone, so held-out ones can't come up, not even as a wrong answer."""
    known = [*NAMES, *CLASSES, *NOUNS]
    made, bank = sampler(tmp_path, ONE + GROUPS, question_share=0.5, rename_share=0.3, batch=64)
    for _ in range(5):
        made.batch()
    for text in bank.index:
        named = [name for name in known if has_word(text, name) or has_word(text, say.plural(name))]
        assert named or text in ANSWERS, text


def test_all_wordings_foresees_every_caption_and_hard_negative(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE + PAIRS + GROUPS, rename_share=0.4, image_share=0.3, batch=64)
    for _ in range(5):
        made.batch()
    assert set(bank.index) <= all_wordings(made.clips, made.concepts, NAMES)


def test_the_unseen_wording_is_never_drawn(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, ONE + PAIRS + GROUPS)
    unseen = {
        say.caption(Scene(motion, name, None, count), say.UNSEEN, definite)
        for name in (*NAMES, *CLASSES, *NOUNS)
        for motion in say.ONE
        for count in ((1, 2, 3) if motion in say.COUNTED_MOTIONS else (1,))
        for definite in (True, False)
    }
    assert not unseen & all_wordings(made.clips, made.concepts, NAMES)


@pytest.mark.parametrize("question_share", [0.0, 0.6])
def test_hard_negatives_are_other_texts_than_the_target(tmp_path: Path, question_share: float) -> None:
    made, bank = sampler(tmp_path, ONE + PAIRS + GROUPS, question_share=question_share, rename_share=0.2, batch=64)
    for _ in range(4):
        batch = made.batch()
        for text, hard, mask in zip(said(bank, batch.target), batch.hard, batch.hard_mask, strict=True):
            if mask.any():
                wrong = said(bank, hard[mask])
                assert text not in wrong and len(set(wrong)) == len(wrong)
    assert int(batch.hard_mask.sum(1).max()) > 5


def test_fewer_hard_negatives_when_the_stage_wants_few(tmp_path: Path) -> None:
    made, _ = sampler(tmp_path, ONE, hard_negatives=3)
    assert made.batch().hard_mask.shape[1] == 3


def test_pairs_of_clips_of_one_object_meet_in_a_batch(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE, batch=10)
    for _ in range(5):
        words = [next(n for n in NAMES if has_word(t, n)) for t in said(bank, made.batch().target)]
        assert max(Counter(words).values()) >= 2


def test_photographs_replace_clips_in_their_share(tmp_path: Path) -> None:
    photos = fake_clips([Scene("still", "tabby"), Scene("still", "beagle")])
    made, bank = sampler(tmp_path, ONE, photos=photos, photo_share=0.25, batch=64)
    texts = [text for _ in range(6) for text in said(bank, made.batch().target)]
    crops = [text for text in texts if has_word(text, "tabby") or has_word(text, "beagle")]
    assert abs(len(crops) / len(texts) - 0.25) < 0.08
    assert set(crops) <= {*say.object_captions("tabby"), *say.object_captions("beagle")}


def item(scene: Scene, text: str, key: Scene | str | None = None) -> _Item:
    return _Item(scene, text, "", scene if key is None else key, [])


OWL_LEFT, OWL_STILL, FOX = Scene("left", "owl"), Scene("still", "owl"), Scene("left", "red fox")
SWAP, PAWS = Scene("swap", "owl", "kite"), Scene("swap", "kite", "owl")
LEFT_WHILE, WHILE_LEFT = Scene("left_while", "owl", "kite"), Scene("left_while", "kite", "owl")


def right_for(keys: Tensor, also: Tensor) -> Tensor:
    """(B, B), [i, j] true where the text of row j is right for the clip of row i."""
    return (torch.cat((keys[:, None], also), 1)[:, :, None] == keys).any(1)


OWLS = Scene("left", "owl", None, 2)


@pytest.mark.parametrize(
    ("video", "text", "right"),
    [
        (item(OWL_LEFT, "The owl moves to the left."), item(OWL_LEFT, "An owl is moving left."), True),  # paraphrase
        (item(OWL_LEFT, "The owl moves to the left."), item(OWL_STILL, "The owl stays still."), False),
        (item(OWL_LEFT, "The owl moves to the left."), item(FOX, "The red fox moves to the left."), False),
        (item(OWL_LEFT, "The owl moves to the left."), item(OWLS, "The two owls move to the left."), False),
        (item(OWL_LEFT, "The owl moves to the left."), item(OWL_STILL, "An owl.", "owl"), True),  # wherever it is
        (item(OWL_STILL, "An owl.", "owl"), item(OWL_LEFT, "The owl moves to the left."), False),  # not the other way
        (item(OWL_STILL, "An owl.", "owl"), item(OWL_LEFT, "A photo of an owl.", "owl"), True),
        (item(OWLS, "The two owls move to the left."), item(OWL_LEFT, "An owl.", "owl"), False),
        (item(LEFT_WHILE, "The owl moves left while ..."), item(OWL_LEFT, "An owl.", "owl"), True),
        (item(LEFT_WHILE, "The owl moves left while ..."), item(Scene("up", "kite"), "A kite.", "kite"), True),
        (item(LEFT_WHILE, "The owl moves left while ..."), item(WHILE_LEFT, "The kite moves left ..."), False),
        (item(SWAP, "The owl and the kite swap places."), item(PAWS, "The kite and the owl swap places."), True),
        (item(OWL_LEFT, "Yes.", "Yes."), item(FOX, "Yes.", "Yes."), True),
        (item(OWL_LEFT, "Yes.", "Yes."), item(FOX, "No.", "No."), False),
        (item(OWL_LEFT, "Left.", "Left."), item(FOX, "Left.", "Left."), True),
        (item(OWL_LEFT, "Left.", "Left."), item(FOX, "An owl.", "owl"), True),
    ],
)
def test_text_keys(video: _Item, text: _Item, right: bool) -> None:
    other = item(Scene("bounce", "piano"), "The piano bounces up and down.")
    for items in ([video, text, other], [other, text, video]):
        keys, also = text_keys(items)
        same = right_for(keys, also)
        assert bool(same[items.index(video), items.index(text)]) is right
        assert same.diagonal().all() and keys.dtype == also.dtype == torch.int64
        assert not same[items.index(other), items.index(video)]


def test_equal_texts_in_a_batch_are_never_negatives(tmp_path: Path) -> None:
    made, bank = sampler(tmp_path, ONE + PAIRS + GROUPS, question_share=0.5, rename_share=0.2, batch=64)
    wrong = []
    for _ in range(5):
        batch = made.batch()
        texts = said(bank, batch.target)
        same = right_for(batch.keys, batch.also)
        pairs = [(i, j) for i, text in enumerate(texts) for j in range(i) if texts[j] == text]
        wrong += [texts[i] for i, j in pairs if not (same[i, j] and same[j, i])]
    assert wrong == []


def test_renamed_and_paired_scenes_have_one_wording() -> None:
    assert wordings(OWL_LEFT) == say.captions(OWL_LEFT)
    assert wordings(OWL_LEFT, renamed=True) == [say.caption(OWL_LEFT)]
    assert wordings(SWAP) == [say.caption(SWAP)]


def test_a_sampler_goes_on_where_another_stood(tmp_path: Path) -> None:
    first, _ = sampler(tmp_path, [*ONE, *PAIRS, *GROUPS], question_share=0.5)
    for _ in range(3):
        first.batch()
    draws = json.loads(json.dumps(first.draws()))  # a checkpoint keeps them as text
    second, _ = sampler(tmp_path, [*ONE, *PAIRS, *GROUPS], seed=9, question_share=0.5)
    second.resume(draws)
    for _ in range(5):  # over the end of an epoch
        one, other = first.batch(), second.batch()
        for name in ("appearance", "luma", "target", "keys", "also", "hard_mask"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert torch.equal(one.hard[one.hard_mask], other.hard[other.hard_mask])
