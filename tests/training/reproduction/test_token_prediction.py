"""Token prediction's experiment: what its arms start from, what they are measured by, and how it is judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pycocoevalcap.cider.cider import Cider
from safetensors.torch import load_file

from tests.training.small_run import COLOURS, SIDES, tokenizer_of_words, write_sources
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import from_dict
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.config import Decoder, TokenModel, load_run
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.reproduction import token_prediction as experiment
from vljepa_edge.training.reproduction.experiment import Results
from vljepa_edge.training.reproduction.language_parts import Language, language_parts, take_last_layers
from vljepa_edge.training.reproduction.token_scores import HeldOut, class_text, held_out, scored, shown
from vljepa_edge.training.reproduction.verdict import FAILS, HOLDS, OPEN

TEXTS = [f"a {colour} square on the {side}" for colour in COLOURS for side in SIDES]
SIZES = TokenModel(hidden=32, layers=3, heads=2, ffn=48, max_tokens=12)


def quiet(*_: object) -> None:
    pass


def test_both_runs_differ_in_nothing_but_the_tokens() -> None:
    ours, theirs = (load_run(run).model_dump() for run in experiment.RUNS.values())
    assert {key for key in ours if ours[key] != theirs[key]} == {"name", "tokens"}
    (stage,) = load_run("miniature_tokens").stages
    assert (stage.steps, stage.batch) == (experiment.POINTS[-1], experiment.BATCH)
    every, keep = load_run("miniature_tokens").checkpoint.every, load_run("miniature_tokens").checkpoint.keep
    assert all(point % every == 0 for point in experiment.POINTS) and keep * every >= stage.steps


def test_the_token_predictor_has_twice_the_layers() -> None:
    run = load_run("miniature_tokens")
    assert run.tokens is not None
    stack = run.architecture().predictor.stack
    assert run.tokens.layers == 2 * stack.layers
    assert (run.tokens.hidden, run.tokens.heads, run.tokens.ffn) == (stack.hidden, stack.heads, stack.ffn)


def test_what_both_start_from_is_made_once(tmp_path: Path) -> None:
    """The language model says what the texts say; a predictor's layers are its last ones."""
    torch.manual_seed(0)
    model = VLJepa.assemble(from_dict(VLJepaConfig, write_sources(tmp_path / "sources"))).eval()
    training = Decoder(corpus=["texts"], steps=30, batch=12, lr=1e-2, warmup=5)
    made = language_parts(tmp_path / "texts", model, tokenizer_of_words(), lambda: TEXTS, SIZES, training, quiet)
    start, square = (made.tokenizer.token_to_id(word) for word in ("<start>", "Ġsquare"))
    ids = torch.tensor([[start, *made.tokenizer.encode("a red", add_special_tokens=False).ids]])
    assert int(made.language(ids, ids)[0, -1].argmax()) == square
    assert {name.split(".")[0] for name in load_file(made.file)} == {"tokens", "stack"}

    def again() -> list[str]:
        raise AssertionError("texts are read once")

    kept = language_parts(tmp_path / "texts", model, tokenizer_of_words(), again, SIZES, training, quiet)
    for one, other in ((made.language, kept.language), (made.decoder, kept.decoder)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert kept.tokenizer.get_vocab() == made.tokenizer.get_vocab()


def test_the_last_layers_are_taken_in_their_order() -> None:
    language = Language(9, SIZES)
    stack = Language(9, SIZES.model_copy(update={"layers": 2})).stack
    with torch.no_grad():
        language.stack.norm.weight.fill_(3.0)
    take_last_layers(stack, language)
    x = torch.randn(2, 5, 32)
    expected = x
    for layer in language.stack.layers[1:]:
        bias = torch.full((5, 5), -1e4).triu(1)
        expected = layer(expected, stack.cos[:5], stack.sin[:5], bias)  # type: ignore[index]
    torch.testing.assert_close(stack(x), language.stack.norm(expected))


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["A dog runs.", "A puppy in the grass.", "Two dogs.", "Grass.", "An animal."], "dog"),
        (["A dog runs.", "A puppy in the grass.", "Grass."], None),
        (["A man and a dog.", "A man with a dog.", "A dog and a man."], "dog"),
        (["A cat and a dog.", "A cat with a dog.", "A dog and a cat."], None),
        (["A hot dog.", "Hot dogs on a plate.", "A hotdog."], "hot dog"),
    ],
)
def test_a_photograph_is_of_the_one_object_that_its_captions_agree_on(
    captions: list[str], expected: str | None
) -> None:
    assert shown(captions) == expected


def test_classes_are_said_as_answers_are() -> None:
    assert [class_text(name) for name in ("dog", "elephant", "skis")] == ["A dog.", "An elephant.", "Skis."]


def test_held_out_photographs_are_those_of_the_tables(tmp_path: Path) -> None:
    from vljepa_edge.training.tiny.decoder import word_tokenizer

    said = {"1.png": "A dog runs.", "2.png": "A cat sleeps.", "3.png": "A zebra.", "4.png": "A field."}
    for name in said:
        (tmp_path / name).write_bytes(b"")
    for table in experiment.MEASURED_ON:
        rows = [{"path": name, "caption": text} for name, text in said.items() for _ in range(3)]
        (tmp_path / table).write_text("".join(json.dumps(row) + "\n" for row in rows))
    held = held_out(tmp_path, word_tokenizer(["A dog.", "A cat sleeps.", "A field."]))
    assert held.classes == ["A cat.", "A dog."]  # no word for a zebra
    assert [Path(sample.media).name for sample in held.classified] == ["1.png", "2.png"] and held.right == [1, 0]
    assert all(sample.query == "What object is in the scene?" for sample in held.classified)
    samples, references = held.captioned["coco-val"]
    assert [Path(sample.media).name for sample in samples] == list(said) and references[0] == ["A dog runs."] * 3


class Fixed:
    """A speaker that says and scores what it is given."""

    def __init__(self, said: list[str], found: NDArray[np.float64]) -> None:
        self._said, self._found = said, found

    @property
    def reader(self) -> None:  # type: ignore[override]
        return None

    def captions(self, samples: Sequence[Sample]) -> list[str]:
        return self._said

    def scores(self, samples: Sequence[Sample], classes: Sequence[str]) -> NDArray[np.float64]:
        return self._found


def test_scores_are_those_of_pycocoevalcap_and_a_collapsed_arm_has_none() -> None:
    references = [["a dog runs in the grass", "a dog"], ["two cats on a bed", "cats sleep"], ["a red bus"]]
    said = ["a dog in the grass", "a cat on a bed", "a red bus"]
    photos = [Sample(str(i), str(i), "") for i in range(3)]
    held = HeldOut({"one": (photos, references), "two": (photos, references)}, photos, [0, 5, 6], ["x"] * 7)
    ranked = np.eye(7)[[0, 4, 6]] + 0.01 * np.arange(7)
    found = scored(Fixed(said, ranked), held)  # type: ignore[arg-type]
    theirs, _ = Cider().compute_score(dict(enumerate(references)), {i: [text] for i, text in enumerate(said)})
    assert found["CIDEr"] == pytest.approx(100 * theirs) and found["CIDEr two"] == pytest.approx(100 * theirs)
    assert found["top-5"] == pytest.approx(100.0) and found["top-1"] == pytest.approx(100 * 2 / 3)
    collapsed = scored(Fixed(["a"] * 3, np.zeros((3, 7))), held)  # type: ignore[arg-type]
    assert collapsed["top-5"] == 0.0


def results(gap: float, noise: float) -> Results:
    """Three seeds: the embedding arm ahead by `gap` from the second point on, seeds apart by `noise`."""
    return {
        arm: {
            seed: {
                experiment.at(measure, step): 10.0
                + (gap if arm == experiment.EMBEDDINGS and step != experiment.POINTS[0] else 0.0)
                + (noise * seed if arm == experiment.EMBEDDINGS else 0.0)
                for measure in experiment.MEASURES
                for step in experiment.POINTS
            }
            for seed in (0, 1, 2)
        }
        for arm in experiment.RUNS
    }


def test_the_claim_is_judged_at_every_point_but_the_first() -> None:
    judge = experiment.TOKEN_PREDICTION.judge
    assert judge(results(5.0, 1.0)).outcome == HOLDS
    assert judge(results(5.0, 4.0)).outcome == HOLDS  # 9 on the mean, 8 apart
    assert judge(results(1.0, 4.0)).outcome == OPEN
    assert judge(results(-5.0, 0.5)).outcome == FAILS
    late = results(5.0, 1.0)
    for seeds in late.values():
        for figures in seeds.values():
            figures[experiment.at("CIDEr", experiment.POINTS[1])] = 3.0  # type: ignore[index]
    assert judge(late).outcome == OPEN
    assert judge({}).outcome == OPEN


def test_curves_are_drawn_with_the_spread_of_the_seeds() -> None:
    canvas = Figure()
    experiment.draw(canvas, experiment.TOKEN_PREDICTION, results(5.0, 1.0))
    assert [pane.get_title() for pane in canvas.axes] == list(experiment.MEASURES)
    line = canvas.axes[0].lines[0]
    assert list(line.get_xdata()) == [step * experiment.BATCH for step in experiment.POINTS]  # type: ignore[arg-type]
    assert list(line.get_ydata()) == pytest.approx([11.0, 16.0, 16.0, 16.0])  # type: ignore[arg-type]
    assert len(canvas.axes[0].collections) == 2
