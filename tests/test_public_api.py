"""Whatever a public call takes or gives has a public name."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import vljepa_edge

# Of other packages, or shapes that need no name.
_ELSEWHERE = ("builtins", "collections", "os", "pathlib", "numpy", "typing", "types", "enum")


# What the package itself calls, and who writes an engine, a policy or a bundle: their types are in engines/base.py,
# _core.pyi and bundle/manifest.py.
_INTERNAL = {
    *("Model.__init__", "Perception.__init__", "Labels.__init__", "StreamOptions.changed", "StreamOptions.filled"),
    *("Manifest.entries", "Manifest.x_encoders"),
    *(f"{policy}.start" for policy in ("Policy", "Budget", "LocalVariance", "RunningWard", "Uniform")),
}


def modules() -> dict[str, Any]:
    """Names that annotations use and that are imported for type checkers only."""
    from vljepa_edge.bundle import manifest, store
    from vljepa_edge.engines import base
    from vljepa_edge.perception import head, labels, perception, text, text_sets, vision
    from vljepa_edge.streaming import async_reader, event, listeners, options, policy, reader, stats, stream
    from vljepa_edge.tasks import answer, classify, clips, retrieve
    from vljepa_edge.video import frame, preprocess, source

    found: dict[str, Any] = {}
    for module in (manifest, store, base, head, labels, perception, text, text_sets, vision, async_reader, event,
                   listeners, options, policy, reader, stats, stream, answer, classify, clips, retrieve, frame,
                   preprocess, source):  # fmt: skip
        found |= vars(module)
    return found


def callables() -> Iterator[tuple[str, Any]]:
    """Public functions, methods and properties, by their dotted name."""
    for name in vljepa_edge.__all__:
        value = getattr(vljepa_edge, name)
        if inspect.isfunction(value):
            yield name, value
        if not inspect.isclass(value):
            continue
        for attribute, member in inspect.getmembers(value):
            if attribute.startswith("_") and attribute != "__init__":
                continue
            function = member.fget if isinstance(member, property) else inspect.unwrap(member)
            function = getattr(function, "__func__", function)
            known = f"{name}.{attribute}" in _INTERNAL
            if inspect.isfunction(function) and function.__module__.startswith("vljepa_edge") and not known:
                yield f"{name}.{attribute}", function


def named(annotation: Any) -> Iterator[type]:
    """The classes that an annotation is made of."""
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return
    if origin is not None or isinstance(annotation, types.UnionType):
        if isinstance(origin, type):
            yield origin
        for part in typing.get_args(annotation):
            for each in part if isinstance(part, list) else [part]:
                yield from named(each)
    elif isinstance(annotation, type):
        yield annotation


@pytest.mark.parametrize(
    ("name", "function"), list(callables()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_type_of_a_signature_is_public(name: str, function: Any) -> None:
    hints = typing.get_type_hints(function, {**modules(), **function.__globals__}, include_extras=False)
    public = {
        getattr(vljepa_edge, other) for other in vljepa_edge.__all__ if other != "__version__" and other != "SourceLike"
    }
    for part, annotation in hints.items():
        assert annotation is not Any, f"{part} of {name} is Any"
        for each in named(annotation):
            assert each in public or each.__module__.split(".")[0] in _ELSEWHERE, f"{part} of {name} is {each}"


@pytest.mark.parametrize(
    "name", ["Answer", "Event", "Frame", "Hit", "Score", "Segment", "SourceStats", "Stats", "WindowEmbedding"]
)
def test_every_field_of_a_result_has_a_public_type(name: str) -> None:
    public = {
        getattr(vljepa_edge, other) for other in vljepa_edge.__all__ if other not in ("__version__", "SourceLike")
    }
    hints = typing.get_type_hints(getattr(vljepa_edge, name), modules())
    assert hints
    for field, annotation in hints.items():
        for each in named(annotation):
            assert each in public or each.__module__.split(".")[0] in _ELSEWHERE, f"{field} of {name} is {each}"


def test_a_source_is_whatever_open_takes() -> None:
    parts = typing.get_args(vljepa_edge.SourceLike)
    assert str in parts and any(typing.get_origin(part) is np.ndarray for part in parts)
    assert sum(typing.get_origin(part) is collections.abc.Iterable for part in parts) == 3
