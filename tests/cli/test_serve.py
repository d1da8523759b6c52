"""`vljepa serve`: what it refuses before anything is loaded, and a real run until a signal ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa, write_video
from vljepa_edge.cli.serve import read_source

pytestmark = pytest.mark.alone

pytest.importorskip("starlette")

TOKEN = "a-token-that-nobody-guesses"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("door=camera:0", ("door", "camera:0")),
        ("clip.mp4", (None, "clip.mp4")),
        ("front-door_2=rtsp://cam/x?a=b", ("front-door_2", "rtsp://cam/x?a=b")),
        ("rtsp://cam/x?channel=1", (None, "rtsp://cam/x?channel=1")),
        ("./a=b.mp4", (None, "./a=b.mp4")),
        ("=clip.mp4", (None, "=clip.mp4")),
        ("two words=clip.mp4", (None, "two words=clip.mp4")),
    ],
)
def test_a_name_stands_before_a_source(text: str, expected: tuple[str | None, str]) -> None:
    assert read_source(text) == expected


def test_a_file_whose_name_has_an_equals_sign_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("take=2.mp4").touch()
    assert read_source("take=2.mp4") == (None, "take=2.mp4")
    assert read_source("take=3.mp4") == ("take", "3.mp4")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--host", "0.0.0.0"), "must have a token"),
        (("--host", "0.0.0.0", "--token", "short"), "at least 16"),
        (("--policy", "nosuch"), "policy must be one of"),
        (("--hold", "1"), "--hold is for --watch"),
        (("--heads", "nosuch"), "'nosuch' does not exist"),
        (("--mqtt", "http://broker"), "an MQTT broker must be mqtt://"),
        (("--mqtt", "mqtt://broker", "--mqtt-discovery", "a/+"), "the prefix of Home Assistant's discovery must be"),
    ],
)
def test_what_can_not_be_served_is_refused_before_a_model_is_loaded(
    vljepa: Vljepa, words: tuple[str, ...], said: str
) -> None:
    run = vljepa("serve", "camera:0", "--model", "nosuch.vljepa", *words)
    assert run.status == 2 and said in run.err


def test_without_the_extra_it_says_how_to_get_it(vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vljepa_edge.support.install.importlib.util.find_spec", lambda name: None)
    run = vljepa("serve", "clip.mp4")
    assert run.status == 1 and "starlette" in run.err and "[serve]" in run.err


def test_a_source_that_is_not_there_ends_it(vljepa: Vljepa, toy: Path) -> None:
    run = vljepa("serve", "nosuch.mp4", "--model", str(toy), "--port", "0")
    assert run.status == 2 and "nosuch.mp4" in run.err


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_serves_until_a_signal_comes(toy: Path, tmp_path: Path, number: int, status: int) -> None:
    clip = write_video(tmp_path / "clip.mp4", 30)
    process = subprocess.Popen(
        [sys.executable, "-m", "vljepa_edge", "serve", f"door={clip}", "--model", str(toy), "--port", "0"],
        env=os.environ | {"VLJEPA_TOKEN": TOKEN}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.fullmatch(r"serving door on (http://127\.0\.0\.1:\d+/)\n", line)
        assert address is not None, line
        request = urllib.request.Request(f"{address[1]}streams", headers={"authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            (stream,) = json.load(answer)["streams"]
        assert stream["name"] == "door" and stream["state"] in ("opening", "running")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, out, err) == (status, "", "")
