# SPDX-License-Identifier: Apache-2.0
"""JSON files of results with one entry a name, the newest in place of older ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.common.files import write


def read_results(path: Path) -> dict[str, Any]:
    """The entries by name; none where there is no file. Raises `DataError` where it is not
    JSON."""
    path = Path(path)
    if not path.is_file():
        return {}
    try:
        entries: dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DataError(f'{path} is not JSON: {error}') from error
    return entries


def put_result(path: Path, name: str, values: Mapping[str, Any]) -> None:
    """Enters `values` under `name` and leaves the other entries alone."""
    entries = read_results(path) | {name: dict(values)}
    write(Path(path), (json.dumps(dict(sorted(entries.items())), indent=1) + '\n').encode())
