"""What is in packaging/ fits the package: its commands, extras and versions exist, and systemd takes the unit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vljepa_edge.cli import app

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "packaging/vljepa.service"
CONTAINERS = [ROOT / "packaging/Containerfile", ROOT / "packaging/Containerfile.jetpack"]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return read


def options_of(command: str) -> set[str]:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    return set(re.findall(r"--[a-z-]+", shown.output))


def test_wheels_are_built_for_the_pythons_that_the_package_names(project: dict[str, Any]) -> None:
    named = [c.rsplit(" ", 1)[1] for c in project["project"]["classifiers"] if re.search(r"Python :: 3\.\d+$", c)]
    assert project["tool"]["cibuildwheel"]["build"] == [f"cp{version.replace('.', '')}-*" for version in named]
    words = project["tool"]["cibuildwheel"]["test-command"].split()
    assert words[0] == "vljepa" and {word for word in words if word.startswith("--")} <= options_of(words[1])


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.name)
def test_containers_install_and_run_what_there_is(path: Path, project: dict[str, Any]) -> None:
    text = path.read_text()
    extras = {name for found in re.findall(r'"\.\[([a-z,]+)\]"', text) for name in found.split(",")}
    assert extras and extras <= set(project["project"]["optional-dependencies"])
    for file in re.findall(r"-c (\S+)", text):
        assert (ROOT / file).is_file()
    assert "/opt/vljepa/bin/vljepa slim --apply" in text and "--apply" in options_of("slim")
    command = re.findall(r'"([^"]+)"', text.rpartition("\nCMD ")[2])
    assert command[0] == "serve" and {word for word in command if word.startswith("--")} <= options_of("serve")
    users = re.findall(r"^USER (\S+)$", text, re.MULTILINE)
    assert users and users[-1] != "0" and f"--uid {users[-1]}" in text  # not root


def test_the_unit_runs_a_command_that_there_is() -> None:
    text = UNIT.read_text()
    (command,) = re.findall(r"^ExecStart=/opt/vljepa/bin/vljepa (.+)$", text, re.MULTILINE)
    assert command == "serve $VLJEPA_ARGS"
    for option in re.findall(r"--[a-z-]+", text):
        assert option in options_of("serve") | {"--store"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/vljepa/bin/vljepa", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    about = [line for line in (done.stdout + done.stderr).splitlines() if UNIT.name in line]
    assert (done.returncode, about) == (0, []), done.stderr
    rated = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(unit)]  # 0 to 100: exposed
    done = subprocess.run(rated, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-300:]
