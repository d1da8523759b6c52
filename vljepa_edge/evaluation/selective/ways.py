"""The rows of the table: ways to choose what is decoded, each over its settings, on a clock where it may stand."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vljepa_edge.evaluation.selective.clocks import CLOCKS, Clock, Decode
from vljepa_edge.evaluation.selective.decodes import closed, events, kernel_cpd, opened, reused, uniform, ward
from vljepa_edge.streaming.policy import parse_policy
from vljepa_edge.support.install import install_extra

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.embedded import Embedded
    from vljepa_edge.perception.text import Query

RATES = (2.0, 1.4, 1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06, 0.03, 0.01)
"""Decodes a second that are asked for: from 2.0 to 0.01, as in Fig. 4 of the paper."""
RADII = (0.0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8)
"""Cosine distances within which a text is used again."""
BASE = 1.0  # Hz, the rate of uniform decoding whose CIDEr is to be reached
CEILING, CEILING_UP_TO = "kernel-cpd", 4096
"""The exact segmentation. Of more hops, 17 minutes of the default's, it takes hours and is left out."""
_CEILING = tuple(rate for rate in RATES if rate <= BASE)  # an exact search for more segments takes minutes


@dataclass(frozen=True)
class Swept:
    """A causal policy as it is swept: its `key` over `values`. variants: its other settings, of which one is chosen on
    the streams for tuning; the first is taken where there are none."""

    policy: str
    key: str
    values: tuple[float, ...]
    variants: tuple[str, ...]


def _between(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(f"{value:.4g}") for value in np.geomspace(low, high, count))


_COSTS = _between(0.004, 2.5, 14)
POLICIES = {
    "running-ward": Swept(
        "running-ward", "threshold", _COSTS,
        (
            "min_duration=0.5", "min_duration=0.25", "min_duration=0", "min_duration=0.5,smooth=2",
            "min_duration=0.25,max_duration=4",
        ),
    ),
    "hysteresis": Swept(
        "running-ward", "threshold", _COSTS,
        ("back=0.5,min_duration=0.5", "back=0.5,min_duration=0.25", "back=0.25,min_duration=0.25"),
    ),
    "budget": Swept(
        "budget", "per_minute", _between(1.5, 120, 12),
        ("least=0.1", "least=0.02,min_duration=0.25", "least=0.02,min_duration=0", "least=0.02,min_duration=0,burst=9"),
    ),
    "local-variance": Swept(
        "local-variance", "threshold", _between(0.003, 0.6, 14),
        ("window=8,smooth=2", "window=4,smooth=1", "window=4,smooth=2", "window=3,smooth=1,min_duration=0.25"),
    ),
}  # fmt: skip
"""The causal rows by name. Hysteresis is running-ward with a lower threshold to come back."""


HEADLINE: dict[Clock, bool] = {"log": True, "live": False}
"""Whether a policy decodes means: a segment's text is about what is over when it comes, so on the live clock the newest
embedding is decoded when a segment opens."""


@dataclass(frozen=True)
class Way:
    """A row. pooled: decodes means over segments, and is compared with uniform decoding of means; else the embedding of
    one hop. settings: rates or thresholds. decode: the decodes of a stream for each of them."""

    name: str
    clock: Clock
    pooled: bool
    settings: tuple[float, ...]
    decode: Callable[[Embedded], list[list[Decode]]]

    @property
    def key(self) -> str:
        return row(self.name, self.pooled)


def row(name: str, mean: bool) -> str:
    """What a row is called."""
    return f"{name}, {'mean' if mean else 'exact'}"


def no_ceiling(hops: int) -> str:
    """Why the exact segmentation of so many hops is left out; "" where it is not."""
    if importlib.util.find_spec("ruptures") is None:
        return f"it needs ruptures; to get it, run: {install_extra('eval')}"
    return "" if hops <= CEILING_UP_TO else f"it takes hours of more than {CEILING_UP_TO} hops, and a stream has {hops}"


def fixed_ways(*, ceiling: bool) -> list[Way]:
    """What needs no tuning. ceiling: with the exact segmentation (see no_ceiling)."""

    def each(
        decode: Callable[..., list[Decode]], mean: bool, stream: Embedded
    ) -> list[list[Decode]]:  # fmt: skip
        return [decode(stream, rate, mean=mean) for rate in RATES]

    found = [Way("uniform", "log", mean, RATES, partial(each, uniform, mean)) for mean in (False, True)]
    found += [Way("ward", "log", mean, RATES, partial(each, ward, mean)) for mean in (False, True)]
    if ceiling:
        found.append(Way(CEILING, "log", True, _CEILING, partial(kernel_cpd, rates=_CEILING)))
    return found + [Way("uniform", "live", mean, RATES, partial(each, uniform, mean)) for mean in (False, True)]


def reuse_ways() -> list[Way]:
    """Uniform decoding with the cache of texts, on both clocks, over the cache's radius: it decodes what is new."""

    def each(rate: float, mean: bool, stream: Embedded) -> list[list[Decode]]:
        decodes = uniform(stream, rate, mean=mean)
        return [reused(decodes, radius, mean=mean) for radius in RADII]

    return [
        Way(f"uniform {rate:g} Hz + reuse", clock, mean, RADII, partial(each, rate, mean))
        for clock in CLOCKS
        for rate in (BASE, 2 * BASE)
        for mean in (False, True)
    ]


def event_ways(starts: Sequence[float]) -> list[Way]:
    """Segments cut where events begin, where somebody knows: what perfect cuts would give."""

    def once(mean: bool, stream: Embedded) -> list[list[Decode]]:
        return [events(stream, starts, mean=mean)]

    return [Way("events", "log", mean, (0.0,), partial(once, mean)) for mean in (False, True) if starts]


def policy_way(name: str, clock: Clock, variant: str, query: Query, radius: float | None = None) -> Way:
    """A causal policy on a clock: the means of segments when they close, on the live clock what is seen when they open.
    radius: of the cache of texts, None without."""
    swept, is_mean = POLICIES[name], HEADLINE[clock]
    policies = [parse_policy(described(name, variant, value)) for value in swept.values]

    def decode(stream: Embedded) -> list[list[Decode]]:
        found = [(closed if is_mean else opened)(stream, policy, query) for policy in policies]
        return found if radius is None else [reused(decodes, radius, mean=is_mean) for decodes in found]

    return Way(name if radius is None else f"{name} + reuse", clock, is_mean, swept.values, decode)


def described(name: str, variant: str, threshold: float) -> str:
    """A policy as parse_policy reads it."""
    swept = POLICIES[name]
    return f"{swept.policy}:{swept.key}={threshold!r},{variant}"
