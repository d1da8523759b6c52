"""Random damage to JSON and to bytes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**30, 0.5, 1e-320, 1e308, float("nan"), float("inf")),
    *("", "a", "../x", "/etc/passwd", "\0", "\ud800", "x" * 5000, [], {}, [[]], [0] * 3000, {"": {}}),
)


def damaged_json(value: Any, rng: random.Random) -> bytes:
    """The value as JSON with a few of its parts replaced, removed, repeated or nested, or with some bytes changed."""
    if rng.random() < 0.2:
        return damaged_bytes(json.dumps(value).encode(), rng)
    changed = json.loads(json.dumps(value))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        _change(changed, rng)
    return json.dumps(changed).encode()


def _change(value: Any, rng: random.Random) -> None:
    """Goes down at random, and changes something where it stops."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = rng.choice(keys)
        if not isinstance(value[key], dict | list) or not value[key] or rng.random() < 0.2:
            break
        value = value[key]
    kind = rng.randrange(7)
    if kind == 0:
        del value[key]
    elif kind == 1:
        other = f"{key}x" if isinstance(value, dict) else rng.randrange(len(value))
        value[other] = copy.deepcopy(value[key])
    elif kind == 2:
        nested: Any = value[key]
        for _ in range(rng.choice((1, 40, 400))):
            nested = {"a": nested} if rng.random() < 0.5 else [nested]
        value[key] = nested
    elif kind == 3:
        value[key] = copy.deepcopy(value[rng.choice(keys)])
    else:
        value[key] = copy.deepcopy(rng.choice(VALUES))


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few flipped, replaced, removed or repeated, or cut short. The beginning is hit more often."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(max(1, len(changed) if rng.random() < 0.7 else min(len(changed), 256)))
        kind = rng.randrange(6)
        if kind == 0:
            changed[at : at + 1] = rng.randbytes(1)
        elif kind == 1:
            changed[at : at + 8] = rng.choice((b"\0", b"\xff", b"\x7f")) * rng.choice((1, 4, 8))
        elif kind == 2:
            del changed[at : at + rng.choice((1, 2, 8, 64))]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.choice((1, 8, 64))]
        elif kind == 4 and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 5 and rng.random() < 0.2:
            del changed[at:]
    return bytes(changed)
