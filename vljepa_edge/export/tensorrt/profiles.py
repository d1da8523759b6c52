"""How large the inputs of a bundle's graphs get: what TensorRT's optimisation profiles are made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from vljepa_edge.bundle.manifest import TEXT_BATCH, Manifest
from vljepa_edge.errors import InputError

Shape = tuple[int, ...]
Shapes = dict[str, tuple[Shape, Shape, Shape]]
_TYPICAL = 16  # tokens of a query or label; kernels are chosen for this length
_RANGE = re.compile(r"(\w+)=(\d+):(\d+):(\d+)")


class Range(NamedTuple):
    """The least, the typical (which TensorRT tunes for) and the largest size."""

    least: int
    typical: int
    largest: int


@dataclass(frozen=True)
class Profiles:
    """Sizes that vary: tokens of a query, tokens of a target text, tokens of a decoded text, and texts at once."""

    query: Range
    target: Range
    decoder: Range
    batch: Range

    @classmethod
    def of(cls, manifest: Manifest, chosen: str = "") -> Profiles:
        """All that the runtime can ask for, changed by `chosen`: `name=least:typical:largest`, several with commas.

        Raises InputError for an unknown name, and sizes that are out of order or above what the manifest allows.
        """
        text = manifest.text
        limits = cls(
            query=_up_to(text.query_tokens),
            target=_up_to(text.target_tokens),
            decoder=_up_to(text.decoder_tokens),
            batch=Range(1, 1, TEXT_BATCH),
        )
        names = [item.name for item in fields(cls)]
        found = limits
        for part in filter(None, chosen.split(",")):
            match = _RANGE.fullmatch(part.strip())
            if match is None or match[1] not in names:
                raise InputError(
                    f"a profile must be name=least:typical:largest, with one of {', '.join(names)}, got {part!r}"
                )
            sizes, limit = Range(*map(int, match.groups()[1:])), getattr(limits, match[1])
            if not 1 <= sizes.least <= sizes.typical <= sizes.largest <= limit.largest:
                raise InputError(f"the sizes of a profile must rise, from 1 to at most {limit.largest}, got {part!r}")
            found = replace(found, **{match[1]: sizes})
        return found

    def shapes(self, manifest: Manifest, file: str) -> Shapes:
        """For the graph in a file: the least, typical and largest shape of each input that varies, in any of its roles.

        Raises InputError for a free dimension that nothing in the manifest bounds.
        """
        varying: Shapes = {}
        for role, graph in manifest.graphs.items():
            if graph.file != file:
                continue
            for tensor in graph.inputs:
                if -1 not in tensor.shape:
                    continue
                ranges = [
                    Range(size, size, size) if size >= 0 else self._range(manifest, role, tensor.name, axis)
                    for axis, size in enumerate(tensor.shape)
                ]
                least, typical, largest = zip(*ranges, strict=True)
                known = varying.get(tensor.name, (least, typical, largest))
                varying[tensor.name] = (
                    _each(min, (known[0], least)),
                    _each(max, (known[1], typical)),
                    _each(max, (known[2], largest)),
                )
        return varying

    def _range(self, manifest: Manifest, role: str, name: str, axis: int) -> Range:
        once = Range(1, 1, 1)  # the runtime embeds one query at a time
        before = manifest.text.decoder_prefix - 1  # all that a cache holds but the text that is given
        read = Range(0, before + self.decoder.typical, before + self.decoder.largest)
        cached = role == "y_decoder" and manifest.graphs[role].input("past") is not None  # so tokens come one by one
        ranges = {
            "query": (once, self.query),
            "y_encoder": (self.batch, self.target),
            "predictor": (once, self.query) if name.startswith("query_") else (),
            "y_decoder": {"ids": (once, once if cached else self.decoder), "past": (once, once, read)}.get(name, ()),
        }.get(role, ())
        if axis >= len(ranges):
            raise InputError(f"graphs.{role}.{name}: nothing in the manifest says how large its axis {axis} gets")
        return ranges[axis]


def _up_to(most: int) -> Range:
    return Range(1, min(_TYPICAL, most), most)


def _each(choose: Callable[[tuple[int, ...]], int], shapes: Iterable[Shape]) -> Shape:
    return tuple(choose(sizes) for sizes in zip(*shapes, strict=True))
