"""The picture of an experiment: a pane a figure, a bar an arm, a dot a seed, and the paper's figure as a mark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vljepa_edge.evaluation.picture import save_picture
from vljepa_edge.training.reproduction.experiment import Experiment, Results, column

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(experiment: Experiment, results: Results, file: Path) -> None:
    """Write it, atomically. Needs matplotlib, of the train extra."""
    from matplotlib.figure import Figure

    canvas = Figure(layout="constrained")
    (experiment.draw or bars)(canvas, experiment, results)
    save_picture(canvas, file)


def bars(canvas: Figure, experiment: Experiment, results: Results) -> None:
    """Means as bars, seeds as dots, the paper's figures as diamonds."""
    canvas.set_size_inches(4.2 * len(experiment.figures), 0.8 + 0.36 * len(experiment.arms))
    panes = canvas.subplots(1, len(experiment.figures), squeeze=False, sharey=True)[0]
    places = range(len(experiment.arms))
    for pane, figure in zip(panes, experiment.figures, strict=True):
        for place, arm in zip(places, experiment.arms, strict=True):
            values = column(results.get(arm.name, {}), figure)
            if len(values):
                pane.barh(place, values.mean(), color="tab:blue", alpha=0.5)
                pane.plot(values, [place] * len(values), ".", color="tab:blue")
            if figure in arm.paper:
                pane.plot(arm.paper[figure], place, "d", color="tab:red", ms=4)
        pane.set_title(figure, fontsize=9)
        pane.grid(alpha=0.3, axis="x")
    panes[0].set_yticks(list(places), [arm.title for arm in experiment.arms], fontsize=8)
    panes[0].invert_yaxis()
    canvas.supxlabel("bars: mean, dots: seeds, red: the paper, at its own scale", fontsize=7)
