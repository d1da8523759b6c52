"""Every kernel in Triton's interpreter against float64, and every planted bug caught: see `interpreter/`."""

from __future__ import annotations

import re


def test_every_kernel_is_exact_and_every_planted_bug_is_caught_in_the_interpreter(interpreter: tuple[int, str]) -> None:
    status, text = interpreter
    assert status == 0, text
    caught, total = map(int, re.findall(r"mutants caught: (\d+)/(\d+)", text)[0])
    assert caught == total >= 20
