"""The figures as a table for people, in Markdown that reads as plain text too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_HEAD = ("way", "decodes", "saving", "strict", "by seed", "seeds", "best CIDEr")
_SET_BEFORE = ("set before: Hz", "CIDEr", "saving", "delay", "found")


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Every table, one line after another."""
    yield f"{figures['model']} on {figures['engine']}, asked {figures['query']!r}. The paper: {figures['paper']:g}x."
    if figures["still"]:
        saves = figures["gate_saves"]
        yield f"The motion gate, {figures['still']:g} levels: {figures['hops_idle']:.1%} of the hops cost nothing."
        yield (
            f"Of the first minute it saves {saves['graph_runs']:.1%} of the runs of graphs and "
            f"{saves['processor_time']:.1%} of the processor time."
        )
        energy = ", ".join(f"{rail} {share:.1%}" for rail, share in saves["energy"].items())
        if energy or saves["energy_unread"]:
            yield f"Of the energy that the machine takes meanwhile it saves: {energy or saves['energy_unread']}."
    if unread := figures["unread"]:
        yield f"Left out, as they can't be read: {len(unread)} videos: {', '.join(unread)}."
    for way, why in figures["missing"].items():
        yield f"No row {way}: {why}."
    for table in figures["tables"]:
        for clock, targets in table["uniform_1hz"].items():
            yield ""
            known = (f"{pooling} {_number(value, '.1f', 'as good as chance')}" for pooling, value in targets.items())
            yield f"{table['kind']}, noise {table['noise']}, {clock} clock. Uniform, 1 Hz: {', '.join(known)}"
            yield ""
            yield f"| {' | '.join(_HEAD + _SET_BEFORE)} |"
            yield f"|---|---|{'---:|' * (len(_HEAD + _SET_BEFORE) - 2)}"
            for row in table["rows"]:
                if row["clock"] == clock:
                    yield f"| {' | '.join(_cells(row))} |"


def _cells(row: Mapping[str, Any]) -> list[str]:
    before = row.get("set_before", {})
    spread = row["saving_spread"]
    return [
        row["way"],
        row["decodes"],
        _number(row["saving"], ".2f", "not reached"),
        _number(row["saving_strict"], ".2f", "not reached"),
        _number(row["saving_mean"], ".2f", "") + (f" ± {spread:.2f}" if spread is not None else ""),
        f"{row['seeds_reached']} of {row['seeds']}",
        _number(row["best_cider"], ".1f", ""),
        _number(before.get("rate"), ".2f", ""),
        _number(before.get("cider"), ".1f", ""),
        _number(before.get("saving"), ".2f", ""),
        _number(before.get("delay"), ".2f", ""),
        _number(before.get("found"), ".0%", ""),
    ]


def _number(value: float | None, form: str, otherwise: str) -> str:
    return otherwise if value is None else format(value, form)
