"""Help is quick, complete, and shows examples."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.cli.conftest import Vljepa

COMMANDS = (
    *(("stream",), ("classify",), ("ask",), ("search",), ("embed",), ("demo",), ("bench",), ("export",), ("build",)),
    *(("doctor",), ("slim",), ("train",)),
    *(("models", "list"), ("models", "verify"), ("eval", "card"), ("weights", "convert")),
    *(("kernels", "tune"), ("kernels", "build"), ("data", "check"), ("data", "pack"), ("data", "fetch")),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_shows_examples_and_json_in_its_help(vljepa: Vljepa, command: tuple[str, ...]) -> None:
    run = vljepa(*command, "--help")
    assert run.status == 0
    assert "Examples:" in run.out
    assert f"vljepa {' '.join(command)}" in run.out
    assert "--json" in run.out
    assert "--debug" in run.out


def test_top_level_help_names_every_command(vljepa: Vljepa) -> None:
    for run in (vljepa(), vljepa("--help"), vljepa("-h")):
        assert run.status == 0
        assert all(command[0] in run.out for command in COMMANDS)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, vljepa_edge.cli as cli\n"
        "try: cli.app(['--help'], prog_name='vljepa')\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'openvino', 'av', 'pydantic', 'tokenizers', 'torch'} & set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_is_quick() -> None:
    def processor_seconds() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    begin = processor_seconds()
    subprocess.run([sys.executable, "-m", "vljepa_edge", "--help"], check=True, capture_output=True)
    assert processor_seconds() - begin < 1.0


def test_version(vljepa: Vljepa) -> None:
    run = vljepa("--version")
    assert run.status == 0
    assert run.out.startswith("vljepa ")
