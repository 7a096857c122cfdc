# SPDX-License-Identifier: Apache-2.0
"""Pictures that are nearly the same, found by a 256-bit difference hash, mirrored or not."""

from __future__ import annotations

import cv2
import numpy as np

NEAR = 24  # bits of 256; unrelated pictures lie some 128 apart
_SIDE = 16
_BLOCK = 512
_BITS = np.array([value.bit_count() for value in range(256)], np.uint8)


def difference_hash(image_bgr: np.ndarray) -> np.ndarray:
    """(32,) uint8: for each of 16 x 16 cells whether it is darker than its right neighbour."""
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    cells = cv2.resize(grey, (_SIDE + 1, _SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(cells[:, 1:] > cells[:, :-1])


def hashes(image_bgr: np.ndarray) -> np.ndarray:
    """(2, 32) uint8: the hash of a picture and that of its mirror image."""
    return np.stack([difference_hash(image_bgr), difference_hash(image_bgr[:, ::-1])])


def nearest(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) the fewest bits by which each of `some` (N, 32) differs from any of `others` (M, 32);
    256 without any.
    """
    found = np.full(len(some), 8 * some.shape[1], int)
    for at in range(0, len(some), _BLOCK):
        for start in range(0, len(others), _BLOCK):
            apart = some[at : at + _BLOCK, None] ^ others[None, start : start + _BLOCK]
            bits = _BITS[apart].sum(2, dtype=int)
            found[at : at + _BLOCK] = np.minimum(found[at : at + _BLOCK], bits.min(1))
    return found


def first_of_each(table: np.ndarray, near: int = NEAR) -> np.ndarray:
    """(N,) bool: pictures that are not within `near` bits of an earlier kept one; `table` (N, 2,
    32) of `hashes`.
    """
    kept, count = np.zeros(len(table), bool), 0
    seen = np.empty((2 * len(table), table.shape[2]), np.uint8)
    for index, both in enumerate(table):
        kept[index] = not count or nearest(both[:1], seen[:count])[0] > near
        if kept[index]:
            seen[count : count + 2] = both
            count += 2
    return kept
