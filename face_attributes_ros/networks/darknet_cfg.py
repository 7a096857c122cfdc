# SPDX-License-Identifier: Apache-2.0
"""Darknet's .cfg files: sections of `key=value` lines, refused where they say what is not YOLOv3.
"""
from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from face_attributes_ros.errors import ModelError

T = TypeVar('T')
LAYERS = ('convolutional', 'maxpool', 'upsample', 'route', 'shortcut', 'yolo')
_OTHER_NAMES = {'network': 'net', 'conv': 'convolutional', 'max': 'maxpool'}
_PLAIN = {'groups': 1, 'group_id': 0, 'dilation': 1, 'binary': 0, 'xnor': 0, 'antialiasing': 0,
          'maxpool_depth': 0, 'reverse': 0, 'scale_x_y': 1, 'new_coords': 0}
"""Options of later networks (YOLOv4) or of others, with the value at which YOLOv3 has them."""
_MOST_BYTES = 1 << 20
_LARGEST = 1 << 16


@dataclass(frozen=True)
class Section:
    """One section: a layer, or `net`. Its methods raise a ModelError that names file and line."""

    path: Path
    line: int
    name: str
    options: dict[str, str] = field(default_factory=dict)

    def wrong(self, what: str) -> ModelError:
        """The error that says so."""
        return ModelError(f'{self.path}, line {self.line}, [{self.name}]: {what}')

    def number(self, key: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least` on."""
        value = self.numbers(key, None if default is None else (default,))[0]
        if not least <= value <= _LARGEST:
            raise self.wrong(f'{key} is {value}, needs {least} to {_LARGEST}')
        return value

    def numbers(self, key: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Whole numbers with commas between them, one at least."""
        if key not in self.options and default is not None:
            return default
        return self._converted(key, int)

    def floats(self, key: str) -> tuple[float, ...]:
        """Numbers with commas between them, one at least."""
        return self._converted(key, float)

    def word(self, key: str, allowed: Collection[str], default: str) -> str:
        """One of some words."""
        value = self.options.get(key, default)
        if value not in allowed:
            raise self.wrong(f'{key} is {value}, which YOLOv3 does not have: needs '
                             f'{" or ".join(allowed)}')
        return value

    def _converted(self, key: str, kind: Callable[[str], T]) -> tuple[T, ...]:
        text = self.options.get(key, '')
        try:
            return tuple(kind(part) for part in text.rstrip(', ').split(','))
        except ValueError:
            raise self.wrong(f'{key} is {text!r}, needs numbers') from None


def read_cfg(path: Path) -> list[Section]:
    """The sections in order, `net` first; ModelError where they are not a YOLOv3."""
    sections = _sections(path)
    if not sections or sections[0].name != 'net':
        raise ModelError(f'{path} is no Darknet .cfg: it has to begin with [net]')
    for section in sections[1:]:
        _check_layer(section)
    if all(section.name != 'yolo' for section in sections):
        raise ModelError(f'{path} is not YOLOv3: it has no [yolo] layer')
    _check_net(sections[0])
    return sections


def _sections(path: Path) -> list[Section]:
    try:
        with open(path, 'rb') as file:
            text = file.read(_MOST_BYTES + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f'{path} is no readable text: {error}') from error
    if len(text) > _MOST_BYTES:
        raise ModelError(f'{path} is no Darknet .cfg: it is larger than {_MOST_BYTES} bytes')
    sections: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition('#')[0].partition(';')[0].strip()
        if line.startswith('[') and line.endswith(']'):
            name = line[1:-1].strip().lower()
            sections.append(Section(path, number, _OTHER_NAMES.get(name, name)))
        elif line:
            key, equals, value = line.partition('=')
            if not sections or not equals:
                raise ModelError(f'{path} is no Darknet .cfg: line {number} is {line[:60]!r}, '
                                 'needs [section] or key=value')
            sections[-1].options[key.strip()] = value.strip()
    return sections


def _check_layer(section: Section) -> None:
    if section.name not in LAYERS:
        raise ModelError(f'{section.path} is not YOLOv3: line {section.line} has [{section.name}]'
                         f', YOLOv3 is made of {", ".join(LAYERS)}')
    for key, plain in _PLAIN.items():
        if key in section.options and section.floats(key)[0] != plain:
            raise ModelError(f'{section.path} is not YOLOv3: line {section.line}, '
                             f'[{section.name}] has {key}={section.options[key]}')


def _check_net(net: Section) -> None:
    if net.number('channels', 3) != 3:
        raise net.wrong(f'channels is {net.number("channels")}, needs 3')
    for side in ('width', 'height'):
        if net.number(side) % 32:
            raise net.wrong(f'{side} is {net.number(side)}, needs a multiple of 32')
