# SPDX-License-Identifier: Apache-2.0
"""How a callback ends the process."""

from __future__ import annotations


class Finished(Exception):
    """Raised in a callback to end the process with an exit code; an error has been logged where it
    is not 0."""

    def __init__(self, code: int = 0) -> None:
        super().__init__(code)
        self.code = code
