# SPDX-License-Identifier: Apache-2.0
"""Whether the last scan of a progressive JPEG holds all its blocks.

Earlier scans that end too early are followed by no others, which the segments tell. The last one
mostly refines the brightness by its last bit (T.81, annex G.1.2.3): where its data is there,
nearly every block with something in it differs from what it is without that scan; behind the place
where its data ends, only those that libjpeg smooths differently. A scan that lacks less than a
twentieth of such blocks is not found out."""

from __future__ import annotations

import cv2
import numpy as np

_TEXTURE = 24
"""Levels between the darkest and the brightest pixel of a block that has something in it."""
_FEW = 24
"""Fewer blocks than that say nothing."""
_REFINED, _UNREFINED = .95, .8
"""More of the first blocks, and less of the last, differ where the scan was cut."""


def whole(data: bytes, last_scan: int, pixels: np.ndarray) -> bool:
    """False where the last scan, whose segment starts at byte `last_scan` and refines brightness,
    ends before the picture (H, W, 3) does. Decodes it once more, without that scan."""
    without = cv2.imdecode(np.frombuffer(data[:last_scan] + b'\xff\xd9', np.uint8),
                           cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if without is None or without.shape != pixels.shape or min(pixels.shape[:2]) < 8:
        return True
    plane = _blocks(cv2.cvtColor(without, cv2.COLOR_BGR2GRAY))
    textured = np.asarray(plane.max((1, 3)) - plane.min((1, 3)) >= _TEXTURE)
    changed = np.asarray(_blocks((pixels != without).any(2)).any((1, 3)))
    refined = changed[textured]
    some = max(_FEW, len(refined) // 20)
    return len(refined) < 2 * some or not (
        refined[:some].mean() > _REFINED and refined[-some:].mean() < _UNREFINED)


def _blocks(plane: np.ndarray) -> np.ndarray:
    """(rows, 8, columns, 8) of a plane (H, W), what is left over at its right and bottom cut."""
    rows, columns = plane.shape[0] // 8, plane.shape[1] // 8
    return plane[:rows * 8, :columns * 8].reshape(rows, 8, columns, 8)
