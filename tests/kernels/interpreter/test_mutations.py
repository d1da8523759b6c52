# ruff: noqa: E501 - a mutant is one line
"""Planted bugs: each mutant of a kernel must fail the checks that the kernel passes. Prints caught / total."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from triton.runtime.errors import InterpreterError

from tests.kernels.interpreter.memory import MemoryFault
from tests.kernels.interpreter.test_operations import CHECKS, load

SCORE = "mutants caught"


@dataclass(frozen=True)
class Mutant:
    """A bug: in a file of `kernels/`, the first occurrence of `old` becomes `new`."""

    bug: str
    file: str
    old: str
    new: str

    @property
    def operation(self) -> str:
        """Whose checks must notice."""
        return next((operation for operation, parts in PARTS.items() if self.file in parts), self.file)


ATTENTION, POOL, NORM, GATE = "bidirectional_attention", "masked_mean_pool", "rms_norm", "swiglu"
BACKWARD, INPUTS = "attention_backward", "attention_inputs"
PARTS = {ATTENTION: (INPUTS, BACKWARD)}
"""Files of an operation beside its own, each before those that import it."""
INT8, LOSS, PATCHES = "int8_linear", "info_nce", "patchify"
MUTANTS = (
    Mutant("the ragged block has no mask", ATTENTION, "scores = tl.where(columns[None, :] < length, scores", "scores = tl.where(columns[None, :] >= 0, scores"),
    Mutant("padding of keys is loaded", ATTENTION, "k_left = tl.load(k_at, mask=inside, other=0.0)", "k_left = tl.load(k_at, mask=columns[:, None] <= length, other=0.0)"),
    Mutant("whole blocks end one block late", ATTENTION, "whole = length // BLOCK_N * BLOCK_N", "whole = (length + BLOCK_N - 1) // BLOCK_N * BLOCK_N"),
    Mutant("whole blocks end one block early", ATTENTION, "for start in range(0, whole, BLOCK_N):", "for start in range(0, whole - BLOCK_N, BLOCK_N):"),
    Mutant("the wrong key head", ATTENTION, "k = K + batch * k_batch + (head // GROUP) * k_head", "k = K + batch * k_batch + (head % GROUP) * k_head"),
    Mutant("the wrong value head", ATTENTION, "v = V + batch * v_batch + (head // GROUP) * v_head", "v = V + batch * v_batch"),
    Mutant("the accumulator is not rescaled", ATTENTION, "acc * shrink[:, None]", "acc"),
    Mutant("the sum is not rescaled", ATTENTION, "total = total * shrink + tl.sum", "total = total + tl.sum"),
    Mutant("e instead of 2", ATTENTION, "weights = tl.exp2(scores * scale - risen[:, None])", "weights = tl.exp(scores * scale - risen[:, None])"),
    Mutant("swapped halves of RoPE", INPUTS, "return left * cos_left - right * sin_left, right * cos_right + left * sin_right", "return left * cos_left + right * sin_left, right * cos_right - left * sin_right"),
    Mutant("one table for both halves of RoPE", INPUTS, "cos_right = tl.load(cos_table + place + HALF", "cos_right = tl.load(cos_table + place"),
    Mutant("RoPE's gradient turns forward", INPUTS, "return left * cos_left + right * sin_right, right * cos_right - left * sin_left", "return left * cos_left - right * sin_right, right * cos_right + left * sin_left"),
    Mutant("keys stay unrotated", ATTENTION, "        k = rotate_tokens(k, cos, sin)\n", "        pass\n"),
    Mutant("scores accumulate in the input's type", ATTENTION, "scores = tl.dot(q_right, tl.trans(k_right), scores, input_precision=\"tf32x3\")", "scores = tl.dot(q_right, tl.trans(k_right), scores, input_precision=\"tf32x3\").to(q_right.dtype).to(tl.float32)"),
    Mutant("padded rows are not zeroed", ATTENTION, "acc = tl.where(inside, acc / total[:, None], 0.0)", "acc = acc / total[:, None]"),
    Mutant("out is stored past the end", ATTENTION, "tl.store(out_at, acc.to(OUT.dtype.element_ty), mask=rows[:, None] < tokens)", "tl.store(out_at, acc.to(OUT.dtype.element_ty))"),
    Mutant("unscaled gradient of keys", BACKWARD, "dk_left * natural_scale", "dk_left"),
    Mutant("unscaled gradient of queries", BACKWARD, "dq_right *= natural_scale", "dq_right *= 1.0"),
    Mutant("delta is left out", BACKWARD, "dscores = (weights * (dweights - drift[None, :]))", "dscores = (weights * dweights)"),
    Mutant("only the group's first head reaches the keys", BACKWARD, "for member in range(GROUP):", "for member in range(1):"),
    Mutant("the last queries don't reach the keys", BACKWARD, "            if whole < length:\n                dk_left", "            if whole > length:\n                dk_left"),
    Mutant("log-sum-exp in base 2", ATTENTION, "* 0.6931471805599453", "* 1.0"),
    Mutant("the mean divides by all tokens", POOL, "tl.maximum(length, 1).to(tl.float32)\n    tl.store", "tl.maximum(tokens, 1).to(tl.float32)\n    tl.store"),
    Mutant("padding is summed", POOL, "inside = (row < length)[:, None]", "inside = (row < tokens)[:, None]"),
    Mutant("a span forgets its end", POOL, "tl.minimum(first + SPAN, length)", "tl.minimum(first + SPAN + ROWS, length)"),
    Mutant("the last span is lost", POOL, "for span in range(spans):\n            mean", "for span in range(spans - 1):\n            mean"),
    Mutant("norm without its weight", POOL, "mean *= tl.load(NORM_WEIGHT + column, mask=inside, other=0.0).to(tl.float32) / count", "mean *= 1.0 / count"),
    Mutant("no unit length", POOL, "x / tl.maximum(tl.sqrt(tl.sum(x * x, 0)), 1e-12)", "x / tl.maximum(tl.sum(x * x, 0), 1e-12)"),
    Mutant("every span writes the same partial sum", POOL, "(batch * tl.num_programs(0) + tl.program_id(0)) * width + column", "batch * tl.num_programs(0) * width + column"),
    Mutant("mean of squares over the padded width", NORM, "tl.sum(h * h, 1) / width + eps)\n    weight", "tl.sum(h * h, 1) / WIDTH + eps)\n    weight"),
    Mutant("the residual gradient is dropped", NORM, "dh += tl.load(DSUM", "tl.load(DSUM"),
    Mutant("the gradient through rms is dropped", NORM, "(g - normed * (tl.sum(g * normed, 1) / width)[:, None])", "g"),
    Mutant("dweight of the last block only", NORM, "partial += tl.sum(dy * normed, 0)", "partial = tl.sum(dy * normed, 0)"),
    Mutant("gate and up exchanged", GATE, "(gate * tl.sigmoid(gate) * up)", "(up * tl.sigmoid(up) * gate)"),
    Mutant("silu's gradient without its second term", GATE, "(1.0 + gate * (1.0 - s))", "1.0"),
    Mutant("the weight's scale by row", INT8, "y = acc.to(tl.float32) * token_scale * tl.load(W_SCALE + column, mask=seen, other=0.0)[None, :]", "y = acc.to(tl.float32) * token_scale * tl.load(W_SCALE)"),
    Mutant("the last channels are lost", INT8, "if whole < width:\n        inside", "if whole < width - BLOCK_K:\n        inside"),
    Mutant("up's scale is gate's", INT8, "tl.load(W_SCALE + columns + column", "tl.load(W_SCALE + column"),
    Mutant("rounding toward zero", INT8, "tl.floor(q + 0.5), -tl.floor(0.5 - q)", "tl.floor(q), -tl.floor(-q)"),
    Mutant("a tile group counts too many rows", INT8, "members = tl.minimum(down - first, GROUP)", "members = GROUP"),
    Mutant("own text is taken out", LOSS, "(column[None, :] == row[:, None] + offset))", "(column[None, :] == row[:, None]))"),
    Mutant("equal texts stay negatives", LOSS, "counted = counted & ((same == 0) | (column[None, :]", "counted = counted & ((same == 0) | (same != 0) | (column[None, :]"),
    Mutant("of a column's keys only the first is compared", LOSS, "for q in tl.static_range(KEYS_B):", "for q in tl.static_range(1):"),
    Mutant("keys are compared in 32 bits", LOSS, "(of_row[:, None] == of_column[None, :])", "(of_row.to(tl.int32)[:, None] == of_column.to(tl.int32)[None, :])"),
    Mutant("rows have the columns' number of keys", LOSS, "ROW_KEYS + row * KEYS_A", "ROW_KEYS + row * KEYS_B"),
    Mutant("the gradient is not scaled", LOSS, "share = (share * natural)", "share = share"),
    Mutant("the gradient keeps its last block", LOSS, "sofar = tl.load(da_at + begin, mask=owned, other=0.0)", "sofar = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)"),
    Mutant("weights of rows for columns", LOSS, "weight = tl.load(WEIGHT + column, mask=column < columns, other=0.0)[None, :]", "weight = tl.load(WEIGHT + row, mask=row < columns, other=0.0)[:, None]"),
    Mutant("the temperature's gradient forgets the shares", LOSS, "drift += tl.sum(share * scores, 1)", "drift += tl.sum(scores, 1)"),
    Mutant("rows and columns of patches exchanged", PATCHES, "y = row * PATCH + place // PATCH % PATCH", "y = column * PATCH + place // PATCH % PATCH"),
    Mutant("channels last in a patch", PATCHES, "channel = place // (TUBELET * PATCH * PATCH)", "channel = place % 3"),
    Mutant("every frame is the first", PATCHES, "frame = step * TUBELET + place", "frame = step + place"),
)  # fmt: skip
CAUGHT: list[str] = []


def mutated(mutant: Mutant, folder: Path) -> ModuleType:
    """The operation's module, made of files with the bug in one of them; its operators have a namespace of their own."""
    name = f"mutant_{MUTANTS.index(mutant)}"
    files = (*PARTS.get(mutant.operation, ()), mutant.operation)
    for file in files:
        source = Path(load(file).__file__ or "").read_text("utf-8")
        if file == mutant.file:
            assert mutant.old in source, f"{mutant.bug}: the line to change is gone from {file}.py"
            source = source.replace(mutant.old, mutant.new, 1)
            assert mutant.new in source
        for part in files:
            source = source.replace(f"vljepa_edge.kernels.ops.{part} ", f"{name}_{part} ")
        path = folder / f"{name}_{file}.py"
        path.write_text(source.replace('"vljepa::', f'"{name}::'), "utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.file}: {mutant.bug}")
def test_a_planted_bug_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    checks, _ = CHECKS[mutant.operation]
    module = mutated(mutant, tmp_path)
    for case in checks.QUICK:
        try:
            checks.check(module, case)
        except AssertionError:
            break
        except InterpreterError as error:  # only for what it touched: a mutant that can't run proves nothing
            assert isinstance(first_cause(error), MemoryFault), f"{mutant.bug}: {error}"
            break
    else:
        raise AssertionError(f"nothing noticed that {mutant.bug} in {mutant.file}")
    CAUGHT.append(mutant.bug)


def first_cause(error: BaseException) -> BaseException:
    """A kernel's functions wrap what goes wrong in them once each."""
    return error if error.__cause__ is None else first_cause(error.__cause__)


def test_score() -> None:
    print(f"\n{SCORE}: {len(CAUGHT)}/{len(MUTANTS)}")
    assert len(MUTANTS) >= 20
    assert len(CAUGHT) == len(MUTANTS)
