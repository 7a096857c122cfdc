# SPDX-License-Identifier: Apache-2.0
"""Options: the fields of a frozen settings class, each with its default, range, unit and meaning.

    @dataclass(frozen=True)
    class Settings:
        rate: float = live(10., 'Images a second.', unit='Hz', low=.01, high=1000.)

        def __post_init__(self):
            check(self)

ROS parameters, the YAML file, the documented table and command-line arguments are read from
`options(Settings)`.
"""

from __future__ import annotations

import argparse
import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, TypeVar

from face_attributes_ros.errors import ParameterError

S = TypeVar('S')
_TYPE_NAMES: dict[type, str] = {bool: 'boolean', int: 'whole number', float: 'number',
                                str: 'string'}


@dataclass(frozen=True)
class Option:
    """One option. `field` is its name in Python, `name` the same with a dot behind its group, as
    ROS has it; its type is that of `default`. `low` and `high` bound numbers, `choices` strings.
    `live` ones may be set while the node runs, the others while it is unconfigured, those of
    `once` at the start only."""

    field: str
    name: str
    default: Any
    meaning: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    once: bool = False

    def check(self, value: object) -> Any:
        """The value, a whole number made a float and a list a tuple where that is needed;
        ParameterError unless its type and range are right."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if kind is tuple and isinstance(value, (list, tuple, array)):
            value = tuple(value)
        if type(value) is not kind or (isinstance(value, tuple)
                                       and not all(type(item) is self._item for item in value)):
            raise ParameterError(f'parameter {self.name} is {value!r}, needs a {self.type_name}')
        self._check_range(value)
        return value

    def read(self, text: str) -> Any:
        """The value that a text gives, as YAML would read it, a list with commas; ParameterError
        as of `check`."""
        if isinstance(self.default, tuple):
            return self.check(tuple(self._one(part.strip(), self._item)
                                    for part in text.split(',')))
        return self.check(self._one(text, type(self.default)))

    def _one(self, text: str, kind: type) -> Any:
        if kind is bool:
            return {'true': True, 'false': False}.get(text.lower(), text)
        try:
            return kind(text)
        except ValueError:
            return text  # `check` says what it is and what it should be

    def _check_range(self, value: Any) -> None:
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise ParameterError(f'parameter {self.name} is {value}, needs {self.range_text}')
        if self.choices and value not in self.choices:
            raise ParameterError(f'parameter {self.name} is {value!r}, needs one of '
                                 f'{", ".join(self.choices)}')

    @property
    def type_name(self) -> str:
        """The type in words."""
        is_array = isinstance(self.default, tuple)
        return f'{_TYPE_NAMES[self._item]} array' if is_array else _TYPE_NAMES[type(self.default)]

    @property
    def _item(self) -> type:
        return type(self.default[0])

    @property
    def range_text(self) -> str:
        """What is allowed, in words; empty when anything of the type is."""
        if self.choices:
            return ', '.join(self.choices)
        return '' if self.low is None else f'{self.low:g} to {self.high:g}'


def fixed(default: Any, meaning: str, **limits: Any) -> Any:
    """A field of a settings class that is read when the node is configured."""
    return field(default=default, metadata={'meaning': meaning, **limits})


def once(default: Any, meaning: str, **limits: Any) -> Any:
    """A field of a settings class that is read at the start of the process and never again."""
    return field(default=default, metadata={'meaning': meaning, 'once': True, **limits})


def live(default: Any, meaning: str, **limits: Any) -> Any:
    """A field of a settings class that may be set while the node runs."""
    return field(default=default, metadata={'meaning': meaning, 'live': True, **limits})


def options(settings_class: type[Any]) -> tuple[Option, ...]:
    """The options of a settings class in the order of its fields. Its `GROUPS`, where it has them,
    are prefixes that ROS names set off by a dot: `detector_iou` is `detector.iou`."""
    cached: Any = _options  # mypy holds that a class may not be hashable
    found: tuple[Option, ...] = cached(settings_class)
    return found


@lru_cache
def _options(settings_class: Any) -> tuple[Option, ...]:
    groups = getattr(settings_class, 'GROUPS', ())
    return tuple(Option(one.name, _dotted(one.name, groups), one.default, **one.metadata)
                 for one in fields(settings_class))


def _dotted(name: str, groups: tuple[str, ...]) -> str:
    group = next((group for group in groups if name.startswith(f'{group}_')), None)
    return name if group is None else f'{group}.{name[len(group) + 1:]}'


def check(settings: Any) -> None:
    """Checks every field of a settings object, in its `__post_init__`; ParameterError names the
    one that is wrong."""
    for option in options(type(settings)):
        value = option.check(getattr(settings, option.field))
        object.__setattr__(settings, option.field, value)


def from_values(settings_class: type[S], values: Mapping[str, Any]) -> S:
    """The settings that values by ROS name make, defaults filled in; ParameterError names an
    unknown one."""
    fields_by_name = {option.name: option.field for option in options(settings_class)}
    unknown = [name for name in values if name not in fields_by_name]
    if unknown:
        raise ParameterError(f'unknown parameter {", ".join(unknown)}')
    return settings_class(**{fields_by_name[name]: value for name, value in values.items()})


def to_values(settings: Any) -> dict[str, Any]:
    """The values of a settings object by ROS name."""
    return {option.name: getattr(settings, option.field) for option in options(type(settings))}


def add_arguments(parser: argparse.ArgumentParser, settings_class: type[Any],
                  flags: Mapping[str, str]) -> None:
    """Declares `flags` (command-line flag to field) with types, ranges and defaults of their
    options, and `--set NAME=VALUE` for all others."""
    by_field = {option.field: option for option in options(settings_class)}
    for flag, name in flags.items():
        option = by_field[name]
        note = ', '.join(filter(None, (option.unit, option.range_text)))
        text = option.meaning.replace('%', '%%') + (f' ({note})' if note else '')
        if isinstance(option.default, bool):
            parser.add_argument(flag, dest=name, action='store_true', help=text)
        else:
            parser.add_argument(flag, dest=name, type=_from_text(option), default=option.default,
                                metavar=flag.strip('-').upper(),
                                help=f'{text} (default: {_yaml(option.default)})')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='any other parameter of docs/parameters.md, in its words there')


def from_arguments(settings_class: type[S], args: argparse.Namespace,
                   flags: Mapping[str, str]) -> S:
    """The settings that parsed arguments of `add_arguments` make; ParameterError names what is
    wrong in one of `--set`."""
    by_name = {option.name: option for option in options(settings_class)}
    values = {name: getattr(args, name) for name in flags.values()}
    for text in args.set:
        name, equals, value = text.partition('=')
        if not equals or name not in by_name:
            raise ParameterError(f'--set {text}: needs NAME=VALUE with the name of a parameter')
        values[by_name[name].field] = by_name[name].read(value)
    return settings_class(**values)


def _from_text(option: Option) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return option.read(text)
        except ParameterError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def markdown(settings_class: type) -> str:
    """The table of the documentation."""
    rows = ['| Parameter | Type | Default | Range | Live | Meaning |', '|---|---|---|---|---|---|']
    for option in options(settings_class):
        unit = f' {option.unit}' if option.unit else ''
        rows.append(f'| `{option.name}` | {option.type_name} | `{_yaml(option.default)}`{unit} | '
                    f'{option.range_text} | {"yes" if option.live else ""} | {option.meaning} |')
    return '\n'.join(rows) + '\n'


def yaml(settings_class: type) -> str:
    """A parameters file: every option with its default and a comment."""
    lines = ['/**:', '  ros__parameters:']
    group = ''
    for option in options(settings_class):
        head, _, tail = option.name.rpartition('.')
        if head != group:
            lines.append(f'    {head}:')
            group = head
        indent = ' ' * (6 if head else 4)
        notes = ', '.join(filter(None, (option.unit, option.range_text,
                                        'live' if option.live else '')))
        lines += [f'{indent}# {option.meaning}' + (f' ({notes})' if notes else ''),
                  f'{indent}{tail}: {_yaml(option.default)}']
    return '\n'.join(lines) + '\n'


def _yaml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return '[' + ', '.join(map(_yaml, value)) + ']'
    if isinstance(value, str):
        return f"'{value}'"
    return str(float(value)) if isinstance(value, float) and math.isfinite(value) else str(value)
