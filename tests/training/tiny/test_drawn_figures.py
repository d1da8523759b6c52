"""The card's figures against scikit-learn and plain loops, on embeddings that know nothing and that know all."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, top_k_accuracy_score

from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import drawn_figures
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.drawn_figures import Array
from vljepa_edge.training.tiny.scenes import random_scene

NAMES = [f"thing {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(40)]
WIDTH = 48


def unit(rng: np.random.Generator, *shape: int) -> Array:
    x = rng.normal(size=shape)
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


def scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [Scene(rng.choice(say.ONE), rng.choice(NAMES)) for _ in range(count)]


class Memory:
    """An embedder that gives each text a random vector, the same one each time."""

    def __init__(self, seed: int = 0) -> None:
        self.rng, self.known = np.random.default_rng(seed), {}

    def __call__(self, texts: Sequence[str]) -> Array:
        return np.stack([self.known.setdefault(text, unit(self.rng, WIDTH)) for text in texts])


def test_candidates_are_the_right_name_and_31_others_drawn_by_the_seed() -> None:
    shown = scenes(50)
    drawn = drawn_figures.draw_candidates(shown, NAMES, seed=3)
    for scene, ids in zip(shown, drawn, strict=True):
        assert NAMES[ids[0]] == scene.name and len(ids) == len(set(ids)) == 32
    assert (
        drawn
        == drawn_figures.draw_candidates(shown, NAMES, seed=3)
        != drawn_figures.draw_candidates(shown, NAMES, seed=4)
    )
    few = drawn_figures.draw_candidates([Scene("up", NAMES[2])], NAMES[:5], seed=0)
    assert sorted(few[0]) == [0, 1, 2, 3, 4]


def test_object_accuracy_is_top_1_when_all_names_are_candidates() -> None:
    rng, shown, names = np.random.default_rng(0), scenes(200), NAMES[:32]
    shown = [s for s in shown if s.name in names]
    texts = unit(rng, 32, WIDTH)
    labels = [names.index(s.name) for s in shown]
    z = texts[labels] + 0.25 * rng.normal(size=(len(shown), WIDTH)).astype(np.float32)
    found = drawn_figures.object_accuracy(z, texts, drawn_figures.draw_candidates(shown, names, seed=1))
    expected = top_k_accuracy_score(labels, z @ texts.T, k=1, labels=range(32))
    assert 10 < found < 99 and found == pytest.approx(100 * expected, abs=0.051)


def test_retrieval_is_top_k_among_every_caption() -> None:
    rng, shown, embed = np.random.default_rng(1), scenes(150), Memory()
    table = drawn_figures.captions_table(NAMES, embed, 0)
    assert table.shape == (40, 11, WIDTH)
    labels = [NAMES.index(s.name) * 11 + say.ONE.index(s.motion) for s in shown]
    flat = table.reshape(-1, WIDTH)
    z = flat[labels] + 0.35 * rng.normal(size=(150, WIDTH)).astype(np.float32)
    found = drawn_figures.retrieval(z, shown, table, NAMES)
    for k in (1, 5):
        expected = top_k_accuracy_score(labels, z @ flat.T, k=k, labels=range(len(flat)))
        assert found[f"R@{k}"] == pytest.approx(100 * expected, abs=0.051)
    assert 5 < found["R@1"] < found["R@5"] < 99


def test_the_table_holds_the_caption_that_it_says() -> None:
    embed = Memory()
    for paraphrase in (0, say.UNSEEN):
        table = drawn_figures.captions_table(NAMES[:3], embed, paraphrase)
        expected = embed([say.caption(Scene("spin", NAMES[2]), paraphrase)])[0]
        np.testing.assert_array_equal(table[2, say.ONE.index("spin")], expected)


def test_motion_accuracy_averages_over_the_candidate_objects() -> None:
    rng, shown = np.random.default_rng(2), scenes(60)
    table, z = unit(rng, 40, 11, WIDTH), unit(rng, 60, WIDTH)
    candidates = drawn_figures.draw_candidates(shown, NAMES, seed=0)
    guesses = []
    for i, ids in enumerate(candidates):
        scores = [
            np.mean([float(np.dot(table[name, motion].astype(float), z[i])) for name in ids]) for motion in range(11)
        ]
        guesses.append(say.ONE[int(np.argmax(scores))])
    expected = accuracy_score([s.motion for s in shown], guesses)
    assert drawn_figures.motion_accuracy(z, shown, table, candidates) == pytest.approx(100 * expected, abs=0.051)


def test_embeddings_that_know_nothing_are_at_chance() -> None:
    shown, rng = scenes(3000), np.random.default_rng(3)
    found = drawn_figures.judge_captions(unit(rng, 3000, WIDTH), shown, NAMES, Memory(4))
    assert found["object_top1_of_32"] == pytest.approx(100 / 32, abs=1.5)
    assert found["motion_top1_of_11"] == pytest.approx(100 / 11, abs=3)
    assert found["motion_unseen_paraphrase"] == pytest.approx(100 / 11, abs=3)
    assert found["retrieval_captions"] == 440
    assert found["retrieval_R@1"] == pytest.approx(100 / 440, abs=0.5)
    assert found["retrieval_R@5"] == pytest.approx(500 / 440, abs=1.0)


def test_embeddings_of_the_captions_themselves_are_perfect() -> None:
    shown, embed = scenes(100), Memory()
    exact = drawn_figures.judge_captions(embed([say.caption(s) for s in shown]), shown, NAMES, embed)
    assert exact["retrieval_R@1"] == 100.0
    named = drawn_figures.judge_captions(embed([say.object_captions(s.name)[1] for s in shown]), shown, NAMES, embed)
    assert named["object_top1_of_32"] == 100.0
    for paraphrase, figure in ((0, "motion_top1_of_11"), (say.UNSEEN, "motion_unseen_paraphrase")):
        general = drawn_figures.captions_table(NAMES, embed, paraphrase).mean(0)  # each motion, whatever does it
        moving = drawn_figures.judge_captions(general[[say.ONE.index(s.motion) for s in shown]], shown, NAMES, embed)
        assert moving[figure] == 100.0


@pytest.mark.parametrize("kind", list(drawn_figures.ANSWERS))
def test_questions_are_balanced_and_true(kind: str) -> None:
    rng = random.Random(5)
    shown = [random_scene(rng, NAMES, pairs=0.0, groups=0.5) for _ in range(300)]
    asked = drawn_figures.draw_questions(shown, kind, NAMES, seed=1)
    assert asked == drawn_figures.draw_questions(shown, kind, NAMES, seed=1)
    counted = Counter(q.answer for _, q in asked)
    assert set(counted) == set(drawn_figures.ANSWERS[kind]) and len(set(counted.values())) == 1
    for i, question in asked:
        assert question.kind == kind
        if kind == "direction":
            assert question.answer == f"{shown[i].motion.capitalize()}."
        if kind == "count":
            assert question.answer == ("One.", "Two.", "Three.")[shown[i].count - 1]
        if kind == "exists":
            assert (question.answer == "Yes.") == (shown[i].name in question.text)


@pytest.mark.parametrize("kind", list(drawn_figures.ANSWERS))
def test_answers_are_judged_by_the_nearest(kind: str) -> None:
    rng, embed = random.Random(6), Memory()
    shown = [random_scene(rng, NAMES, pairs=0.0, groups=0.5) for _ in range(300)]
    asked = drawn_figures.draw_questions(shown, kind, NAMES, seed=1)
    right = embed([q.answer for _, q in asked])
    assert drawn_figures.judge_answers(asked, right, kind, embed) == 100.0
    wrong = embed([next(a for a in drawn_figures.ANSWERS[kind] if a != q.answer) for _, q in asked])
    assert drawn_figures.judge_answers(asked, wrong, kind, embed) == 0.0
    first = embed(
        [drawn_figures.ANSWERS[kind][0]] * len(asked)
    )  # always the same answer: chance, since they are balanced
    assert drawn_figures.judge_answers(asked, first, kind, embed) == pytest.approx(
        100 / len(drawn_figures.ANSWERS[kind]), abs=0.1
    )


class Collapsed:
    """An embedder that gives every text the same vector."""

    def __init__(self, value: float) -> None:
        self.vector = np.full(WIDTH, value, np.float32)

    def __call__(self, texts: Sequence[str]) -> Array:
        return np.tile(self.vector, (len(texts), 1))


CHANCE = {"motion_top1_of_11": 100 / 11, "motion_unseen_paraphrase": 100 / 11, "object_top1_of_32": 100 / 32,
          "retrieval_R@1": 100 / 440, "retrieval_R@5": 500 / 440}  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("texts", [0.1, 0.0, np.nan, np.inf])
@pytest.mark.parametrize("videos", [0.1, 0.0, np.nan, np.inf])
def test_collapsed_embeddings_are_at_chance_or_below(texts: float, videos: float) -> None:
    shown, embed = scenes(50), Collapsed(texts)
    z = np.full((50, WIDTH), videos, np.float32)
    found = drawn_figures.judge_captions(z, shown, NAMES, embed)
    for name, chance in CHANCE.items():
        assert found[name] <= chance, name
    drawn = [random_scene(random.Random(i), NAMES, pairs=0.0, groups=0.5) for i in range(300)]
    for kind, answers in drawn_figures.ANSWERS.items():
        asked = drawn_figures.draw_questions(drawn, kind, NAMES, seed=1)
        z = np.full((len(asked), WIDTH), videos, np.float32)
        assert drawn_figures.judge_answers(asked, z, kind, embed) <= 100 / len(answers)


@pytest.mark.parametrize("value", [0.1, np.nan])
def test_a_model_half_of_whose_embeddings_collapsed_is_right_in_half_at_most(value: float) -> None:
    shown, embed = scenes(100), Memory()
    z = embed([say.caption(s) for s in shown])
    z[::2] = value
    found = drawn_figures.judge_captions(z, shown, NAMES, embed)
    assert found["retrieval_R@1"] == pytest.approx(50, abs=1)


@pytest.mark.parametrize(
    ("text", "motion", "name"),
    [
        ("The owl moves to the left.", True, True),
        ("An owl is moving right.", False, True),
        ("The owls move to the left.", True, False),
        ("The bowl moves to the left.", True, False),
        ("An owl.", False, True),
        ("THE OWL GOES LEFT ACROSS THE SCENE.", True, True),
        ("", False, False),
    ],
)
def test_decoded_text_must_name_the_motion_and_the_whole_object(text: str, motion: bool, name: bool) -> None:
    found = drawn_figures.judge_texts([text], [Scene("left", "owl")])
    assert found == {"decoded_motion": 100.0 * motion, "decoded_object": 100.0 * name}
