"""The measurement: tuned on some streams, reported on others, at each level of noise, on both clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any, NamedTuple

from vljepa_edge.evaluation.selective.clocks import CLOCKS, Clock
from vljepa_edge.evaluation.selective.consensus import Cider
from vljepa_edge.evaluation.selective.curve import Point, cider_at, rate_for
from vljepa_edge.evaluation.selective.embedded import embed
from vljepa_edge.evaluation.selective.gate import mean_saves
from vljepa_edge.evaluation.selective.items import MakeItems
from vljepa_edge.evaluation.selective.streams import Stream, strung
from vljepa_edge.evaluation.selective.sweep import Curves, Key, as_json, pooled, sweep
from vljepa_edge.evaluation.selective.ways import (
    BASE,
    CEILING,
    HEADLINE,
    POLICIES,
    RATES,
    Way,
    described,
    event_ways,
    fixed_ways,
    no_ceiling,
    policy_way,
    reuse_ways,
    row,
)
from vljepa_edge.evaluation.selective.words import Words

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.perception.text import Query

DEFAULT_RADIUS, RADII_TRIED = 0.1, (0.05, 0.1, 0.15, 0.2)
"""Of the cache of texts beside a policy."""
TUNED_ON = 3
"""Streams for tuning, of each kind, at the middle level of noise: what is best on one is often no better elsewhere."""
PAPER = 2.85
"""Uniform decoding at 1 Hz against offline Ward at 0.35 Hz on EgoExo4D (section 4.6)."""
Say = Callable[[str], None]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Groups:
    """The streams of a measurement. tuning: may be empty. reported: by kind and level of noise, one a seed. unread:
    the names of those that are left out, as they can't be read."""

    tuning: tuple[Stream, ...]
    reported: Mapping[tuple[str, str], tuple[Stream, ...]]
    unread: tuple[str, ...] = ()


def made(kinds: Mapping[str, MakeItems], fps: float, *, seeds: int, noises: Sequence[str]) -> Groups:
    """Streams strung together of each kind of items, at the levels of noise. Raises what `strung` raises."""
    tuning = tuple(
        strung(kind, make, seed, "middle", fps, tuning=True)
        for kind, make in kinds.items()
        for seed in range(1, TUNED_ON + 1)
    )
    reported = {
        (kind, noise): tuple(strung(kind, make, seed, noise, fps) for seed in range(1, seeds + 1))
        for kind, make in kinds.items()
        for noise in noises
    }
    return Groups(tuning, reported)


def measure(model: Model, streams: Groups, say: Say = lambda line: None, *, still: float = 0.0) -> Figures:
    """All figures, ready for JSON. say: told what is being done. still: each policy also with the motion gate, see
    `embed`; settings are chosen without it. What was embedded and decoded before comes from the cache, so a run that
    was stopped goes on where it was. Raises what embedding and decoding raise."""
    query = model.text.query(model.manifest.text.default_query)
    with Words(model) as words:

        def curves_of(stream: Stream, ways: Sequence[Way], cider: Cider) -> Curves:
            return sweep(stream, embed(model, stream), ways, words.read, cider)

        tuned = _tune(streams.tuning, query, curves_of, say)
        policies = [
            policy_way(name, clock, settings.variant, query, radius)
            for (name, clock), settings in tuned.policies.items()
            for radius in (None, settings.radius)
        ]
        reported = [stream for own in _once(streams).values() for stream in own]
        lacking = no_ceiling(max(len(embed(model, stream).rows) for own in streams.reported.values() for stream in own))
        ways = fixed_ways(ceiling=not lacking) + reuse_ways() + policies
        gated = [replace(way, name=f"{way.name} + gate") for way in policies]
        cider = Cider(annotation.text for stream in reported for annotation in stream.annotations)

        def reported_curves(stream: Stream, noise: str) -> Curves:
            say(f"{stream.name}, noise {noise}")
            found = curves_of(stream, [*ways, *event_ways(stream.starts)], cider)
            if not still:
                return found
            return found.beside(sweep(stream, embed(model, stream, still), gated, words.read, cider))

        tables = [
            _table(kind, noise, [reported_curves(stream, noise) for stream in own], tuned.before)
            for (kind, noise), own in streams.reported.items()
        ]
    gate: Figures = {}
    if still:
        every = [stream for own in streams.reported.values() for stream in own]
        gate["gate_saves"] = mean_saves(model, every, still)
    return {
        "model": f"{model.manifest.name} {model.manifest.version}",
        "engine": model.arithmetic,
        "query": query.text,
        "paper": PAPER,
        "still": still,
        "hops_idle": mean(embed(model, stream, still).idle for own in streams.reported.values() for stream in own),
        **gate,
        "streams": {
            kind: {"count": len(own), "annotations": sum(len(stream.annotations) for stream in own)}
            for kind, own in _once(streams).items()
        },
        "unread": list(streams.unread),
        "missing": {CEILING: lacking} if lacking else {},
        "tuned": {
            clock: {key: tuned.described(own, key) for own, key in tuned.before if own == clock} for clock in CLOCKS
        },
        "tables": tables,
    }


def _once(streams: Groups) -> dict[str, tuple[Stream, ...]]:
    """The streams of each kind at one level of noise: the annotations of all levels are the same."""
    return {kind: own for (kind, _), own in streams.reported.items()}


class Settings(NamedTuple):
    """Of a policy on a clock. radius: of the cache of texts beside it."""

    variant: str
    radius: float = DEFAULT_RADIUS


class Tuned(NamedTuple):
    """What was chosen on the streams for tuning. before: by causal row the threshold, or the radius of the cache, that
    reaches the CIDEr of uniform decoding at 1 Hz with the fewest decodes; none of rows that don't reach it."""

    policies: dict[tuple[str, Clock], Settings]
    before: dict[Key, float]

    def described(self, clock: Clock, key: str) -> str:
        """The settings of a row of `before`: a policy as parse_policy reads it, the radius of the cache, or both."""
        name, setting = key.partition(", ")[0], self.before[clock, key]
        policy = name.removesuffix(" + reuse")
        if policy not in POLICIES:
            return f"reuse={setting:g}"
        chosen = self.policies[policy, clock]
        said = described(policy, chosen.variant, setting)
        return said if policy == name else f"{said} reuse={chosen.radius:g}"


def _tune(tuning: Sequence[Stream], query: Query, curves_of: Callable[..., Curves], say: Say) -> Tuned:
    """The settings that save most on the streams for tuning; the defaults where there are none."""
    if not tuning:
        settings = {(name, clock): Settings(POLICIES[name].variants[0]) for name in POLICIES for clock in CLOCKS}
        return Tuned(settings, {})
    cider = Cider(said.text for stream in tuning for said in stream.annotations)
    fixed = [curves_of(stream, [*fixed_ways(ceiling=False), *reuse_ways()], cider) for stream in tuning]
    alone = pooled(fixed)
    before = {(way.clock, way.key): _threshold(alone, way) for way in reuse_ways()}

    def saved(name: str, clock: Clock, variant: str, radius: float | None = None) -> tuple[float, float | None]:
        """How much, and at which threshold."""
        own = policy_way(name, clock, variant, query, radius)
        curves = pooled(
            [known.beside(curves_of(stream, [own], cider)) for known, stream in zip(fixed, tuning, strict=True)]
        )
        saving = _saving(curves, clock, own.name, own.pooled) or 0.0
        say(f"tuning {name}:{variant}, reuse={radius or 0:g}, on the {clock} clock: saves {saving:.2f}")
        return saving, _threshold(curves, own)

    found = dict[tuple[str, Clock], Settings]()
    for name, clock in product(POLICIES, CLOCKS):
        tried = {variant: saved(name, clock, variant) for variant in POLICIES[name].variants}
        variant = max(tried, key=lambda variant: tried[variant][0])
        reuse = {radius: saved(name, clock, variant, radius) for radius in RADII_TRIED}
        radius = max(reuse, key=lambda radius: reuse[radius][0])
        found[name, clock] = Settings(variant, radius)
        before[clock, row(name, HEADLINE[clock])] = tried[variant][1]
        before[clock, row(f"{name} + reuse", HEADLINE[clock])] = reuse[radius][1]
    return Tuned(found, {key: setting for key, setting in before.items() if setting is not None})


def _saving(curves: Curves, clock: Clock, name: str, is_mean: bool, *, strict: bool = False) -> float | None:
    """How many times fewer decodes reach the CIDEr of uniform decoding at 1 Hz: like with like or, to be strict, of
    single hops or means, whichever are better."""
    target = curves.target(clock, mean=is_mean)
    if strict and target is not None:
        target = max(target, curves.target(clock, mean=not is_mean) or 0.0)
    rate = None if target is None else rate_for(curves.points[clock, row(name, is_mean)], target)
    return None if rate is None else BASE / rate


def _threshold(curves: Curves, way: Way) -> float | None:
    """The setting of the least rate that reaches the target."""
    target = curves.target(way.clock, mean=way.pooled)
    reaching = [point for point in curves.points[way.clock, way.key] if target is not None and point.cider >= target]
    return min(reaching, key=lambda point: point.rate).setting if reaching else None


def _table(kind: str, noise: str, own: Sequence[Curves], before: Mapping[Key, float]) -> Figures:
    together = pooled(own)
    rows = []
    for (clock, key), points in together.points.items():
        name, _, pooling = key.partition(", ")
        is_mean = pooling == "mean"
        each = [_saving(curves, clock, name, is_mean) for curves in own]
        known = [saving for saving in each if saving is not None]
        figures: Figures = {
            "clock": clock, "way": name, "decodes": pooling,
            "saving": _saving(together, clock, name, is_mean),
            "saving_strict": _saving(together, clock, name, is_mean, strict=True),
            "saving_mean": mean(known) if known else None,
            "saving_spread": stdev(known) if len(known) > 1 else None,
            "seeds_reached": len(known), "seeds": len(own), "by_seed": each,
            "best_cider": max(point.cider for point in points),
            "curve": as_json(points),
        }  # fmt: skip
        if (clock, key) in before:
            uniform = together.points[clock, row("uniform", is_mean)]
            figures["set_before"] = _operating(points, uniform, before[clock, key])
        rows.append(figures)
    targets = {clock: {p: together.target(clock, mean=p == "mean") for p in ("exact", "mean")} for clock in CLOCKS}
    return {"kind": kind, "noise": noise, "uniform_1hz": targets, "rows": rows}


def _operating(points: Sequence[Point], uniform: Sequence[Point], threshold: float) -> Figures:
    """What the threshold that tuning chose gives here, and what uniform decoding needs for the same CIDEr."""
    point = next(point for point in points if point.setting == threshold)
    needed = rate_for(uniform, point.cider)
    return {
        "threshold": threshold, "rate": point.rate, "cider": point.cider, "delay": point.delay, "found": point.found,
        "uniform_at_this_rate": cider_at(uniform, min(max(point.rate, min(RATES)), max(RATES))),
        "saving": None if needed is None else needed / point.rate,
    }  # fmt: skip
