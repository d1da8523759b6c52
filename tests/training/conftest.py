"""Training is tried through the command line too, with the fixture that the command line's own tests have."""

from collections.abc import Iterator

import pytest

from tests.cli.conftest import vljepa
from tests.training.host import Host, serving

__all__ = ["vljepa"]


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as served:
        yield served
