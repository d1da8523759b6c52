"""Config dataclasses as JSON and back.

It is strict: a key that no field has, a missing key or a value of the wrong type is an InputError that names the key.
Where a part comes in kinds, its JSON says which (`kind`).
"""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vljepa_edge.errors import InputError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raises InputError with the message unless the condition holds."""
    if not condition:
        raise InputError(message)


def to_dict(config: Any) -> dict[str, Any]:
    """A config dataclass as plain JSON values, parts that come in kinds with theirs."""
    plain: dict[str, Any] = json.loads(json.dumps(_plain(config)))
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if not dataclasses.is_dataclass(value):
        return value
    kind = getattr(value, "kind", None)
    fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return fields if kind is None else {"kind": kind, **fields}


def from_dict(kind: type[T], data: object, where: str = "") -> T:
    """The reverse of to_dict. Raises InputError naming an unknown or missing key or a value of the wrong type."""
    if not isinstance(data, dict):
        raise InputError(f"{where or kind.__name__}: expected an object, not {type(data).__name__}")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    prefix = f"{where}." if where else ""
    tag = getattr(kind, "kind", None)
    if tag is not None:
        data = dict(data)
        found = data.pop("kind", tag)
        require(found == tag, f"'{prefix}kind' must be {tag!r}, not {found!r}")
    for key in data:
        require(key in fields, f"unknown key '{prefix}{key}'; a key must be one of {', '.join(fields)}")
    for name, field in fields.items():
        optional = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        require(optional or name in data, f"missing key '{prefix}{name}'")
    return kind(**{key: _value(hints[key], value, f"{prefix}{key}") for key, value in data.items()})


def _value(hint: Any, value: object, where: str) -> Any:
    """`value` read from JSON as the type `hint`."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        parts = [argument for argument in arguments if argument is not type(None)]
        return _value(parts[0] if len(parts) == 1 else _kind(parts, value, where), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise InputError(f"'{where}' must be a list, not {type(value).__name__}")
        kinds = (arguments[0],) * len(value) if arguments[-1] is Ellipsis else arguments
        require(len(kinds) == len(value), f"'{where}' must have {len(kinds)} items, not {len(value)}")
        return tuple(
            _value(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
        )
    if dataclasses.is_dataclass(hint):
        return from_dict(hint, value, where)  # type: ignore[arg-type]
    if origin is dict:
        require(isinstance(value, dict), f"'{where}' must be an object, not {type(value).__name__}")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    require(type(value) is hint, f"'{where}' must be {hint.__name__}, not {type(value).__name__}")
    return value


def _kind(kinds: list[Any], value: object, where: str) -> Any:
    """The class that the value's `kind` names; the first without one, as in configs older than kinds."""
    names = {kind.kind: kind for kind in kinds}
    if not isinstance(value, dict):
        raise InputError(f"{where}: expected an object, not {type(value).__name__}")
    found = value.get("kind", kinds[0].kind)
    require(isinstance(found, str) and found in names, f"'{where}.kind' must be one of {list(names)}, not {found!r}")
    return names[found]
