"""Where a broker is and who asks, read from an address such as mqtt://robot@broker.local/home."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from vljepa_edge.errors import InputError, redacted

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_DEFAULT_PREFIX = "vljepa"
_MOST_TOPIC = 200  # characters; MQTT's own limit is 65,535 bytes for a topic with what comes after the prefix


@dataclass(frozen=True)
class Broker:
    """A broker, how to reach it, and where topics begin. Its text is fit for messages: it holds no password."""

    host: str
    port: int
    encrypted: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    prefix: str = _DEFAULT_PREFIX

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.encrypted else 'mqtt'}://{host}:{self.port}"


def read_broker(address: str, password: str | None = None) -> Broker:
    """A broker out of mqtt://USER:PASSWORD@HOST:PORT/PREFIX, of which all but the host may be left out; mqtts:// is
    over TLS. `password` goes before that of the address.

    Raises InputError for what is no such address; the message holds no password.
    """
    shown = redacted(address)
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise InputError(f"an MQTT broker must be mqtt://HOST:PORT/PREFIX, got {shown!r}") from None
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or port == 0:
        raise InputError(f"an MQTT broker must be mqtt:// or mqtts://HOST:PORT/PREFIX, got {shown!r}")
    user, written = _unquoted(parts.username), _unquoted(parts.password)
    given = password or written
    if given and not user:
        raise InputError(f"a password for an MQTT broker needs a user: mqtt://USER@HOST, got {shown!r}")
    path = unquote(parts.path).strip("/")
    prefix = read_topic(path, "the prefix of topics") if path else _DEFAULT_PREFIX
    port = port or _PORTS[parts.scheme]
    return Broker(parts.hostname, port, parts.scheme == "mqtts", user or None, given or None, prefix)


def read_topic(text: str, what: str) -> str:
    """Levels of a topic that can be published to. Raises InputError."""
    levels = text.split("/")
    if not all(levels) or text.startswith("$") or len(text) > _MOST_TOPIC or any(not _allowed(sign) for sign in text):
        raise InputError(
            f"{what} must be 1 to {_MOST_TOPIC} characters of levels between /, without +, #, a leading $ and "
            f"control characters, got {text[:60]!r}"
        )
    return text


def _allowed(sign: str) -> bool:
    return sign not in "+#" and sign.isprintable()


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)
