# SPDX-License-Identifier: Apache-2.0
"""Standard output that takes any text, and says so when it takes none."""

from __future__ import annotations

import os
import sys

from face_attributes_ros.errors import OutputError


def say(text: str) -> None:
    """Prints a line at once; characters that the stream's encoding lacks as \\u escapes.

    OutputError if it cannot be written; BrokenPipeError if nobody reads any more."""
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    try:
        print(text.encode(encoding, 'backslashreplace').decode(encoding), flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _drop_standard_output()
        raise OutputError(f'cannot write standard output: {error.strerror or error}') from error


def _drop_standard_output() -> None:
    """Lets Python's own flush at the end succeed."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):  # a stream without a file behind it
        pass
