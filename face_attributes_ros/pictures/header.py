# SPDX-License-Identifier: Apache-2.0
"""What the first bytes of a picture say of it, before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Header:
    """Size of a picture, and where its data ends.

    `width`, `height` in pixels as stored, not turned yet. `end` is the number of bytes that belong
    to the picture; what follows is not its. `turn` is EXIF's orientation, 1 to 8. `white` is the
    value of white where the file says one that is not the most its type can hold. `area_px` is
    what a decoder allocates where that is more than width times height. `whole` looks at decoded
    pixels (H, W, 3), and says whether all of them came from the file; None where the bytes alone
    have told. `floating` pixels are floats. `unturned` is the data without its turn, where OpenCV
    would turn it whatever it is told.
    """

    width: int
    height: int
    end: int
    turn: int = 1
    white: int | None = None
    area_px: int = 0
    whole: Callable[[np.ndarray], bool] | None = None
    floating: bool = False
    unturned: bytes | None = None

    @property
    def megapixels(self) -> float:
        """What a decoder has to allocate, in millions of pixels."""
        return max(self.width * self.height, self.area_px) / 1e6


class CutShort(Exception):
    """The data ends, or scans are missing, before the picture does."""


class Malformed(Exception):
    """The data is not what its format allows; the message says where."""
