# SPDX-License-Identifier: Apache-2.0
"""What the networks said of each image of a bag, in a file: a run that is broken off goes on from
there. JSON lines; the first says what they are about."""

from __future__ import annotations

import fcntl
import json
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import OutputError
from face_attributes_ros.paths import printable

Entry = dict[str, Any]


class Journal:
    """A journal, locked against other processes while it is open. `told` has the entries of an
    earlier run about the same; those about something else are dropped.

    OutputError if it cannot be written, or another process is at it.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._error(error) from error
        self._file = os.fdopen(handle, 'r+b', buffering=0)
        self.told: deque[Entry] = deque()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise OutputError(f'{printable(path)}: another process is at work on it') from error
        self._read(about)

    def _read(self, about: Mapping[str, Any]) -> None:
        # A line that was cut off by the end of its process is not there.
        data = self._file.read()
        data = data[:data.rfind(b'\n') + 1]
        lines = [json.loads(line) for line in data.splitlines()]
        if lines and lines[0] == json.loads(json.dumps(about)):
            self.told.extend(lines[1:])
        else:
            data = json.dumps(about).encode() + b'\n'
        self._file.seek(0)
        self._file.write(data)
        self._file.truncate()

    def write(self, entry: Entry) -> None:
        """Adds an entry, which outlives this process."""
        try:
            self._file.write(json.dumps(entry).encode() + b'\n')
        except OSError as error:
            raise self._error(error) from error

    def close(self, *, done: bool) -> None:
        """Lets go of the file; one that is done with is removed."""
        if done:
            self._path.unlink(missing_ok=True)
        self._file.close()

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f'cannot write {printable(self._path)}: {error.strerror or error}')
