"""What the commands print: JSON for programs, lines for people, progress on stderr."""

from __future__ import annotations

import io
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from vljepa_edge.errors import VideoWarning

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from vljepa_edge.tasks.classify import Score


def json_line(value: Mapping[str, Any]) -> str:
    """One JSON object on one line. A number that is not finite is null, and a zero has no sign. All JSON that commands
    print goes through here."""
    return json.dumps(_clean(value), allow_nan=False) + "\n"


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout, flushed at once so that a reader sees events as they happen."""
    sys.stdout.write(json_line(value))
    sys.stdout.flush()


def console(*, stderr: bool = False) -> Console:
    """A rich console that colours only on a terminal, never wraps and never reads markup out of decoded text."""
    from rich.console import Console

    class Plain(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # as a print to the pipe does

    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        stream.reconfigure(errors="backslashreplace")  # names of files need not be valid Unicode
    return Plain(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def progress() -> Progress:
    """A progress bar on stderr, silent when stderr is not a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    out = console(stderr=True)
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    )


@contextmanager
def step_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A callback (what, how many are done, how many there are) that draws a bar on stderr for each thing."""
    with progress() as bar:
        tasks: dict[str, Any] = {}

        def on_step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield on_step


@contextmanager
def reporting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function of (done, total) that draws a progress bar, once the work has taken half a second."""
    with progress() as bar:
        task = bar.add_task(what, visible=False)
        begun = time.monotonic()

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=time.monotonic() - begun > 0.5)

        yield report


def _clean(value: Any) -> Any:
    """`value` with numbers that JSON can hold, at any depth."""
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None  # -0.0 + 0.0 is 0.0
    return value


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An OSError in it names the file that the user gave."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


# What this process has warned of.
_warned: list[str] = []


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Within it each VideoWarning is one `warning: ...` line on stderr, once, and is kept for `video_warnings`."""
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, VideoWarning):
                others(message, category, filename, lineno, file, line)
            else:
                warn(str(message))

        warnings.simplefilter("always", VideoWarning)
        warnings.showwarning = show
        _warned.clear()
        yield


def warn(message: str) -> None:
    """One `warning: ...` line on stderr, once, which is kept for `video_warnings`. Where stderr can't take it, as a log
    on a full disk, the command goes on."""
    if message not in _warned:
        _warned.append(message)
        with suppress(OSError):
            print(f"warning: {message}", file=sys.stderr, flush=True)


def video_warnings() -> dict[str, list[str]]:
    """A key of a command's JSON: what of its sources could not be read, and of its outputs not be written."""
    return {"warnings": list(_warned)}


def print_scores(scores: Iterable[Score]) -> None:
    """One `score  name  (probability)` line each; on a terminal the first stands out."""
    from rich.text import Text

    out = console()
    for rank, item in enumerate(scores):
        sure = "" if item.probability is None else f"  ({100 * item.probability:.0f} %)"
        out.print(Text(f"{item.score:7.3f}  {item.label}{sure}", style="bold green" if rank == 0 else ""))
