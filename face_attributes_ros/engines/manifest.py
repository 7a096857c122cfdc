# SPDX-License-Identifier: Apache-2.0
"""Reads a manifest.toml and checks every value: what comes out has the types and ranges that the
rest of the package relies on."""

from __future__ import annotations

import difflib
import re
import reprlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import ModelError

if sys.version_info >= (3, 11):
    import tomllib
else:  # ROS 2 Humble
    import tomli as tomllib

__all__ = ['KEYS', 'LARGEST_BYTES', 'TASKS', 'Key', 'read_tables', 'tomllib']

TASKS = ('detector', 'attributes')
LARGEST_BYTES = 1 << 20
"""Of a manifest: the shipped one has 4 kB."""


@dataclass(frozen=True)
class Key:
    """One key of a model's table: what it needs in words, and whether a value is that."""

    need: str
    fits: Callable[[Any], bool]
    required: bool = False


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 10_000 and '\0' not in value


def _is_file(suffix: str) -> Callable[[Any], bool]:
    return lambda value: (_is_text(value) and value.endswith(suffix) and len(value) <= 1000 and
                          all(len(part.encode()) <= 255 for part in value.split('/')))


def _is_sha256(value: Any) -> bool:
    # That it is the file's is checked where the file is opened; drafts may leave it empty.
    return isinstance(value, str) and len(value) <= 64


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e18  # of NaN, that is false too


def _in(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: _is_number(value) and low <= value <= high


def _is_table(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(fits, value.values()))


def _is_figure(value: Any) -> bool:
    return _is_number(value) or isinstance(value, (str, bool))


_FILE = 'the name of an {} file, no part of it longer than 255 bytes'
_SHA256 = 'at most 64 hexadecimal digits'
_FIGURES = Key('a table of numbers, words or booleans', _is_table(_is_figure))
KEYS = {
    'task': Key(f'one of {", ".join(TASKS)}', lambda value: value in TASKS, required=True),
    'file': Key(_FILE.format('.onnx'), _is_file('.onnx'), required=True),
    'sha256': Key(_SHA256, _is_sha256, required=True),
    'licence': Key('words', _is_text, required=True),
    'data': Key('words', _is_text, required=True),
    'input_px': Key('a whole number from 16 to 4096',
                    lambda value: type(value) is int and 16 <= value <= 4096, required=True),
    'crop_scale': Key('a number from 0.1 to 10', _in(.1, 10)),
    'torch_file': Key(_FILE.format('.safetensors'), _is_file('.safetensors')),
    'torch_sha256': Key(_SHA256, _is_sha256),
    'int8_file': Key(_FILE.format('.onnx'), _is_file('.onnx')),
    'int8_sha256': Key(_SHA256, _is_sha256),
    'int8_made_from': Key('the sha256 above it', _is_sha256),
    'auto_precisions': Key('a list of bf16 and int8',
                           lambda value: isinstance(value, (list, tuple)) and all(
                               one in ('bf16', 'int8') for one in value)),
    'thresholds': Key('a table of numbers from 0 to 1', _is_table(_in(0, 1))),
    'metrics': _FIGURES,
    'int8_metrics': _FIGURES,
}
"""Of `[models.NAME]`. Others are left alone, but for what looks like a misspelling of one."""
_MADE: dict[str, Callable[[Any], Any]] = {'crop_scale': float, 'auto_precisions': tuple}
_TOGETHER = (('torch_file', 'torch_sha256'), ('int8_file', 'int8_sha256', 'int8_made_from'))


def read_tables(path: Path) -> dict[str, dict[str, Any]]:
    """The models' tables by name, each with values that KEYS allows; ModelError names the file,
    the key, the value and what it needs."""
    tables = _parsed(path).get('models', {})
    if not isinstance(tables, dict):
        raise ModelError(f'manifest {path}: models is {_short(tables)}, needs a table')
    return {name: _checked(name, table, path) for name, table in tables.items()}


def _parsed(path: Path) -> dict[str, Any]:
    try:
        if not path.is_file():
            raise ModelError(f'manifest {path}: is not there, or not a file')
        if path.stat().st_size > LARGEST_BYTES:
            raise ModelError(f'manifest {path}: has {path.stat().st_size} bytes, needs at most '
                             f'{LARGEST_BYTES}')
        return tomllib.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:  # neither UTF-8 nor TOML are ValueErrors, too
        raise ModelError(f'manifest {_short(path)}: {str(error).splitlines()[0]}') from error
    except RecursionError as error:
        raise ModelError(f'manifest {path}: nests too deeply') from error


def _checked(name: str, table: Any, path: Path) -> dict[str, Any]:
    where = f'manifest {path}: models.{_short_name(name)}'
    if not re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._-]{0,99}', name):
        raise ModelError(f'{where}: needs a name of letters, digits, dots, - and _, at most 100')
    if not isinstance(table, dict):
        raise ModelError(f'{where} is {_short(table)}, needs a table')
    for key, rule in KEYS.items():
        if (key in table or rule.required) and not rule.fits(table.get(key)):
            raise ModelError(f'{where}.{key} is {_short(table.get(key))}, needs {rule.need}')
    _refuse_misspelt(where, table)
    _refuse_halves(where, table)
    return {key: _MADE[key](value) if key in _MADE else value
            for key, value in table.items() if key in KEYS}


def _refuse_misspelt(where: str, table: dict[str, Any]) -> None:
    for key in table.keys() - KEYS:
        near = difflib.get_close_matches(key[:100], KEYS, 1, .8)
        if near:
            raise ModelError(f'{where}.{_short_name(key)} is unknown, did you mean {near[0]!r}?')


def _refuse_halves(where: str, table: dict[str, Any]) -> None:
    for keys in _TOGETHER:
        missing = [key for key in keys if key not in table]
        if 0 < len(missing) < len(keys):
            raise ModelError(f'{where}.{missing[0]} is missing beside '
                             f'{", ".join(key for key in keys if key in table)}')
    if table.get('int8_made_from', table['sha256']) != table['sha256']:
        raise ModelError(f'{where}.int8_file was made from other weights than file: run '
                         'face-attributes export int8 again')


def _short(value: Any) -> str:
    try:
        return _REPR.repr(value)
    except ValueError:  # Python does not write out an integer of thousands of digits
        return f'a {type(value).__name__} of that many digits'


def _short_name(name: str) -> str:
    return name if len(name) <= 100 else f'{name[:100]}...'


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100
