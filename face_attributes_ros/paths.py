# SPDX-License-Identifier: Apache-2.0
"""Paths as people write them, and as they can be shown."""

from __future__ import annotations

import os
from pathlib import Path

from face_attributes_ros.errors import ParameterError


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with a leading ~ or ~user made a home folder; a file that is really called so stays
    itself. ParameterError for a user that there is not."""
    path = Path(path)
    if not path.parts or not path.parts[0].startswith('~') or os.path.lexists(path):
        return path
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ParameterError(f'path {printable(path)}: there is no home folder '
                             f'{path.parts[0]}') from error


def printable(path: str | os.PathLike[str]) -> str:
    """The path as one line of text: bytes that are not UTF-8 as \\xff, and what would move a
    terminal's cursor as \\n or \\x1b."""
    text = os.fsencode(path).decode('utf-8', 'backslashreplace')
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
