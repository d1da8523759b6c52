"""What a conversion takes of a file and what it leaves out; nothing is dropped without a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vljepa_edge.errors import BundleError

OnStep = Callable[[str, int, int], None]


class Source(NamedTuple):
    """Where one of our weights comes from: tensors by their names in the file, and what is made of them."""

    names: tuple[str, ...]
    make: Callable[..., Tensor]


class LeftOut(NamedTuple):
    """A part of the file that is not converted. tensors: how many it has."""

    part: str
    tensors: int
    reason: str


def same(tensor: Tensor) -> Tensor:
    """As it is."""
    return tensor


def left_out(names: Iterable[str], rules: Mapping[str, str]) -> list[LeftOut]:
    """The names that a rule (a pattern such as "x_encoder.*" -> the reason) leaves out, counted by rule."""
    found = list(names)
    counted = ((rule, sum(fnmatchcase(name, rule) for name in found), why) for rule, why in rules.items())
    return [LeftOut(rule, count, why) for rule, count, why in counted if count]


def check_names(path: Path, where: str, given: Iterable[str], wanted: Iterable[str], rules: Mapping[str, str]) -> None:
    """Raises BundleError unless every given name is wanted or left out by a rule, and every wanted one is given."""
    have, want = set(given), set(wanted)
    lost = sorted(want - have)
    if lost:
        raise BundleError(path, f"{where} lacks {_few(lost)}")
    unknown = sorted(name for name in have - want if not any(fnmatchcase(name, rule) for rule in rules))
    if unknown:
        raise BundleError(path, f"{where} has {_few(unknown)}, which the model it should be does not have")


def convert(
    path: Path,
    state: Mapping[str, Tensor],
    sources: Mapping[str, Source],
    shapes: Mapping[str, Sequence[int]],
    on_step: OnStep,
) -> dict[str, Tensor]:
    """Our weights by name. shapes: what each must have.

    Raises BundleError, naming the tensor, for another shape, for numbers that are not floating point, and for NaN or
    infinity.
    """
    made: dict[str, Tensor] = {}
    for step, (name, source) in enumerate(sources.items()):
        on_step("reading weights", step, len(sources))
        given = [state[theirs] for theirs in source.names]
        label = " + ".join(source.names)
        if not all(tensor.is_floating_point() for tensor in given):
            raise BundleError(path, f"{label} must be floating point, got {given[0].dtype}")
        try:
            tensor = source.make(*given)
        except (RuntimeError, IndexError) as error:
            sizes = ", ".join(str(tuple(t.shape)) for t in given)
            raise BundleError(path, f"{label} does not fit the config: {sizes} ({error})") from error
        if tuple(tensor.shape) != tuple(shapes[name]):
            raise BundleError(
                path, f"{label} has the shape {tuple(tensor.shape)}, but the config says {tuple(shapes[name])}"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise BundleError(path, f"{label} has numbers that are not finite")
        made[name] = tensor
    on_step("reading weights", len(sources), len(sources))
    return made


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
