# SPDX-License-Identifier: Apache-2.0
"""bench/results/paper.json: what was measured of the paper's systems, one entry a command, newest
in place of older."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from face_attributes_ros.training.common.results import put_result


def record(path: Path, name: str, values: Mapping[str, Any]) -> None:
    """Enters `values` under `name`, with today's date, and leaves the other entries alone."""
    today = datetime.now(timezone.utc).date().isoformat()
    put_result(path, name, {'date': today, **values})
