"""Fine-tuning from end to end, on the toy bundle and drawn videos: it learns, it is honest, it writes a bundle."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.toy_bundle import write_toy_bundle
from tests.training.finetune.drawn import COLOURS, Table, draw
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import write_bundle
from vljepa_edge.errors import BundleError, InputError, VideoError, VideoWarning
from vljepa_edge.model import load
from vljepa_edge.training.data.pack import pack
from vljepa_edge.training.data.recording import Recordings
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.training.finetune import FineTuneReport, Recipe, fine_tune
from vljepa_edge.training.finetune.split import Split, split

RECIPE = Recipe(lr=3e-2, weight_decay=0.0, keep=0.01, warmup=5)  # the toy's weights are a thousand times fewer


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    return draw(tmp_path_factory.mktemp("drawn"), 60)


@pytest.fixture(scope="module")
def tuned(
    toy: Path, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, FineTuneReport, list[str]]:
    out = tmp_path_factory.mktemp("tuned") / "mine.vljepa"
    told: list[str] = []
    report = fine_tune(
        toy, Table(samples), out, steps=150, recipe=RECIPE, held_out=0.3, on_step=lambda what, *_: told.append(what)
    )
    return out, report, told


def parts(samples: list[Sample]) -> Split:
    return split(list(map(Recordings().digest, samples)), 0.3)


def test_it_learns_what_its_clips_show(tuned: tuple[Path, FineTuneReport, list[str]]) -> None:
    _, report, told = tuned
    (figure,) = report.figures
    assert (figure.name, figure.of, figure.chance) == ("top-1", 18, 33.3)
    assert figure.before < 60
    assert figure.after > 90
    assert report.train + report.validation + report.held_out == 60 == report.videos
    assert report.best_step > 0 and not report.problems
    assert set(told) == {"encoding", "training"}
    first, best = report.validation_losses[0][1], min(loss for _, loss in report.validation_losses)
    assert best < 0.5 * first


def test_the_bundle_does_what_the_report_says(
    tuned: tuple[Path, FineTuneReport, list[str]], samples: list[Sample]
) -> None:
    """Held-out clips, classified by the runtime as any user would."""
    out, report, _ = tuned
    model = load(out, threads=1, precision="f32")
    held_out = parts(samples).held_out
    right = [model.classify(samples[row].media, list(COLOURS))[0].label == samples[row].target for row in held_out]
    assert abs(100 * float(np.mean(right)) - report.figures[0].after) <= 100 / len(held_out) + 0.1


def test_the_bundle_is_the_parent_but_for_its_predictor(
    toy: Path, tuned: tuple[Path, FineTuneReport, list[str]]
) -> None:
    parent, child = Bundle.open(toy), Bundle.open(tuned[0])
    before, after = parent.manifest.entries(), child.manifest.entries()
    assert {name for name in after if after[name] != before.get(name)} == {"graphs/predictor.onnx", "MODEL_CARD.md"}
    assert before.keys() <= after.keys()
    assert child.read("NOTICE") == parent.read("NOTICE")
    assert child.manifest.video == parent.manifest.video and child.manifest.text == parent.manifest.text


def test_the_manifest_says_what_it_came_from(toy: Path, tuned: tuple[Path, FineTuneReport, list[str]]) -> None:
    out, report, _ = tuned
    parent, child = Bundle.open(toy).manifest, Bundle.open(out).manifest
    assert child.name == "mine" and child.figures == {}
    assert child.provenance["seed"] == parent.provenance["seed"]
    (made,) = child.provenance["fine_tune"]
    assert Bundle.open(toy).digest in made["parent"]
    assert made["data_sha256"] == report.data_sha256
    assert made["figures"][0]["after"] == report.figures[0].after
    assert child.licences[: len(parent.licences)] == parent.licences
    assert child.prompts.classify == "{label}" and child.prompts.classify_query is None
    assert f"| top-1 | 18 | {report.figures[0].before} |" in Bundle.open(out).read("MODEL_CARD.md").decode()


def test_the_result_can_be_fine_tuned_again(
    tuned: tuple[Path, FineTuneReport, list[str]], samples: list[Sample], tmp_path: Path
) -> None:
    again = fine_tune(tuned[0], Table(samples), tmp_path / "again", steps=10, recipe=RECIPE, held_out=0.3)
    assert again.figures[0].before == tuned[1].figures[0].after
    assert len(Bundle.open(tmp_path / "again").manifest.provenance["fine_tune"]) == 2


def test_a_clip_encoder_and_a_query_free_model_are_tuned_too(samples: list[Sample], tmp_path: Path) -> None:
    bundle = Bundle.open(write_toy_bundle(tmp_path / "toy", vjepa=True))
    manifest = bundle.manifest.model_dump(mode="json", by_alias=True, exclude={"created", "files"})
    manifest["text"] |= {"default_query": "", "empty_query": "none"}
    files = {name: bundle.read(name) for name in bundle.manifest.entries()}
    parent = write_bundle(tmp_path / "free", manifest, files)
    report = fine_tune(parent, Table(samples), tmp_path / "out", steps=60, recipe=RECIPE, held_out=0.3)
    assert report.figures[0].after > report.figures[0].before + 20


def test_one_seed_is_one_result(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    def predictor(name: str, seed: int) -> bytes:
        fine_tune(toy, Table(samples[:12]), tmp_path / name, steps=3, seed=seed, recipe=RECIPE)
        return Bundle.open(tmp_path / name).read("graphs/predictor.onnx")

    first = predictor("a", 0)
    assert predictor("b", 0) == first
    assert predictor("c", 1) != first


def test_questions_are_asked_and_answered(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    asked = [replace(s, query="What colour is it?", target=s.target.split()[1]) for s in samples]
    report = fine_tune(toy, Table(asked), tmp_path / "out", steps=60, recipe=RECIPE, held_out=0.3)
    (figure,) = report.figures
    assert (figure.name, figure.chance) == ("answers", 33.3)
    assert figure.after > max(70, figure.before + 20)
    assert Bundle.open(tmp_path / "out").manifest.prompts == Bundle.open(toy).manifest.prompts


def test_texts_that_the_table_calls_wrong_are_moved_away_from(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    texts = ["a red balloon", "nothing moves", "two cats", "the box opens", "grass", "a lamp"]

    def cosines(name: str, negatives: tuple[str, ...]) -> np.ndarray:
        table = Table([replace(s, negatives=negatives) for s in samples[:30]])
        fine_tune(toy, table, tmp_path / name, steps=40, recipe=replace(RECIPE, noise=0.0))
        model = load(tmp_path / name, threads=1, precision="f32")
        seen = np.stack([model.embed_video(s.media) for s in samples[30:45]])
        return (seen @ model.embed_text(texts).T).mean(0)

    free = cosines("free", ())
    nearest = int(free.argmax())
    assert cosines("told", (texts[nearest],))[nearest] < free[nearest] - 0.05


def test_a_table_that_teaches_the_wrong_thing_leaves_the_parent_in_place(
    tuned: tuple[Path, FineTuneReport, list[str]], samples: list[Sample], tmp_path: Path
) -> None:
    """What the clips to learn from say is wrong for the others, which a parent that is good already shows."""
    texts = list(COLOURS)
    wrong = {samples[row].key for row in parts(samples).train}
    table = [replace(s, target=texts[(texts.index(s.target) + 1) % 3]) if s.key in wrong else s for s in samples]
    report = fine_tune(
        tuned[0], Table(table), tmp_path / "out", steps=60, recipe=replace(RECIPE, every=2), held_out=0.3
    )
    assert report.best_step == 0
    assert report.steps < 60  # it gave up
    assert report.figures[0].after == report.figures[0].before
    assert "the parent's predictor was kept" in report.problems[0]
    kept = Bundle.open(tmp_path / "out").read("graphs/predictor.onnx")
    assert kept == Bundle.open(tuned[0]).read("graphs/predictor.onnx")


def test_tars_are_held_out_by_the_video_that_their_members_are_of(
    toy: Path, samples: list[Sample], tmp_path: Path
) -> None:
    """Twelve stretches of two videos, each a file of its own as `data pack` has them, are two videos: too few."""

    def packed(name: str, videos: int) -> FileSource:
        table = tmp_path / f"{name}.jsonl"
        rows = [{"path": samples[i % videos].media, "start": i / 10, "end": i / 10 + 0.5, "caption": str(i % videos)}
                for i in range(12)]  # fmt: skip
        table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        pack(table, tmp_path / name)
        return open_source(tmp_path / name)

    with pytest.raises(InputError, match="at least 10 clips of 3 videos, got 12 of 2"):
        fine_tune(toy, packed("two", 2), tmp_path / "out", steps=2)
    report = fine_tune(toy, packed("four", 4), tmp_path / "out", steps=2)
    assert (report.videos, report.held_out, report.nameless) == (4, 3, 0)
    (archive,) = (tmp_path / "two").glob("*.tar")
    with tarfile.open(archive) as tar, tarfile.open(tmp_path / "theirs.tar", "w") as theirs:
        for member in tar:
            data = tar.extractfile(member).read()
            if member.name.endswith(".json"):
                data = json.dumps({"caption": json.loads(data)["caption"]}).encode()
                member.size = len(data)
            theirs.addfile(member, io.BytesIO(data))
    report = fine_tune(toy, open_source(tmp_path / "theirs.tar"), tmp_path / "out", steps=2)
    assert report.nameless == 12 and "12 samples of tars have no `video` in their JSON" in report.lines()[1]


def test_a_clip_that_can_not_be_read_is_left_out(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    broken = replace(samples[5], key="broken", media=str(tmp_path / "broken.mp4"))
    with pytest.warns(VideoWarning, match="left out: broken: .*broken.mp4"):
        report = fine_tune(toy, Table([*samples[:12], broken]), tmp_path / "out", steps=2, recipe=RECIPE)
    assert len(report.skipped) == 1 and report.videos == 12
    with pytest.warns(VideoWarning), pytest.raises(VideoError):
        fine_tune(toy, Table([*samples[:10], broken, replace(broken, start=0.1)]), tmp_path / "out", steps=5)


def test_what_can_not_be_learned_from_is_refused(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match="clips: has no rows"):
        fine_tune(toy, Table([]), out)
    with pytest.raises(InputError, match="at least 10 clips of 3 videos, got 9 of 9"):
        fine_tune(toy, Table(samples[:9]), out)
    with pytest.raises(InputError, match="all say 'a red ball'; a table needs at least two different texts"):
        fine_tune(toy, Table([replace(s, target="a red ball") for s in samples[:12]]), out)
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        fine_tune(toy, Table(samples), out, steps=0)
    assert not out.exists()


def test_a_place_that_holds_something_else_is_left_alone(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "notes.vljepa"
    out.write_text("mine")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        fine_tune(toy, Table(samples), out)
    assert out.read_text() == "mine"


def test_ctrl_c_leaves_nothing_behind(toy: Path, samples: list[Sample], tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "training" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(toy, Table(samples[:20]), tmp_path / "out.vljepa", recipe=RECIPE, on_step=stop)
    assert not list(tmp_path.iterdir())
