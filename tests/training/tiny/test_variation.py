"""A clip as a step sees it: texts that are true of it as it was turned, mirrored and stilled, no false negatives.
The clips are bright squares and the words hashed vectors, so that what is shown can be read back from the features."""

from __future__ import annotations

import pickle
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.tiny.fakes import CLASSES, NAMES, NOUNS, fake_concepts, fake_features, has_word, vector
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.drawn_figures import motion_of
from vljepa_edge.training.tiny.variation import Variation, canonical, said, wordings

ONE = [Scene(motion, name) for name in NAMES for motion in ("left", "right", "up", "down", "appear", "vanish", "still")]
PAIRS = [
    Scene(motion, NAMES[i], NAMES[i + 1])
    for i, motion in enumerate(("approach", "apart", "left_while", "right_while", "up_while", "down_while"))
]
GROUPS = [Scene(motion, NAMES[i], None, 2 + i % 2) for i, motion in enumerate(say.COUNTED_MOTIONS * 2)]
ALL = [*ONE, *PAIRS, *GROUPS]
FEATURES = {scene: fake_features(scene) for scene in ALL}
KINDS = ("caption", *say.QUESTION_KINDS)
WORDS = [*CLASSES, *NOUNS]
ANSWERS = {
    "Yes.", "No.", *(say.sentence(c) for c in (*say.COUNTS, *say.DIRECTIONS)), *(say.doing(m) for m in say.ONE)
}  # fmt: skip
PLAIN = Sample("7", "train/1/7", "")

Shown = tuple[Sample, Mapping[str, NDArray[Any]]]


def varied(
    scenes: Sequence[Scene], count: int, kinds: Sequence[str] = ("caption",), seed: int = 0, **shares: float
) -> Iterator[Shown]:
    """`count` draws of each scene, the kinds of what is said one after another."""
    vary, rng = Variation(NAMES, fake_concepts(), **shares), random.Random(seed)
    for i in range(count):
        for j, scene in enumerate(scenes):
            yield vary(PLAIN, scene, kinds[(i + j) % len(kinds)], FEATURES[scene], rng.getrandbits(64))


def squares(luma: NDArray[Any]) -> NDArray[np.bool_]:
    """(8, 56, 56) true where a square is."""
    found: NDArray[np.bool_] = luma > 0.5
    return found


def shown(luma: NDArray[Any]) -> str:
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
    """The motion that a caption speaks of, of one object or two; None: of the object alone."""
    if "apart" in text or "away from each other" in text:
        return "apart"
    if "towards each other" in text or "come together" in text:
        return "approach"
    if " next to " in text or ("stay still" in text and " and " in text):
        return "still"
    text = text.replace(" rises", " is rising").replace(" falls", " is falling")
    return motion_of(text, "no such name")


def test_captions_are_true_of_clips_turned_mirrored_and_stilled() -> None:
    seen: Counter[str] = Counter()
    for sample, features in varied(ALL, 5, stills=0.2):
        motion = spoken(sample.target)
        if motion is not None:
            assert motion == shown(features["luma"]), sample.target
            seen[motion] += 1
        concept = features["appearance"][4, 0, GRID_WIDTH:].astype(np.float32)
        nearest = max(NAMES, key=lambda name: float(concept @ vector(name).numpy()))
        assert has_word(sample.target, nearest) or has_word(sample.target, say.plural(nearest)), sample.target
    assert set(seen) == {"left", "right", "up", "down", "appear", "vanish", "still", "approach", "apart"}
    assert abs(seen["left"] - seen["right"]) < 40 and abs(seen["appear"] - seen["vanish"]) < 30


def test_mirroring_moves_the_windows_with_the_picture() -> None:
    mirrored = 0
    for scene in (s for s in ONE if s.motion in ("left", "right")):
        for sample, features in varied([scene], 4, kinds=["direction"]):  # which is never turned
            mirrored += sample.target != say.sentence(scene.motion)
            for t, mask in enumerate(squares(features["luma"])):
                ys, xs = (places.mean() for places in np.nonzero(mask))
                concept = features["appearance"][t, 1:, GRID_WIDTH:].astype(np.float32)
                row, column = divmod(int(np.linalg.norm(concept, axis=-1).argmax()), 3)
                assert abs(ys / 56 * 3 - 0.5 - row) < 0.6 and abs(xs / 56 * 3 - 0.5 - column) < 0.6
    assert 10 < mirrored < 40  # of 80, 0.3 of them


def test_a_stilled_clip_is_one_frame_and_says_so() -> None:
    for sample, features in varied([*ONE, *GROUPS], 2, stills=1.0):
        luma, appearance = features["luma"], features["appearance"]
        assert (luma == luma[:1]).all() and squares(luma).any()
        assert (appearance == appearance[:1]).all()
        assert spoken(sample.target) in ("still", None)


def test_what_asks_for_a_motion_is_not_stilled() -> None:
    for sample, features in varied([s for s in ONE if s.motion in say.DIRECTIONS], 3, ("direction", "doing"), stills=1):
        assert shown(features["luma"]) == sample.target[:-1].split()[-1].lower()


def test_a_renamed_object_shows_the_other_words_concept_and_no_looks() -> None:
    allowed = {text for word in WORDS for text in say.object_captions(word)}
    allowed |= {say.caption(Scene(motion, word)) for word in WORDS for motion in say.ONE}
    closest, filled = [], []
    for sample, features in varied(ONE, 3, rename=1.0):
        assert sample.target in allowed
        assert spoken(sample.target) in (None, shown(features["luma"]))
        assert not features["appearance"][..., :GRID_WIDTH].any()
        word = next(word for word in WORDS if has_word(sample.target, word))
        concept = features["appearance"][4, :, GRID_WIDTH:].astype(np.float32)
        if word in CLASSES:
            closest.append(max(CLASSES, key=lambda c: float(concept[0] @ vector(f"a word: {c}").numpy())) == word)
        own = max(NAMES, key=lambda name: float(concept.sum(0) @ vector(name).numpy()))
        left = 0.3 * vector(own).numpy()
        filled.append(bool((np.abs(concept - left).max(-1) > 1e-3).all()))
    assert np.mean(closest) > 0.6
    assert 0.2 < np.mean(filled) < 0.5  # the word's concept in every region, in 0.35 of them


def test_pairs_and_groups_are_not_renamed() -> None:
    for sample, features in varied([*PAIRS, *GROUPS], 3, rename=1.0):
        assert not any(has_word(sample.target, word) or has_word(sample.target, say.plural(word)) for word in WORDS)
        assert (features["appearance"][..., :GRID_WIDTH] == 5).all()


def test_hidden_looks_leave_the_concept() -> None:
    scene = Scene("still", "owl")
    plain = {tuple(map(str, f["appearance"][0, 5, -3:])) for _, f in varied([scene], 20)}
    for _, features in varied([scene], 20, hide=1.0):
        assert not features["appearance"][..., :GRID_WIDTH].any()
        assert tuple(map(str, features["appearance"][0, 5, -3:])) in plain
        assert float(np.linalg.norm(features["appearance"][..., GRID_WIDTH:].astype(np.float32), axis=-1).max()) > 0.8
    assert all((f["appearance"][..., :GRID_WIDTH] == 5).all() for _, f in varied([scene], 20))


@pytest.mark.parametrize(("option", "least", "most"), [("stills", 35, 65), ("hide", 35, 65), ("rename", 35, 65)])
def test_a_share_is_of_the_draws(option: str, least: int, most: int) -> None:
    of: list[Shown] = list(varied([Scene("left", "owl")], 100, **{option: 0.5}))
    changed = {
        "stills": sum(bool((f["luma"] == f["luma"][:1]).all()) for _, f in of),
        "hide": sum(not f["appearance"][..., :GRID_WIDTH].any() for _, f in of),
        "rename": sum(not has_word(sample.target, "owl") for sample, _ in of),
    }
    assert least < changed[option] < most
    assert changed["stills"] == 0 or option == "stills"
    assert changed["rename"] == 0 or option == "rename"


def test_cached_features_are_left_as_they_are_and_keep_their_form() -> None:
    before = {scene: {name: value.copy() for name, value in FEATURES[scene].items()} for scene in ALL}
    other = np.arange(8)
    for scene in ALL:
        for value in FEATURES[scene].values():
            value.flags.writeable = False  # as a mapped file is
    try:
        for _, features in varied(ALL, 3, kinds=KINDS, stills=0.3, rename=0.5, hide=0.5):
            assert features["appearance"].shape == (8, 10, 640) and features["luma"].shape == (8, 56, 56)
            assert features["appearance"].dtype == features["luma"].dtype == np.float16
            assert all(value.flags["C_CONTIGUOUS"] for value in features.values())
        _, kept = Variation(NAMES)(PLAIN, ALL[0], "caption", {**FEATURES[ALL[0]], "more": other}, 3)
        assert kept["more"] is other
    finally:
        for scene in ALL:
            for value in FEATURES[scene].values():
                value.flags.writeable = True
    for scene, features in before.items():
        for name, value in features.items():
            np.testing.assert_array_equal(FEATURES[scene][name], value)


def test_a_draw_gives_the_same_and_another_does_not() -> None:
    shares = {"stills": 0.2, "rename": 0.3, "hide": 0.3}
    vary = Variation(NAMES, fake_concepts(), **shares)
    again = pickle.loads(pickle.dumps(vary))
    found = []
    for i, scene in enumerate(ALL):
        kind = KINDS[i % len(KINDS)]
        first, second = (each(PLAIN, scene, kind, FEATURES[scene], 2**64 - 1 - i) for each in (vary, again))
        assert first[0] == second[0]
        for name, value in first[1].items():
            np.testing.assert_array_equal(value, second[1][name])
        found.append(first[0] == vary(PLAIN, scene, kind, FEATURES[scene], i)[0])
    assert np.mean(found) < 0.3


def test_what_names_the_clip_stays() -> None:
    sample = Sample("3 4 caption", "train/1/4", "old", "old?", 0.5, 1.5, "old", ("old",), ("old",))
    found, _ = Variation(NAMES)(sample, ONE[0], "caption", FEATURES[ONE[0]], 1)
    assert (found.key, found.media, found.start, found.end) == ("3 4 caption", "train/1/4", 0.5, 1.5)
    assert "old" not in (found.target, found.query, found.text_key, *found.also, *found.negatives)


@pytest.mark.parametrize("stills", [0.0, 0.5])
def test_questions_are_answered_truly_and_evenly(stills: float) -> None:
    answers: Counter[str] = Counter()
    for sample, features in varied(ALL, 14, kinds=say.QUESTION_KINDS, stills=stills):
        text, motion = sample.target, shown(features["luma"])
        if text in [say.sentence(d) for d in say.DIRECTIONS]:
            assert motion == text[:-1].lower()
        if text in [say.doing(m) for m in say.DIRECTIONS]:
            assert motion == text[:-1].split()[-1].lower()
        for verb, name in (("moving to the left", "left"), ("moving to the right", "right"), ("moving up", "up")):
            if verb in sample.query and motion != "approach":
                assert (text == "Yes.") == (motion == name), sample.query
        answers[text] += 1
    assert answers["Yes."] + answers["No."] > 200
    assert abs(answers["Yes."] - answers["No."]) < 0.2 * (answers["Yes."] + answers["No."])


def test_counts_are_of_what_is_there() -> None:
    for scene in ALL:
        for sample, _ in varied([scene], 3, kinds=["count"], stills=0.3):
            assert sample.target == say.sentence(say.COUNTS[scene.total() - 1])
            assert set(sample.negatives) == {say.sentence(c) for c in say.COUNTS} - {sample.target}


def test_what_is_asked_for_does_not_give_the_answer_away() -> None:
    """Else "no" would be learnt for every word that training shows in no clip, held-out ones among them."""
    asked = [sample for sample, _ in varied(ALL, 10, kinds=["exists"], rename=0.6)]
    for words in (NAMES, WORDS):
        yes = [s.target == "Yes." for s in asked if any(has_word(s.query, word) for word in words)]
        assert len(yes) > 100
        assert abs(np.mean(yes) - 0.5) < 4 * 0.5 / len(yes) ** 0.5


def test_a_question_that_cannot_be_asked_of_a_clip_is_a_caption() -> None:
    for sample, features in varied([s for s in PAIRS if s.motion in ("approach", "apart")], 5, kinds=["direction"]):
        assert spoken(sample.target) == shown(features["luma"])
        assert sample.query in ("", *CAPTION_QUERIES)


def test_most_captions_are_asked_for() -> None:
    queries = Counter(sample.query for sample, _ in varied(ONE, 5))
    assert set(queries) == {"", *CAPTION_QUERIES}
    assert 0.12 < queries[""] / queries.total() < 0.28


def test_nothing_is_said_of_names_that_were_not_given() -> None:
    """Held-out names aren't given, so they can't come up, not even as a wrong answer."""
    known = [*NAMES, *WORDS]
    for sample, _ in varied(ALL, 5, kinds=KINDS, rename=0.3):
        for text in (sample.target, *sample.negatives):
            named = [name for name in known if has_word(text, name) or has_word(text, say.plural(name))]
            assert named or text in ANSWERS, text


def test_the_unseen_wording_is_never_drawn() -> None:
    unseen = {
        say.caption(Scene(motion, name, None, count), say.UNSEEN, definite)
        for name in (*NAMES, *WORDS)
        for motion in say.ONE
        for count in ((1, 2, 3) if motion in say.COUNTED_MOTIONS else (1,))
        for definite in (True, False)
    }
    for sample, _ in varied(ALL, 5, kinds=KINDS, rename=0.4, stills=0.3):
        assert not unseen & {sample.target, *sample.negatives}


def test_wrong_texts_are_wrong() -> None:
    """Other texts than the target, each once; none is a wording of what is shown, nor names the object alone."""
    most = 0
    for scene in ALL:
        for sample, _ in varied([scene], 6, kinds=KINDS, rename=0.2):
            wrong = sample.negatives
            assert sample.target not in wrong and len(set(wrong)) == len(wrong)
            most = max(most, len(wrong))
            motion = spoken(sample.target)
            if sample.query in ("", *CAPTION_QUERIES) and motion is not None:
                names = scene.names()
                same = [text for text in wrong if all(has_word(text, name) for name in names) and scene.count == 1]
                assert all(spoken(text) != motion for text in same if not say.SYMMETRIC & {scene.motion})
    assert most > 5


def test_renamed_and_paired_scenes_have_one_wording() -> None:
    owl, swap = Scene("left", "owl"), Scene("swap", "owl", "kite")
    assert wordings(owl) == say.captions(owl)
    assert wordings(owl, renamed=True) == [say.caption(owl)]
    assert wordings(swap) == [say.caption(swap)]


OWL_LEFT, OWL_STILL, FOX = Scene("left", "owl"), Scene("still", "owl"), Scene("left", "red fox")
OWLS = Scene("left", "owl", None, 2)
SWAP, PAWS = Scene("swap", "owl", "kite"), Scene("swap", "kite", "owl")
LEFT_WHILE, WHILE_LEFT = Scene("left_while", "owl", "kite"), Scene("left_while", "kite", "owl")


def sample_of(scene: Scene, what: str, avoid: str = "") -> Sample:
    """What is said of a scene: `motion`, `object`, or an answer. avoid: another text than this one, if it can be."""
    kinds = {"Yes.": "exists", "No.": "exists", "Left.": "direction"}
    for seed in range(400):
        found = said(PLAIN, scene, kinds.get(what, "caption"), random.Random(seed), NAMES)
        fits = found.target == what if what in kinds else (spoken(found.target) is None) == (what == "object")
        if fits and (found.target != avoid or what in kinds):
            return found
    raise AssertionError(f"no {what} of {scene}")


@pytest.mark.parametrize(
    ("video", "text", "right"),
    [
        ((OWL_LEFT, "motion"), (OWL_LEFT, "motion"), True),  # another wording
        ((OWL_LEFT, "motion"), (OWL_STILL, "motion"), False),
        ((OWL_LEFT, "motion"), (FOX, "motion"), False),
        ((OWL_LEFT, "motion"), (OWLS, "motion"), False),
        ((OWL_LEFT, "motion"), (OWL_STILL, "object"), True),  # wherever it is
        ((OWL_STILL, "object"), (OWL_LEFT, "motion"), False),  # not the other way
        ((OWL_STILL, "object"), (OWL_LEFT, "object"), True),
        ((OWLS, "motion"), (OWL_LEFT, "object"), False),
        ((LEFT_WHILE, "motion"), (OWL_LEFT, "object"), True),
        ((LEFT_WHILE, "motion"), (Scene("up", "kite"), "object"), True),
        ((LEFT_WHILE, "motion"), (WHILE_LEFT, "motion"), False),
        ((OWL_LEFT, "Yes."), (FOX, "Yes."), True),
        ((OWL_LEFT, "Yes."), (FOX, "No."), False),
        ((OWL_LEFT, "Left."), (FOX, "Left."), True),
        ((OWL_LEFT, "Left."), (OWL_STILL, "object"), True),
    ],
)
def test_keys_say_what_is_right(video: tuple[Scene, str], text: tuple[Scene, str], right: bool) -> None:
    """The text of one sample is right for the video of another where its key is the other's, or one of `also`."""
    one = sample_of(*video)
    other = sample_of(*text, avoid=one.target)
    assert (other.text_key in (one.text_key, *one.also)) is right


def test_of_two_that_do_the_same_to_each_other_it_does_not_matter_who_is_named_first() -> None:
    assert canonical(SWAP) == canonical(PAWS) != canonical(LEFT_WHILE) != canonical(WHILE_LEFT)
    swap, paws = (said(PLAIN, scene, "caption", random.Random(0), NAMES) for scene in (SWAP, PAWS))
    assert swap.text_key == paws.text_key and swap.target != paws.target


def test_equal_texts_are_never_negatives() -> None:
    """Of each other, as targets."""
    samples = [sample for sample, _ in varied(ALL, 3, kinds=("caption", "caption", *say.QUESTION_KINDS), rename=0.2)]
    by_text: dict[str, set[str | None]] = {}
    for sample in samples:
        by_text.setdefault(sample.target, set()).add(sample.text_key)
    assert sum(len(keys) for keys in by_text.values()) == len(by_text) < len(samples)
