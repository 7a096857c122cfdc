# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced in one step: a kill leaves the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path


def part_of(path: Path) -> Path:
    """Where a file is written before it takes the place of `path`; it keeps the suffix."""
    return path.with_name(f'{path.stem}.part{os.getpid()}{path.suffix}')


def write(path: Path, data: bytes) -> None:
    """Bytes to a file in one step; its folder is made where there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    part.write_bytes(data)
    os.replace(part, path)
