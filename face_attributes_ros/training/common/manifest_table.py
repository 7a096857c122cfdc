# SPDX-License-Identifier: Apache-2.0
"""Writes one model's table into `models/manifest.toml` and leaves every other line alone."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import ModelError
from face_attributes_ros.training.common.files import write

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def toml_value(value: object) -> str:
    """A string, number, boolean or list as TOML; strings are JSON strings, which TOML reads."""
    return repr(round(value, 6)) if isinstance(value, float) else json.dumps(
        value, ensure_ascii=False)


def toml_table(name: str, values: Mapping[str, Any]) -> str:
    """TOML lines of `[models.NAME]` and, behind it, its sub-tables."""
    plain = {key: value for key, value in values.items() if not isinstance(value, dict)}
    lines = [
        f'[models.{name}]', *(f'{key} = {toml_value(value)}' for key, value in plain.items()), ''
    ]
    for key, value in values.items():
        if isinstance(value, dict):
            lines += toml_table(f'{name}.{key}', value).splitlines() + ['']
    return '\n'.join(lines).rstrip('\n') + '\n'


def without_table(text: str, name: str) -> str:
    """The text of a manifest without `[models.NAME]` and its sub-tables."""
    table = re.compile(rf'^\[models\.{re.escape(name)}[\].](?:.*\n)(?:(?!\[).*\n?)*', re.MULTILINE)
    return table.sub('', text)


def model_table(path: Path, name: str) -> dict[str, Any]:
    """The table of a model as it stands in a manifest. Raises `ModelError` where it does not."""
    try:
        values: dict[str, Any] = tomllib.loads(
            Path(path).read_text(encoding='utf-8'))['models'][name]
    except (OSError, KeyError) as error:
        raise ModelError(f'model {name!r} is not in {path}') from error
    return values


def put_metrics(path: Path, name: str, figures: Mapping[str, Any],
                thresholds: Mapping[str, float] | None = None) -> None:
    """Adds figures to `[models.NAME.metrics]`, and thresholds to `.thresholds`, of a manifest that
    has the model."""
    values = model_table(path, name)
    for table, added in (('thresholds', thresholds or {}), ('metrics', figures)):
        values[table] = values.get(table, {}) | dict(added)
    put_table(path, name, values)


def allow_precision(path: Path, name: str, precision: str, allowed: bool) -> None:
    """Lists a precision in `auto_precisions` of a model, or takes it out."""
    values = model_table(path, name)
    others = [one for one in values.get('auto_precisions', ()) if one != precision]
    listed = sorted([*others, precision]) if allowed else others
    kept = {key: value for key, value in values.items() if key != 'auto_precisions'}
    put_table(path, name, kept | ({'auto_precisions': listed} if listed else {}))


def put_table(path: Path, name: str, values: Mapping[str, Any]) -> None:
    """Replaces or appends the table of one model; the file is replaced in one step."""
    path = Path(path)
    text = without_table(path.read_text(encoding='utf-8') if path.is_file() else '',
                         name).rstrip('\n')
    write(path, ((text + '\n\n' if text else '') + toml_table(name, values)).encode())
