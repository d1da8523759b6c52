"""`vljepa reproduce`: the paper's experiments in miniature. Needs the training extra."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vljepa_edge.cli.options import Debug, Everyday, Json
from vljepa_edge.cli.output import console, json_line, print_json, step_bars
from vljepa_edge.cli.place import make_folder
from vljepa_edge.errors import InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.training.reproduction.experiment import Experiment, Results

MODULES = ("torch", "transformers", "yaml", "matplotlib", "PIL")


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An experiment; `vljepa reproduce --list` names all.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Every experiment, its claim and its arms.")] = False,
    arms: Annotated[
        list[str] | None,
        typer.Option("--arm", metavar="ARM", help="Make this arm; repeat for several.", show_default="all"),
    ] = None,
    seeds: Annotated[
        list[int] | None,
        typer.Option("--seed", min=0, metavar="N", help="Repeat for several.", show_default="0, 1 and 2"),
    ] = None,
    data: Everyday = None,
    work: Annotated[
        Path | None,
        typer.Option(
            "--work", metavar="DIR", help="Where arms are kept, so that a run that was stopped goes on.",
            show_default="reproduce in the cache",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the figures, the table and the picture.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Make nothing: report the arms that are there, and name those that aren't.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Run an experiment of the paper in miniature, and say whether its claim holds at this scale.

    An arm that is trained takes ten minutes of processor time or more with each seed, so some experiments take hours.
    An arm that was interrupted goes on where it was, one that is there is not made again, and one of another version
    is refused.

    \b
    Examples:
      vljepa reproduce --list
      vljepa reproduce losses
      vljepa reproduce losses --arm cosine --seed 0
      vljepa reproduce losses --report --out figures
    """
    require(MODULES, "train")
    from vljepa_edge.training.reproduction.arms import Workplace
    from vljepa_edge.training.reproduction.experiment import SEEDS
    from vljepa_edge.training.reproduction.registry import experiment_of
    from vljepa_edge.training.reproduction.report import as_dict

    if listed:
        _print_list()
        return
    if name is None:
        raise InputError("give the name of an experiment; `vljepa reproduce --list` names all")
    experiment, chosen = experiment_of(name), tuple(dict.fromkeys(seeds or SEEDS))
    place = Workplace(_tables(experiment, data), cache_dir() / "reproduce" if work is None else work)
    if out is not None:
        make_folder(out)
    wanted = [(arm, seed) for seed in chosen for arm in experiment.chosen(arms or [])]
    for arm, seed in [] if report else wanted:
        with _bars() as bars:
            result = place.make(arm, seed, bars)
        figures = ", ".join(f"{key} {value:.1f}" for key, value in result["figures"].items())
        console(stderr=True).print(f"{arm.name}, seed {seed}: {figures}; {result['cpu_minutes']:.1f} CPU minutes")
    results = place.results(experiment.arms, chosen)
    if out is not None:
        _write(experiment, results, chosen, out)
    if as_json:
        print_json(as_dict(experiment, results, chosen))
    else:
        _print(experiment, results, chosen)


@contextmanager
def _bars() -> Iterator[Callable[[str, int, int], None]]:
    """As `step_bars`, but nothing is drawn between one thing and the next: the trainer draws bars of its own."""
    with ExitStack() as stack:
        bars: list[Callable[[str, int, int], None]] = []

        def on_step(what: str, done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(step_bars()))
            bars[0](what, done, total)
            if done >= total:
                stack.close()
                bars.clear()

        yield on_step


def _tables(experiment: Experiment, data: Path | None) -> Path:
    """The folder of tables. Raises InputError where one is missing."""
    from vljepa_edge.training.everyday.fetch import default_folder

    folder = default_folder() if data is None else data
    for table in experiment.tables:
        if not (folder / table).is_file():
            raise InputError(f"{folder} must hold {table}; run: vljepa data fetch everyday --out {folder}")
    return folder


def _print_list() -> None:
    from vljepa_edge.training.reproduction.registry import experiment_of, names

    out = console()
    for name in names():
        experiment = experiment_of(name)
        out.print(f"{name}  {experiment.section}: {experiment.claim}", style="bold")
        out.print(f"  arms: {', '.join(arm.name for arm in experiment.arms)}")
        out.print(f"  rule: {experiment.rule}\n")


def _print(experiment: Experiment, results: Results, seeds: tuple[int, ...]) -> None:
    from rich.table import Table

    from vljepa_edge.training.reproduction.report import closing, head, rows

    first, *others = head(experiment)
    table = Table(first, title=experiment.section)
    for other in others:
        table.add_column(other, justify="right")
    for row in rows(experiment, results):
        table.add_row(*row)
    out = console()
    out.print(table)
    out.print(str(closing(experiment, results, seeds)))


def _write(experiment: Experiment, results: Results, seeds: tuple[int, ...], folder: Path) -> None:
    from vljepa_edge.training.reproduction.plot import draw
    from vljepa_edge.training.reproduction.report import as_dict, markdown

    picture = folder / f"{experiment.name}.svg"
    with replacing(folder / f"{experiment.name}.json") as part:
        part.write_text(json_line(as_dict(experiment, results, seeds)), encoding="utf-8")
    with replacing(folder / f"{experiment.name}.md") as part:
        part.write_text(markdown(experiment, results, seeds, picture.name), encoding="utf-8")
    draw(experiment, results, picture)
