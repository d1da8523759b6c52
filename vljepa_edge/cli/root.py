"""The top of the command tree: every error becomes one line on stderr and an exit status.

Exit status: 0 done, 1 a failure on the way, 2 an input or option that can't be used, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import io
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from vljepa_edge.cli.output import warnings_shown
from vljepa_edge.errors import (
    BundleError,
    GraphError,
    IndexFileError,
    InputError,
    QuantizationError,
    VideoError,
    VLJepaError,
)

DEBUG = "vljepa_edge.debug"
FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130

# The base of typer's usage errors (unknown option, missing argument); releases differ in the module that it lives in.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def exit_status(error: Exception) -> int:
    """2 when what the user gave can't be used, 1 when the work on it failed."""
    given = InputError | VideoError | BundleError | IndexFileError | QuantizationError | GraphError
    return BAD_INPUT if isinstance(error, given) else FAILURE


def describe(error: Exception) -> str:
    """The error as one line. One that this package did not raise on purpose is named, and points at --debug."""
    text = " ".join(str(error).split())
    if isinstance(error, VLJepaError):
        return text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {text} (--debug shows the traceback)"


def print_error(message: str) -> None:
    """One `error: ...` line on stderr."""
    print(f"error: {message}", file=sys.stderr, flush=True)


class Root(TyperGroup):
    """A command group that reports errors the way the module's docstring says."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings_shown():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort, BrokenPipeError, UsageError):
            raise
        except Exception as error:
            if ctx.meta.get(DEBUG):
                traceback.print_exc()
            print_error(describe(error))
            raise typer.Exit(exit_status(error)) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a file need not be text that can be printed
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            result = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except UsageError as error:
            context = getattr(error, "ctx", None)
            hint = f" (try '{context.command_path} --help')" if context is not None else ""
            print_error(" ".join(error.format_message().split()) + hint)  # type: ignore[attr-defined]
            result = BAD_INPUT
        if standalone_mode:
            sys.exit(result if isinstance(result, int) else 0)
        return result
