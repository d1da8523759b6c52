"""The `vljepa` command: one file a command. Nothing heavy is imported before a command runs, so help is quick."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from vljepa_edge.cli.ask import ask
from vljepa_edge.cli.bench import bench
from vljepa_edge.cli.build import build
from vljepa_edge.cli.calibrate import calibrate
from vljepa_edge.cli.classify import classify
from vljepa_edge.cli.data import data
from vljepa_edge.cli.demo import demo
from vljepa_edge.cli.doctor import doctor
from vljepa_edge.cli.embed import embed
from vljepa_edge.cli.eval import evaluate_app
from vljepa_edge.cli.export import export
from vljepa_edge.cli.kernels import kernels
from vljepa_edge.cli.models import models
from vljepa_edge.cli.query import labels, query
from vljepa_edge.cli.reproduce import reproduce
from vljepa_edge.cli.root import FAILURE, Root, print_error
from vljepa_edge.cli.search import search
from vljepa_edge.cli.serve import serve
from vljepa_edge.cli.signals import raise_when_told
from vljepa_edge.cli.slim import slim
from vljepa_edge.cli.stream import stream
from vljepa_edge.cli.teach import teach
from vljepa_edge.cli.train import train
from vljepa_edge.cli.weights import weights

__all__ = ["app", "main"]

app = typer.Typer(
    name="vljepa", cls=Root, pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]}
)


def _print_version(value: bool) -> None:
    if value:
        from vljepa_edge import __version__

        typer.echo(f"vljepa {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _describe(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Streaming video in, timestamped text out, on a small machine.

    \b
    Examples:
      vljepa demo
      vljepa stream clip.mp4
      vljepa classify photo.jpg --labels cat,dog
      vljepa doctor
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


for command in (
    *(stream, serve, classify, ask, search, embed, query, labels, teach, demo, bench),
    *(export, train, calibrate, reproduce, build, doctor, slim),
):
    app.command()(command)
app.add_typer(models, name="models")
app.add_typer(data, name="data")
app.add_typer(weights, name="weights")
app.add_typer(kernels, name="kernels")
app.add_typer(evaluate_app, name="eval")


def main() -> None:
    """Run the command line."""
    if sys.stderr is None:  # closed; print() to None would go to stdout
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        print_error("standard output is closed; send it to a file, a pipe or /dev/null")
        sys.exit(FAILURE)
    raise_when_told()
    app(prog_name="vljepa")
