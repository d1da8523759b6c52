"""A run of tokens goes through the loop as the model's own does: the same samples, and no bit lost in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from tests.training.small_run import WORDS, tokenizer_of_words, write_run
from vljepa_edge.errors import InputError
from vljepa_edge.training.config import load_run
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.loop import _Run, train
from vljepa_edge.training.objective import Rows
from vljepa_edge.training.observe import read_log
from vljepa_edge.training.parallel import Place
from vljepa_edge.training.reproduction.token_scores import Saying, arm_at
from vljepa_edge.training.run_folder import load_checkpoint
from vljepa_edge.training.token_trainee import TokenTrainee, answering

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
TOKENS = {"hidden": 32, "layers": 2, "heads": 2, "ffn": 48, "max_tokens": 12}
STEPS = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One stage on questions and captions, whose features are kept."""
    folder = tmp_path_factory.mktemp("tokens")
    frames = {"count": 4, "width": 32, "height": 32}
    stage = {"name": "sft", "query": True, "steps": STEPS, "batch": 16, "lr": 1e-2, "frames": frames, "cache": True,
             "data": {"asked": 1.0, "clips": 1.0}}  # fmt: skip
    return write_run(
        folder, dropout=0.0, stages=[stage], tokens=TOKENS, checkpoint={"every": STEPS // 2, "keep": 2},
        features=str(folder / "features"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    trained(run, folder)
    return folder


def trained(run: Path, folder: Path, *changes: str, resume: str | None = None) -> dict[str, torch.Tensor]:
    report = train(load_run(run, [f"out={folder}", *changes]), resume)
    assert report.model == last(folder)
    assert report.lines()[1].startswith(f"the token predictor is in {report.model}")
    return load_checkpoint(last(folder))[0]


def last(folder: Path) -> Path:
    return folder / "checkpoints" / f"{STEPS:08}.safetensors"


def halfway(folder: Path) -> str:
    return str(folder / "checkpoints" / f"{STEPS // 2:08}.safetensors")


def test_it_learns_and_keeps_nothing_of_the_model(whole: Path) -> None:
    curves = read_log(whole / "log.jsonl")["sft"]
    assert curves["loss"][0] > 2.5 and curves["loss"][STEPS - 1] < 1.25
    names = load_checkpoint(last(whole))[0]
    assert {name.split(".")[1] for name in names if name.startswith("weights.")} == {"tokens"}
    assert not (whole / "model").exists() and (whole / "curves.png").is_file()


def test_a_run_that_goes_on_ends_with_the_same_bits(run: Path, whole: Path, tmp_path: Path) -> None:
    weights, ended = load_checkpoint(last(whole))[0], trained(run, tmp_path, resume=halfway(whole))
    assert weights.keys() == ended.keys() and all(torch.equal(weights[name], ended[name]) for name in weights)


def test_chunks_give_the_gradient_of_the_complete_batch(run: Path, whole: Path, tmp_path: Path) -> None:
    """The mean over all tokens, though chunks have different numbers of them."""
    found = trained(run, tmp_path, "stages.0.chunk=5", resume=halfway(whole))
    for name, value in load_checkpoint(last(whole))[0].items():
        if name.startswith("weights."):
            torch.testing.assert_close(found[name], value, atol=2e-3, rtol=1e-2)


def test_it_takes_the_samples_that_the_model_itself_would_take(run: Path, tmp_path: Path) -> None:
    ours, theirs = (
        _Run(load_run(run, [f"out={tmp_path}", *changes]), Place(0, 1, CPU)) for changes in ([], ["tokens=null"])
    )
    answers = answering(tokenizer_of_words())
    with (
        ours.data.batches(ours.config.stages[0], 0, ours.data.cache(ours.config.stages[0])) as mine,
        theirs.data.batches(theirs.config.stages[0], 0, theirs.data.cache(theirs.config.stages[0])) as other,
    ):
        for _ in range(6):
            a, b = next(mine), next(other)
            assert a.names == b.names and a.texts == b.texts and torch.equal(a.keys, b.keys)
            for name in a.video:
                assert torch.equal(a.video[name], b.video[name])  # type: ignore[index, call-overload]
            for text, ids, mask in zip(a.texts, a.target.ids, a.target.mask, strict=True):  # type: ignore[union-attr]
                assert ids[mask].tolist() == answers.encode(text).ids


def test_the_loss_is_the_mean_over_the_tokens_of_all_rows(run: Path, tmp_path: Path) -> None:
    """By hand in NumPy from the logits; and of ranks with other numbers of rows, the mean of what each has."""
    made = _Run(load_run(run, [f"out={tmp_path}"]), Place(0, 1, CPU))
    stage, trainee = made.config.stages[0], made.trainee
    assert isinstance(trainee, TokenTrainee)
    trainee.begin(stage, None)
    with made.data.batches(stage, 0, made.data.cache(stage)) as loaded:
        batch = next(loaded)
    with torch.no_grad():
        found = trainee(batch)
        query = trainee.model.query_states(batch.query.ids, batch.query.mask)
        streams = trainee.model.streams(batch.video)
        logits = trainee.tokens(streams, batch.target.ids[:, :-1], query, batch.query.mask).double().numpy()
    ids, mask = batch.target.ids.numpy(), batch.target.mask.numpy()
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    said = [-log_p[b, n, ids[b, n + 1]] for b, n in zip(*np.nonzero(mask[:, 1:]), strict=True)]
    rows = Rows.of(batch, None)
    whole = trainee.loss(found, rows, Gathering.of(len(batch), CPU), 0)
    assert float(whole) == pytest.approx(np.mean(said), rel=1e-5)


def test_a_checkpoint_is_measured_by_what_it_learned(run: Path, whole: Path) -> None:
    """Classes by perplexity: the mean of the answer's tokens from plain logits, without a cache."""
    config = load_run(run, [f"out={whole}"])
    speaker, tokenizer = arm_at(config, STEPS)
    assert isinstance(speaker, Saying)
    tokens = speaker._tokens
    weights = load_checkpoint(last(whole))[0]
    assert all(torch.equal(value, weights[f"weights.tokens.{name}"]) for name, value in tokens.state_dict().items())
    source = open_source(config.data["asked"])
    samples, classes = [source[index] for index in range(6)], ["red", "a blue square on the left"]
    (batch,) = speaker.reader.batches(samples)
    model, asked = speaker.reader.model, batch.query
    found = speaker.scores(samples, classes)
    with torch.no_grad():
        states, streams = model.query_states(asked.ids, asked.mask), model.streams(batch.video)  # type: ignore[union-attr]
        for column, text in enumerate(classes):
            ids = torch.tensor([answering(tokenizer).encode(text).ids]).expand(len(samples), -1)
            logits = tokens(streams, ids[:, :-1], states, asked.mask)  # type: ignore[union-attr]
            expected = -F.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none").mean(1)
            np.testing.assert_allclose(found[:, column], expected, atol=1e-4)
    said = speaker.captions(samples)
    assert said == [text.strip() for text in said] and set(" ".join(said).split()) <= set(WORDS)


def test_text_that_it_learned_before_is_where_it_starts(run: Path, tmp_path: Path) -> None:
    changes = [f"out={tmp_path}", f"tokens.text={tmp_path / 'text.safetensors'}"]
    fresh = _Run(load_run(run, [f"out={tmp_path}"]), Place(0, 1, CPU)).trainee
    assert isinstance(fresh, TokenTrainee)
    text = {name: torch.full_like(value, 0.5) for name, value in fresh.tokens.state_dict().items()
            if name.startswith(("stack.", "tokens."))}  # fmt: skip
    save_file(text, tmp_path / "text.safetensors")
    started = _Run(load_run(run, changes), Place(0, 1, CPU)).trainee
    assert isinstance(started, TokenTrainee)
    own = started.tokens.state_dict()
    assert all(torch.equal(own[name], text[name]) if name in text else bool((own[name] != 0.5).any()) for name in own)
    save_file({name: value for name, value in text.items() if name.startswith("stack.")}, tmp_path / "text.safetensors")
    with pytest.raises(InputError, match=r"must have \['tokens.weight'\]"):
        _Run(load_run(run, changes), Place(0, 1, CPU))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("decoder={corpus: [clips]}", "a run of tokens must have no evaluate, decoder"),
        ("stages.0.negatives=2", "stage sft: a run of tokens must have no classes and no negatives"),
        ("tokens.hidden=30", "hidden must be a multiple of 2 x heads"),
    ],
)
def test_what_has_no_meaning_for_tokens_is_refused(run: Path, change: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_run(run, [change])


def test_a_text_stands_between_the_start_and_the_end_token() -> None:
    tokenizer = tokenizer_of_words()
    ids = answering(tokenizer).encode("a red square").ids
    assert [tokenizer.id_to_token(i) for i in ids] == ["<s>", "a", "red", "square", "</s>"]
    assert tokenizer.encode("a red square").ids == ids[1:-1]
