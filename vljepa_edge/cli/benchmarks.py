"""`vljepa eval NAME`: a benchmark of the paper, or a table of one's own, on a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, print_json, step_bars
from vljepa_edge.errors import InputError

if TYPE_CHECKING:
    from vljepa_edge.evaluation.run import Result

RUN = "NAME"
_NAMED = 3  # files, in a warning


class Named(TyperGroup):
    """Commands, and for every other name the command NAME with it: benchmarks are imported when one is asked for."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            return RUN, self.commands[RUN], args
        return super().resolve_command(ctx, args)


def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A benchmark; `vljepa eval --list` names all.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="Its folder, laid out as --list shows.")
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            "--csv", metavar="FILE", help="A table of your own: classification, retrieval, questions, captioning."
        ),
    ] = None,
    model: ModelPath = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Evaluate N items.", show_default="all")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", "-q", metavar="TEXT", help="What to ask.", show_default="the model's")
    ] = None,
    views: Annotated[int, typer.Option(min=1, metavar="N", help="The most windows that a clip is seen in.")] = 4,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on a benchmark of the paper, beside the paper's figures.

    Embeddings are kept in the cache, so a run that was stopped goes on where it was.

    \b
    Examples:
      vljepa eval --list
      vljepa eval sugarcrepe_pp --data scpp
      vljepa eval ssv2 --data something-something-v2 --limit 500
      vljepa eval classification --csv mine.csv --model robot.vljepa --json
    """
    from vljepa_edge.evaluation.adapters import benchmark_of
    from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
    from vljepa_edge.evaluation.run import select

    benchmark = benchmark_of(name)
    given, option, other = (table, "--csv FILE", data) if benchmark.is_file else (data, "--data DIR", table)
    if given is None or other is not None:
        raise InputError(f"{name} must be given {option}, and no other data; `vljepa eval --list` shows what it holds")
    selection = select(benchmark, given, limit=limit, query=query)  # what is wrong with it costs no load of a model
    embedder = BundleEmbedder(load_model(model, engine, threads, precision), views)
    with step_bars() as bars:
        result = selection.measure(embedder, bars)
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)


def print_list() -> None:
    """Every benchmark: its protocol, what the paper reports, what it expects on disk and which choices are ours."""
    from vljepa_edge.evaluation.adapters import BENCHMARKS

    out = console()
    for benchmark in BENCHMARKS.values():
        out.print(f"{benchmark.name}  {benchmark.title}: {benchmark.protocol}", style="bold")
        for paper in benchmark.papers:
            values = ", ".join(f"{model} {value:.1f}" for model, value in paper.values.items())
            out.print(f"  {paper.table}, {paper.figure}: {values}")
        for choice in benchmark.ours:
            out.print(f"  ours: {choice}")
        out.print("  " + benchmark.tree.replace("\n", "\n  ") + "\n")


def _print(result: Result) -> None:
    out = console()
    width = max(map(len, result.figures))
    papers = {paper.figure: paper for paper in result.benchmark.papers}
    for figure, value in result.figures.items():
        paper = papers.get(figure)
        beside = "" if paper is None else "  " + ", ".join(f"{name} {one:.1f}" for name, one in paper.values.items())
        out.print(f"{figure:{width}}  {value:6.1f}{beside}{'' if paper is None else f' ({paper.table})'}")
    out.print(f"{'items':{width}}  {result.items:6}")
    for choice in result.benchmark.ours:
        out.print(f"ours: {choice}")
    warn = console(stderr=True)
    if result.missing:
        files = _some(result.missing_files)
        warn.print(f"warning: {result.missing} items were left out: their files are not there: {files}", style="yellow")
    if result.unread:
        files = _some(result.unread_files)
        unread = f"warning: {result.unread} files, or stretches of them, can't be read: they count as wrong: {files}"
        warn.print(unread, style="yellow")
    if result.benchmark.papers and not result.complete:
        part = f"{result.items} items were measured, and {result.total} are published"
        warn.print(f"warning: {part}: don't compare it with the paper", style="yellow")


def _some(files: Sequence[Path]) -> str:
    """The first few by name, and how many more there are."""
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(map(_name, files[:_NAMED])) + more


def _name(file: Path) -> str:
    """A path on one line, the middle left out where it is very long."""
    text = str(file) if str(file).isprintable() else repr(str(file))
    return text if len(text) <= 240 else f"{text[:100]}...{text[-100:]}"
