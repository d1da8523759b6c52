"""The commands that repair an installation name this Python and where the package came from."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import sys

import pytest

from vljepa_edge.support.install import install_extra, pip_install, reinstall

PIP = [sys.executable, "-m", "pip", "install"]


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"url": "file:///home/me/my%20clone", "dir_info": {"editable": True}}, ["-e", "/home/me/my clone[train]"]),
        ({"url": "file:///home/me/clone", "dir_info": {}}, ["/home/me/clone[train]"]),
        ({"url": "https://host/v.whl", "archive_info": {}}, ["vljepa-edge[train] @ https://host/v.whl"]),
        (None, ["vljepa-edge[train]"]),
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
    assert shlex.split(install_extra("train")) == [*PIP, *said]


def test_a_package_that_is_not_installed_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("vljepa_edge.support.install.distribution", nowhere)
    assert shlex.split(reinstall()) == [*PIP, "--force-reinstall", "--no-deps", "vljepa-edge"]


def test_a_requirement_is_quoted_for_the_shell() -> None:
    assert shlex.split(pip_install("cuda-bindings<13")) == [*PIP, "cuda-bindings<13"]
