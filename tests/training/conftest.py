"""Training is tried through the command line too, with the fixture that the command line's own tests have."""

from collections.abc import Iterator

import pytest
import torch

from tests.cli.conftest import vljepa
from tests.training.host import Host, serving

__all__ = ["vljepa"]


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as served:
        yield served


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For all runs of a file that must end with the same bits: two threads sum in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
