# SPDX-License-Identifier: Apache-2.0
"""bench/results/paper.json: what was measured of the paper's systems, one entry a command, newest
in place of older."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path

from face_attributes_ros.errors import DataError


def read(path):
    """The entries by name; none where there is no file."""
    path = Path(path)
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise DataError(f'{path} is not JSON: {error}') from error


def record(path, name, values):
    """Enters `values` under `name`, with today's date, and leaves the other entries alone."""
    path = Path(path)
    entries = read(path) | {
        name: {'date': datetime.now(timezone.utc).date().isoformat(), **values}
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'{path.name}.part{os.getpid()}')
    part.write_text(json.dumps(dict(sorted(entries.items())), indent=1) + '\n', encoding='utf-8')
    os.replace(part, path)
