# SPDX-License-Identifier: Apache-2.0
"""Files of JSON lines that grow, and failures to write that are said once."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rclpy.impl.rcutils_logger import RcutilsLogger

from face_attributes_ros.errors import OutputError
from face_attributes_ros.paths import printable


class JsonLines:
    """A file of one JSON object a line, readable by its owner only if it is new. What is in it
    already stays, what comes is added; a line is there as a whole or not at all."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except (OSError, ValueError) as error:  # ValueError: a zero byte
            raise self._error(error) from error
        self._before = self._unfinished_line()

    def _unfinished_line(self) -> bytes:
        """What has to stand before the next line, where an earlier run was cut off in one."""
        try:
            size = os.fstat(self._handle).st_size
            return b'\n' if size and os.pread(self._handle, 1, size - 1) != b'\n' else b''
        except OSError:  # no regular file, as /dev/stdout
            return b''

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds one line; OutputError where it cannot be written, none of it stays then."""
        data = self._before + json.dumps(record, allow_nan=False).encode() + b'\n'
        start = os.fstat(self._handle).st_size
        try:
            while data:
                data = data[os.write(self._handle, data):]
        except OSError as error:
            if os.fstat(self._handle).st_size > start:
                os.ftruncate(self._handle, start)
            raise self._error(error) from error
        self._before = b''

    def close(self) -> None:
        """Closes the file."""
        os.close(self._handle)

    def _error(self, error: OSError | ValueError) -> OutputError:
        reason = getattr(error, 'strerror', None) or error
        return OutputError(f'cannot write {printable(self.path)}: {reason}')


class Failures:
    """Logs the first of a row of failures to write, and how many there were once it works
    again."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger, self.count = logger, 0

    def failed(self, error: OutputError) -> None:
        """Says the error if the one before it was a success."""
        self.count += 1
        if self.count == 1:
            self._logger.error(f'{error}; what follows is not said again')

    def worked(self) -> None:
        """Says how much is missing, if anything is."""
        if self.count:
            self._logger.warning(f'writes again; {self.count} could not be written')
        self.count = 0
