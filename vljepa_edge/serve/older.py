"""Events that a feed keeps no more, out of a store."""

from __future__ import annotations

import json
import logging

from vljepa_edge.errors import StoreError
from vljepa_edge.serve.feed import Record
from vljepa_edge.store.reader import StoreReader

_PAGE = 500  # events at a time
_log = logging.getLogger(__name__)


class Older:
    """What one client asks of a store. A store that can't be read has nothing, and the log says why."""

    def __init__(self, reader: StoreReader, stream: str | None) -> None:
        self._reader = reader
        self._stream = stream

    def page(self, since: int, before: int) -> list[Record]:
        """The next events of its stream with a number above `since` and below `before`, oldest first."""
        try:
            found = self._reader.events(since, before=before, stream=self._stream, limit=_PAGE)
        except StoreError as error:
            _log.warning("older events can't be told: %s", error)
            return []
        return [
            Record("event", told["id"], told["stream"], json.dumps(told, allow_nan=False, separators=(",", ":")))
            for told in found
        ]

    def count(self, since: int, before: int) -> int:
        """How many events of all streams there are between these numbers."""
        try:
            return self._reader.count(since, before)
        except StoreError:
            return 0
