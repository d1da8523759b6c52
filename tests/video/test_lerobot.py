"""An episode of a LeRobot data set is a video: its frames and no others, from second 0."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media import number_of
from tests.video.lerobot_data import CAMERAS, write_dataset
from vljepa_edge import Episode
from vljepa_edge.errors import DataError, InputError, VideoError, VideoWarning
from vljepa_edge.video.source import SourceLike, open_source

LENGTHS = [9, 16, 5, 12, 8]
TOP, WRIST = CAMERAS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("lerobot"), LENGTHS)


def seen(source: SourceLike, fps: float | None = None) -> tuple[list[int], list[float]]:
    with open_source(source, fps=fps) as frames:
        found = list(frames)
    return [number_of(frame.image) for frame in found], [frame.time for frame in found]


@pytest.mark.parametrize("episode", range(len(LENGTHS)))
@pytest.mark.parametrize("camera", CAMERAS)
def test_an_episode_has_its_frames_and_no_others(dataset: Path, episode: int, camera: str) -> None:
    numbers, times = seen(Episode(dataset, episode, camera))
    first = sum(LENGTHS[:episode]) + 100 * CAMERAS.index(camera)
    assert numbers == list(range(first, first + LENGTHS[episode]))
    assert times == pytest.approx([number / 10 for number in range(LENGTHS[episode])], abs=2e-3)
    assert times[0] >= 0


def test_an_episode_is_sampled_from_its_own_beginning(dataset: Path) -> None:
    assert seen(Episode(str(dataset), 1, TOP), fps=2)[1] == pytest.approx([0, 0.5, 1.0, 1.5], abs=2e-3)


def test_the_only_camera_needs_no_name_and_of_several_the_error_lists_them(dataset: Path, tmp_path: Path) -> None:
    one = write_dataset(tmp_path / "one", [4, 4], cameras=(TOP,))
    assert seen(Episode(one, 1))[0] == [4, 5, 6, 7]
    with pytest.raises(InputError, match=f"the camera must be chosen; there are: {TOP}, {WRIST}"):
        seen(Episode(dataset, 1))
    with pytest.raises(InputError, match=f"the camera can't be 'action'; there are: {TOP}"):
        seen(Episode(dataset, 1, "action"))


def test_what_is_not_there_is_said(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no episode 5; it has 5"):
        seen(Episode(dataset, 5, TOP))
    with pytest.raises(InputError, match="episode must be an integer, at least 0, got -1"):
        Episode(dataset, -1)
    with pytest.raises(DataError, match="can't be read as JSON"):
        seen(Episode(tmp_path, 0))
    other = write_dataset(tmp_path / "other", [4, 4], cameras=(TOP,))
    (other / "videos" / TOP / "chunk-000/file-000.mp4").unlink()
    with pytest.raises(VideoError, match=r"file-000\.mp4: no such file"):
        seen(Episode(other, 0))
    info = json.loads((other / "meta/info.json").read_text())
    (other / "meta/info.json").write_text(json.dumps(info | {"codebase_version": "v2.1"}))
    with pytest.raises(DataError, match=r"codebase_version must be v3\.x, got 'v2\.1'"):
        seen(Episode(other, 0))


def test_an_episode_that_the_video_does_not_hold_to_its_end_is_a_warning(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folder = write_dataset(tmp_path / "short", [6, 6], cameras=(TOP,))
    table = folder / "meta/episodes/chunk-000/file-001.parquet"
    rows = pq.read_table(table).to_pylist()
    rows[0][f"videos/{TOP}/to_timestamp"] = 3.2
    pq.write_table(type(pq.read_table(table)).from_pylist(rows), table)
    with pytest.warns(VideoWarning, match=r"the last 2\.00 s are missing"):
        assert seen(Episode(folder, 1))[0] == list(range(6, 12))


def test_a_long_video_is_sought_and_not_decoded_from_its_beginning(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "long", [90, 6], cameras=(TOP,))
    with open_source(Episode(folder, 1)) as frames:
        assert number_of(next(frames).image) == 90
        list(frames)
    assert frames.stats.frames_decoded < 40


def test_the_runtime_reads_it_without_torch(dataset: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from vljepa_edge import Episode\n"
        "from vljepa_edge.video.source import open_source\n"
        f"print(len(list(open_source(Episode({str(dataset)!r}, 1, {TOP!r})))))\n"
        "assert not any(name.startswith('vljepa_edge.training') for name in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "16\n"), ran.stderr
