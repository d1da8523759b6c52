"""The curves as a picture, as in Fig. 4 of the paper: CIDEr over the rate of decoding, for each level of noise."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

from vljepa_edge.evaluation.picture import save_picture

_COLOURS = (
    *("tab:red", "tab:blue", "tab:gray", "tab:green", "tab:orange"),
    *("tab:purple", "tab:brown", "tab:pink", "tab:olive", "tab:cyan"),
)
_SHOWN = {"log": "mean", "live": "exact"}  # beside both rows of uniform decoding


def _base(way: str) -> str:
    """A way without its cache of texts."""
    return way.partition(" + ")[0]


def draw(figures: Mapping[str, Any], file: Path) -> None:
    """One picture of every table: a row for each kind of stream and clock. Needs matplotlib, of the train extra."""
    from matplotlib.figure import Figure

    tables = figures["tables"]
    kinds = list(dict.fromkeys(table["kind"] for table in tables))
    noises = list(dict.fromkeys(table["noise"] for table in tables))
    clocks = ("log", "live")
    panes = [(kind, clock) for kind in kinds for clock in clocks]
    canvas = Figure(figsize=(4.2 * len(noises), 3.2 * len(panes)), layout="constrained")
    axes = canvas.subplots(len(panes), len(noises), squeeze=False, sharex=True)
    names = list(dict.fromkeys(_base(row["way"]) for table in tables for row in table["rows"]))
    colours = dict(zip(names, cycle(_COLOURS)))
    for table in tables:
        for clock in clocks:
            axis = axes[panes.index((table["kind"], clock))][noises.index(table["noise"])]
            for row in table["rows"]:
                if row["clock"] == clock and (row["decodes"] == _SHOWN[clock] or row["way"] == "uniform"):
                    points = sorted((point["rate"], point["cider"]) for point in row["curve"])
                    style = ":" if "reuse" in row["way"] else "--" if row["decodes"] == "exact" else "-"
                    mark = "o" if len(points) == 1 else ""
                    label = f"{row['way']}, {row['decodes']}"
                    colour = colours[_base(row["way"])]
                    axis.plot(*zip(*points, strict=True), style, marker=mark, color=colour, label=label, lw=1.2)
            axis.set_xscale("log")
            axis.set_title(f"{table['kind']}, noise {table['noise']}, {clock} clock", fontsize=9)
            axis.grid(alpha=0.3)
            axis.axvline(1.0, color="black", lw=0.6, ls=":")
    for axis in axes[-1]:
        axis.set_xlabel("decodes a second")
    for line in axes:
        line[0].set_ylabel("CIDEr")
        line[0].legend(fontsize=5)
    save_picture(canvas, file)
