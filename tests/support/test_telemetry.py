"""Nothing is sent, and nothing is written to the home folder but compiled graphs, whatever imports OpenVINO or ONNX
Runtime."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUIET = "vljepa_edge/support/quiet_openvino.py"

LOADED = "\nimport sys; print('openvino_telemetry' in sys.modules)"
PATHS = {
    "load": "import vljepa_edge; vljepa_edge.load({toy!r}, threads=1)",
    "onnxruntime": "import vljepa_edge; vljepa_edge.load({toy!r}, engine='onnxruntime', threads=1)",
    "the command line": "import sys; sys.argv = ['vljepa', 'embed', '--text', 'a', '--model', {toy!r}]\n"
    "from vljepa_edge.cli import main\ntry: main()\nexcept SystemExit: pass",
    "benchmarks": "import benchmarks.limits",
    "export and training": "import vljepa_edge.export.int8.convert, vljepa_edge.export.int8.onnx_run\n"
    "from vljepa_edge.training.precision import bf16_is_native; bf16_is_native()",
}


class Network:
    """A proxy that refuses what it is asked for. Whatever honours the usual variables comes here, from C++ too."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    def environment(self) -> dict[str, str]:
        address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        return {
            name: address for kind in ("http", "https", "all") for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY")
        }

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                with self._server.accept()[0] as connection:
                    self.asked.append(connection.recv(200))


@pytest.fixture
def network() -> Iterator[Network]:
    found = Network()
    yield found
    found.close()


def run(program: str, home: Path, network: Network, **more: str) -> str:
    """Run a program with this home folder, as outside of CI, where OpenVINO's telemetry is silent."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT)} | network.environment() | more
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_written_or_sent(path: str, toy: Path, tmp_path: Path, network: Network) -> None:
    said = run(PATHS[path].format(toy=str(toy)) + LOADED, tmp_path, network, VLJEPA_COMPILED="off")
    assert said.splitlines()[-1] == "False"
    assert [str(file) for file in tmp_path.rglob("*")] == []
    assert network.asked == []


def test_compiled_graphs_are_all_that_is_written_to_the_home_folder(
    toy: Path, tmp_path: Path, network: Network
) -> None:
    run(PATHS["load"].format(toy=str(toy)), tmp_path, network)
    written = {file for file in tmp_path.rglob("*") if file.is_file()}
    assert written and {file.suffix for file in written} == {".compiled"}
    assert all(file.is_relative_to(tmp_path / ".cache/vljepa-edge/compiled") for file in written)
    assert network.asked == []


def test_the_recorder_sees_what_is_sent(tmp_path: Path, network: Network) -> None:
    run("import urllib.request as u\ntry: u.urlopen('https://example.com')\nexcept OSError: pass", tmp_path, network)
    assert network.asked[0].startswith(b"CONNECT example.com:443")


def test_one_file_alone_imports_openvino() -> None:
    imported = re.compile(r"^\s*(import|from) openvino\b|import_module\(.openvino\b", re.MULTILINE)
    packages = ("vljepa_edge", "training", "kernels", "benchmarks", "tests", "examples", "docs")
    files = [file for package in packages for file in (ROOT / package).rglob("*.py")]
    found = [file for file in files if imported.search(file.read_text(encoding="utf-8"))]
    assert [file.relative_to(ROOT).as_posix() for file in found] == [QUIET]


def test_a_program_can_still_import_the_telemetry_itself() -> None:
    program = (
        "import vljepa_edge.support.quiet_openvino, importlib.util as u, sys\nassert u.find_spec('openvino_telemetry')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_conversion_tools_are_imported_where_a_program_asks_for_them_and_not_before() -> None:
    program = (
        "import sys, vljepa_edge.support.quiet_openvino as quiet\nassert 'openvino.tools.ovc' not in sys.modules\n"
        "from openvino import convert_model\nfrom openvino.tools import ovc\n"
        "assert convert_model is ovc.convert_model\n"
        "assert 'openvino_telemetry' not in sys.modules and not hasattr(quiet.openvino, 'no_such_name')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
