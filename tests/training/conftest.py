"""Training is tried through the command line too, with the fixture that the command line's own tests have."""

from tests.cli.conftest import vljepa

__all__ = ["vljepa"]
