"""The top of the command tree: every error becomes one line on stderr and an exit status.

Exit status: 0 done, 1 a failure on the way, 2 an input or option that can't be used, 128 + N stopped by signal N:
130 by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from vljepa_edge.cli.output import warnings_shown
from vljepa_edge.errors import (
    BundleError,
    DataError,
    GraphError,
    HeadError,
    IndexFileError,
    InputError,
    LayoutError,
    QuantizationError,
    StoreError,
    VideoError,
    VLJepaError,
    redacted,
)

DEBUG = "vljepa_edge.debug"
FAILURE, BAD_INPUT, INTERRUPTED = 1, 2, 130

# The base of typer's usage errors (unknown option, missing argument); releases differ in the module that it lives in.
UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def exit_status(error: Exception) -> int:
    """2 when what the user gave can't be used, 1 when the work on it failed."""
    given = InputError | VideoError | BundleError | DataError | HeadError | IndexFileError
    return BAD_INPUT if isinstance(error, given | QuantizationError | GraphError | StoreError) else FAILURE


def describe(error: Exception) -> str:
    """The error as one line, and below it the tree of a LayoutError. One that this package did not raise on purpose is
    named, and points at --debug."""
    if isinstance(error, LayoutError):
        return f"{' '.join(str(error).removesuffix(error.tree).split())}\n{error.tree}"
    text = " ".join(str(error).split())
    if isinstance(error, VLJepaError):
        return text
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{redacted(str(error.filename))}: {error.strerror}"
    return f"{type(error).__name__}: {text} (--debug shows the traceback)"


def print_error(message: str) -> None:
    """One `error: ...` line on stderr, where that takes it: the exit status tells the rest."""
    with contextlib.suppress(OSError):
        print(f"error: {message}", file=sys.stderr, flush=True)


class Root(TyperGroup):
    """A command group that reports errors the way the module's docstring says."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with warnings_shown():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise typer.Exit(getattr(stop, "exit_status", INTERRUPTED)) from None
        except BrokenPipeError:  # whoever reads has enough
            raise typer.Exit from None
        except (typer.Exit, typer.Abort, UsageError):
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
            said = " ".join(error.format_message().split())  # type: ignore[attr-defined]
            print_error(re.sub(r"[^\s()']+", lambda word: redacted(word[0]), said) + hint)
            result = BAD_INPUT
        except typer.Abort:
            result = INTERRUPTED
        except OSError as error:  # of help and version, which are printed before a command runs
            print_error(describe(error))
            result = FAILURE
        if standalone_mode:
            sys.exit(_flushed(result if isinstance(result, int) else 0))
        return result


def _flushed(status: int) -> int:
    """The exit status once the output is out. What can't be written is discarded, so that Python tries it no more."""
    try:
        sys.stdout.flush()
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if status == 0 and not isinstance(error, BrokenPipeError):
            print_error(describe(error))
            return FAILURE
    return status
