# SPDX-License-Identifier: Apache-2.0
"""A YAML file of settings as a frozen dataclass, each value checked against its field's type.

A field whose `metadata` holds `read` is made by that function from the YAML's value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import yaml

from face_attributes_ros.errors import ParameterError

T = TypeVar('T')


def read_config(path: Path, kind: type[T]) -> T:
    """The `kind` that a YAML file describes. Raises `ParameterError` with file, key, value and
    need where it does not."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding='utf-8'))
    except (OSError, yaml.YAMLError) as error:
        raise ParameterError(f'{path} is not a readable YAML file: {error}') from error
    try:
        return made(kind, values)
    except ParameterError as error:
        raise ParameterError(f'{path}: {error}') from error


def made(kind: type[T], values: object, where: str = '') -> T:
    """The dataclass `kind` of a table of plain values; `where` is the table's key."""
    if not isinstance(values, Mapping):
        raise _wrong(where or 'the file', values, f'a table of {kind.__name__}')
    hints, known = get_type_hints(kind), {one.name: one for one in fields(cast(Any, kind))}
    for key in values:
        if key not in known:
            raise ParameterError(f'{_under(where, key)} is no setting; known are '
                                 f'{", ".join(known)}')
    for name, one in known.items():
        if name not in values and _is_required(one):
            raise ParameterError(f'{_under(where, name)} is missing, needs '
                                 f'{_named(hints[name])}')
    return kind(**{key: _field(known[key], hints[key], value, _under(where, key))
                   for key, value in values.items()})


def _is_required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _field(one: Field[Any], hint: Any, value: object, where: str) -> Any:
    read: Callable[[Any], Any] | None = one.metadata.get('read')
    if read is None:
        return _value(hint, value, where)
    try:
        return read(value)
    except (TypeError, ValueError, KeyError) as error:
        raise ParameterError(f'{where} is {value!r}: {error}') from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if hint is Any:
        return value
    if is_dataclass(hint):
        return made(cast(type, hint), value, where)
    reader = _READERS.get(get_origin(hint) or hint)
    if reader is None:
        raise TypeError(f'{where}: settings of type {hint} are not read from YAML')
    return reader(hint, value, where)


def _plain(hint: Any, value: Any, where: str) -> Any:
    if type(value) is not hint:      # a bool is no int
        raise _wrong(where, value, _named(hint))
    return value


def _float(hint: Any, value: Any, where: str) -> float:
    if type(value) not in (int, float):
        raise _wrong(where, value, 'a number')
    return float(value)


def _tuple(hint: Any, value: Any, where: str) -> tuple[Any, ...]:
    parts = get_args(hint)
    if not isinstance(value, list | tuple):
        raise _wrong(where, value, 'a list')
    if len(parts) == 2 and parts[1] is Ellipsis:
        parts = (parts[0],) * len(value)
    if len(parts) != len(value):
        raise _wrong(where, value, f'a list of {len(parts)}')
    return tuple(_value(part, item, f'{where}[{number}]')
                 for number, (part, item) in enumerate(zip(parts, value, strict=True)))


def _dict(hint: Any, value: Any, where: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, 'a table')
    key_hint, item_hint = get_args(hint)
    return {_value(key_hint, key, f'a key of {where}'): _value(item_hint, item,
                                                               _under(where, key))
            for key, item in value.items()}


def _literal(hint: Any, value: Any, where: str) -> Any:
    if value not in get_args(hint):
        raise _wrong(where, value, _named(hint))
    return value


def _union(hint: Any, value: Any, where: str) -> Any:
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    if value is None and NoneType in get_args(hint):
        return None
    return _value(kinds[0], value, where)


_READERS: dict[Any, Callable[[Any, Any, str], Any]] = {
    int: _plain, bool: _plain, str: _plain, float: _float, tuple: _tuple, dict: _dict,
    Literal: _literal, Union: _union, UnionType: _union
}


def _under(where: str, key: object) -> str:
    return f'{where}.{key}' if where else str(key)


def _named(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f'one of {", ".join(map(str, get_args(hint)))}'
    if is_dataclass(hint) or get_origin(hint) is dict:
        return 'a table'
    return {int: 'a whole number', float: 'a number', str: 'a text', bool: 'true or false',
            tuple: 'a list'}.get(get_origin(hint) or hint, str(hint))


def _wrong(where: str, value: object, need: str) -> ParameterError:
    return ParameterError(f'{where} is {value!r}, needs {need}')
