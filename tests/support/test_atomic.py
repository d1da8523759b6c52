"""A file that is replaced is the old one or the new one, whatever happens between."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from vljepa_edge.support.atomic import replacing


@pytest.mark.parametrize("before", [None, "old"])
def test_the_new_file_takes_its_place_at_the_end_and_not_before(tmp_path: Path, before: str | None) -> None:
    target = tmp_path / "note.json"
    if before is not None:
        target.write_text(before)
    with replacing(target) as part:
        part.write_text("new")
        assert part.parent == tmp_path and target.exists() == (before is not None)
        assert before is None or target.read_text() == before
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [None, "old"])
def test_what_goes_wrong_leaves_everything_as_it_was(tmp_path: Path, before: str | None, error: BaseException) -> None:
    target = tmp_path / "note.json"
    if before is not None:
        target.write_text(before)
    with pytest.raises(type(error)), replacing(target) as part:
        part.write_text("half of the n")
        raise error
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if before is None else [before])


def test_writers_that_look_at_the_suffix_can_write_there(tmp_path: Path) -> None:
    with replacing(tmp_path / "rows.npy") as part:
        np.save(part, np.arange(3))
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), [0, 1, 2])


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "note.json"
    with replacing(target) as first, replacing(target) as second:
        first.write_text("first")
        second.write_text("second")
    assert target.read_text() in ("first", "second") and list(tmp_path.iterdir()) == [target]


KILLED = """
import os, signal, sys
from pathlib import Path
from vljepa_edge.support.atomic import replacing
with replacing(Path(sys.argv[1])) as part:
    part.write_text("half of the n")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_what_killed_processes_leave_is_one_file_which_the_next_one_uses(tmp_path: Path) -> None:
    target = tmp_path / "note.json"
    for _ in range(2):
        assert subprocess.run([sys.executable, "-c", KILLED, str(target)]).returncode == -signal.SIGKILL
        (left,) = tmp_path.iterdir()
    with replacing(target) as part:
        assert part == left and part.read_text() == ""
        part.write_text("new")
    assert target.read_text() == "new" and list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="locks are POSIX's")
def test_the_part_of_a_process_that_runs_is_let_be(tmp_path: Path) -> None:
    target = tmp_path / "note.json"
    waits = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "print(part, flush=True); sys.stdin.read()")
    words = [sys.executable, "-c", waits, str(target)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        theirs = Path(process.stdout.readline().strip())
        with replacing(target) as part:
            part.write_text("new")
            assert part != theirs and theirs.read_text() == "half of the n"
        assert target.read_text() == "new" and theirs.exists()
        process.stdin.close()
        assert process.wait(20) == 0 and target.read_text() == "half of the n"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="links are POSIX's")
def test_a_link_where_a_part_would_be_is_not_followed(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "note.json"
    victim.write_text("mine")
    (tmp_path / ".part.note.json").symlink_to(victim)
    with replacing(target) as part:
        part.write_text("new")
    assert (victim.read_text(), target.read_text()) == ("mine", "new")


def test_a_link_stays_a_link_and_its_file_is_the_new_one(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    link, dangling = tmp_path / "link.json", tmp_path / "dangling.json"
    (kept / "note.json").write_text("old")
    link.symlink_to(kept / "note.json")
    dangling.symlink_to(kept / "other.json")
    for name in (link, dangling):
        with replacing(name) as part:
            part.write_text("new")
        assert name.is_symlink() and name.read_text() == "new"
    assert sorted(file.name for file in kept.iterdir()) == ["note.json", "other.json"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_replaced_file_keeps_its_mode_and_is_never_seen_by_others(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "note.json"
    target.write_text("old")
    target.chmod(mode)
    with replacing(target) as part:
        part.write_text("new")
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == mode and target.read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe.npy", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with replacing(pipe) as part:
        part.write_bytes(b"new" * 100_000)
    reader.join(10)
    assert read == [b"new" * 100_000]
    assert stat.S_ISFIFO(pipe.stat().st_mode) and list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    with replacing(link) as part:
        part.write_text("new")
    assert link.is_symlink() and stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OSError, match="No space left"), replacing(Path("/dev/full")) as part:
        part.write_text("new")


def test_a_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError), replacing(tmp_path / "folder") as part:
        part.write_text("new")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_the_part_file_of_another_process_that_follows_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = Path.replace

    def overtaken(part: Path, place: Path) -> None:
        replace(part, place)
        part.write_text("of another process")  # whose turn it is as soon as the name is free

    monkeypatch.setattr(Path, "replace", overtaken)
    with replacing(tmp_path / "file") as part:
        part.write_text("ours")
    assert (tmp_path / "file").read_text() == "ours" and part.read_text() == "of another process"
