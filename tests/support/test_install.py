"""The commands that repair an installation name this Python and where the package came from."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys
from pathlib import Path

import pytest

from vljepa_edge.support.install import install_extra, install_torch, pip_install, reinstall

PIP = [sys.executable, "-m", "pip", "install"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (
            {"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}},
            ["-e", "/home/me/my clone[onnxruntime]"],
        ),
        ({"url": "file:///home/me/clone", "dir_info": {}}, ["/home/me/clone[onnxruntime]"]),
        ({"url": "https://host/v.whl", "archive_info": {}}, ["vljepa-edge[onnxruntime] @ https://host/v.whl"]),
        (None, ["vljepa-edge[onnxruntime]"]),
    ],
)
def test_an_extra_is_added_from_where_the_package_came(
    record: object, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if record is None else json.dumps(record)

    monkeypatch.setattr("vljepa_edge.support.install.distribution", lambda name: Installed())
    assert shlex.split(install_extra("onnxruntime")) == [*PIP, *said]


def test_a_package_that_is_not_installed_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("vljepa_edge.support.install.distribution", nowhere)
    assert shlex.split(reinstall()) == [*PIP, "--force-reinstall", "--no-deps", "vljepa-edge"]


def test_a_requirement_is_quoted_for_the_shell() -> None:
    assert shlex.split(pip_install("cuda-bindings<13")) == [*PIP, "cuda-bindings<13"]


CPU = ["--extra-index-url", "https://download.pytorch.org/whl/cpu"]


@pytest.mark.parametrize(("platform", "index"), [("linux", CPU), ("darwin", []), ("win32", [])])
def test_torch_is_the_one_for_the_cpu_at_the_pinned_version(
    platform: str, index: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PyPI's torch for Linux brings gigabytes of CUDA."""

    class Installed:
        def read_text(self, name: str) -> str:
            return json.dumps({"url": tmp_path.as_uri(), "dir_info": {}})

    monkeypatch.setattr("vljepa_edge.support.install.distribution", lambda name: Installed())
    monkeypatch.setattr("sys.platform", platform)
    assert shlex.split(install_torch("onnx")) == [*PIP, "torch", "onnx", *index]
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "any-python.txt").touch()
    pins = ["-c", str(tmp_path / "requirements" / "any-python.txt")]
    assert shlex.split(install_torch("onnx")) == [*PIP, "torch", "onnx", *pins, *index]
    for extra in ("train", "export"):
        assert shlex.split(install_extra(extra)) == [*PIP, f"{tmp_path}[{extra}]", *pins, *index]
    assert shlex.split(install_extra("kernels")) == [*PIP, f"{tmp_path}[kernels]", *pins]
    assert shlex.split(install_extra("tensorrt")) == [*PIP, f"{tmp_path}[tensorrt]"]
