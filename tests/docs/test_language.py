"""Documents, messages and help use plain words: these make readers stumble and don't occur."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORDS = {
    r"(il)?legal(ly)?": "nothing here is a matter of law: 'must be X, got Y', 'must be one of', 'allowed', 'valid'",
    r"mend(s|ed|ing)?": "'to fix it, run: ...' before a command, else 'repair'",
    r"anew": "bookish: 'again', 're-index', 'starts empty'",
    r"foreign": "says neither what a thing is nor where it is from: 'unknown', 'of another model'",
    r"whole": "'complete'; a number is an 'integer'",
    r"time stamps?": "one word: 'timestamp'",
}
BANNED = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)

DOCUMENTS = (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "Makefile")
SOURCES = sorted(path for kind in ("hpp", "cpp") for path in (ROOT / "bindings").rglob(f"*.{kind}"))  # with comments
# What a program can show: every text in the code, docstrings included, since typer makes help of them.
FOLDERS = ("benchmarks", "docs", "examples", "kernels", "training", "vljepa_edge")
OLD_NAMES = ROOT / "vljepa_edge" / "moved.py"
PROGRAMS = sorted({path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")} - {OLD_NAMES})


def found(text: str, line: int = 1) -> Iterator[str]:
    for match in BANNED.finditer(text):
        why = next(why for word, why in WORDS.items() if re.fullmatch(word, match[0], re.IGNORECASE))
        yield f"line {line + text.count(chr(10), 0, match.start())}: {match[0]!r}; {why}"


def texts(source: str) -> Iterator[tuple[str, int]]:
    """Each text of a Python program, and its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", (*DOCUMENTS, *SOURCES), ids=name)
def test_documents_and_the_c_plus_plus_core_use_plain_words(path: Path) -> None:
    assert list(found(path.read_text("utf-8"))) == []


@pytest.mark.parametrize("path", PROGRAMS, ids=name)
def test_messages_docstrings_and_help_use_plain_words(path: Path) -> None:
    assert [hit for text, line in texts(path.read_text("utf-8")) for hit in found(text, line)] == []


def test_the_check_sees_a_word_wherever_it_can_be_shown() -> None:
    program = 'def f(k):\n    """Starts anew."""\n    raise ValueError(f"k={k} is not legal")  # a whole comment\n'
    hits = [hit for text, line in texts(program) for hit in found(text, line)]
    assert [hit.partition(";")[0] for hit in sorted(hits)] == ["line 2: 'anew'", "line 3: 'legal'"]
    assert list(found("Legally, a wholesome amendment")) == [f"line 1: 'Legally'; {WORDS['(il)?legal(ly)?']}"]
