# SPDX-License-Identifier: Apache-2.0
"""What `auto` measured, in one small file of the user's cache: times by CPU, versions and
checksums, and nothing of any image.

A file that is missing, unreadable, too large or not what we wrote only means that `auto` measures
again; what it says can at most make one allowed candidate look faster than another.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

LARGEST_BYTES = 1 << 20
MOST_ENTRIES = 64
"""The oldest go first: each CPU, model, version and number of threads has one."""

Times = dict[str, float]
"""Milliseconds by candidate, as 'openvino fp32'."""


def cache_root() -> Path:
    """Our folder in the user's cache; RuntimeError for a user without a home."""
    given = os.environ.get('XDG_CACHE_HOME', '')
    # The XDG specification wants relative ones ignored.
    root = Path(given) if given.startswith('/') else Path.home() / '.cache'
    return root / 'face_attributes_ros'


def cache_file() -> Path:
    """Where the times are kept."""
    return cache_root() / 'auto.json'


def read(key: Mapping[str, Any]) -> Times | None:
    """The times kept under a key; None where there are none that can be believed."""
    wanted = json.dumps(key, sort_keys=True)
    return next((entry['ms'] for entry in reversed(_entries())
                 if json.dumps(entry['key'], sort_keys=True) == wanted), None)


def write(key: Mapping[str, Any], times: Times) -> str:
    """Keeps times under a key, readable for their owner only; '' or why that could not be done."""
    others = [entry for entry in _entries() if entry['key'] != dict(key)]
    entries = [*others, {'key': dict(key), 'ms': {name: round(ms, 3) for name, ms in
                                                  times.items()}}]
    try:
        _replace(cache_file(), json.dumps({'entries': entries[-MOST_ENTRIES:]}, indent=1))
    except (OSError, RuntimeError) as error:
        return getattr(error, 'strerror', None) or str(error)
    return ''


def _entries() -> list[dict[str, Any]]:
    try:
        path = cache_file()
        if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
            return []
        read_in = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError, RuntimeError, RecursionError):
        return []
    entries = read_in.get('entries') if isinstance(read_in, dict) else None
    return [entry for entry in entries if _fits(entry)] if isinstance(entries, list) else []


def _fits(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get('key'), dict):
        return False
    times = entry.get('ms')
    return isinstance(times, dict) and bool(times) and all(
        type(ms) in (int, float) and math.isfinite(ms) and 0 < ms < 1e6 for ms in times.values())


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number, part = tempfile.mkstemp(prefix='auto.', suffix='.part', dir=path.parent)  # 0600
    try:
        with os.fdopen(number, 'w', encoding='utf-8') as file:
            file.write(text + '\n')
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
