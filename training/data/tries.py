"""A file from a public address, asked for again where the host or the network fails."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
from collections.abc import Callable

from vljepa_edge.support.assets import AssetError

TRIES = 4
TIMEOUT = 20.0  # seconds without a byte
HEADERS = {"User-Agent": "vljepa-edge"}
_LONGEST_WAIT = 60.0  # seconds between two tries, whatever the host asks for


def tried(url: str, save: Callable[[], str | None], stop: threading.Event, pause: float) -> str | None:
    """Call `save`, which gets `url` by urllib, up to TRIES times. Returns None, or why the file can't be had: what
    `save` returned, or how the host failed.

    pause: seconds before the second try, doubled each time. stop: no other try once it is set. Raises AssetError when
    the host can't be reached or asks to come later, and what else `save` raises.
    """
    host = url.split("/", 3)[2]
    for attempt in range(1, TRIES + 1):
        last = attempt == TRIES
        wait = min(pause * 2 ** (attempt - 1), _LONGEST_WAIT)
        try:
            return save()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 429 and last:
                raise AssetError(host, "asks to come back later (status 429); what is here is kept") from error
            if error.code != 429 and (error.code < 500 or last):
                return f"the host answers with status {error.code} ({error.reason})"
            wait = _asked_for(error.headers.get("Retry-After"), wait)
        except urllib.error.URLError as error:
            if last:
                raise AssetError(host, f"can't be reached ({error.reason}); what is here is kept") from error
        except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
            if last:
                return f"broke off {TRIES} times ({error or type(error).__name__})"
        if stop.wait(wait):
            break
    return "was not fetched, since the fetch was ended"


def _asked_for(header: str | None, otherwise: float) -> float:
    """Seconds of a Retry-After header, at most _LONGEST_WAIT. A date in it is not read."""
    return min(float(header), _LONGEST_WAIT) if header is not None and header.isdecimal() else otherwise
