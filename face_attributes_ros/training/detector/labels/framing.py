# SPDX-License-Identifier: Apache-2.0
"""One framing for all labels: where each source draws a face's edges, measured against detectors,
and moved.

A framing is four offsets (left, top, right, bottom) from the detectors' box to the source's, left
and right in units of that box's width, top and bottom of its height; positive is right or down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from face_attributes_ros.boxes import iou
from face_attributes_ros.errors import ParameterError

SAME_FACE_IOU = 0.4


class Framing(NamedTuple):
    """Median offsets of a source's edges, and of how many faces."""

    left: float
    top: float
    right: float
    bottom: float
    faces: int = 0

    @property
    def offsets(self) -> np.ndarray:
        return np.array(self[:4], np.float32)


DETECTORS = Framing(0.0, 0.0, 0.0, 0.0)


def pairs(boxes: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(K, 2) rows of `boxes` (N, 4) and of `found` (M, 4) that are each other's best overlap."""
    overlaps = iou(boxes, found)
    if not overlaps.size:
        return np.zeros((0, 2), int)
    theirs = overlaps.argmax(1)
    mutual = overlaps.argmax(0)[theirs] == np.arange(len(boxes))
    mine = np.flatnonzero(mutual & (overlaps.max(1) >= SAME_FACE_IOU))
    return np.stack([mine, theirs[mine]], 1)


def measure(boxes: np.ndarray, found: np.ndarray) -> Framing:
    """The `Framing` of paired boxes (K, 4): a source's and the detectors' of the same faces."""
    if not len(boxes):
        raise ValueError('a framing is measured on at least one face, got none')
    size = np.tile(found[:, 2:] - found[:, :2], 2)
    left, top, right, bottom = np.median((boxes - found) / size, axis=0).tolist()
    return Framing(left, top, right, bottom, faces=len(boxes))


def reframed(boxes: np.ndarray, own: Framing, wanted: Framing) -> np.ndarray:
    """The boxes (N, 4) as a source of framing `wanted` would have drawn those of framing `own`."""
    left, top, right, bottom = own.offsets
    growth = np.array([1 + right - left, 1 + bottom - top], np.float32)
    size = np.tile((boxes[:, 2:] - boxes[:, :2]) / growth, 2)  # of the detectors' box
    return (boxes + (wanted.offsets - own.offsets) * size).astype(np.float32)


def blended(framings: Mapping[str, Framing], wanted: str) -> Framing:
    """The mean of some sources' framings, weighted as in `wanted`: 'jol', or 'jol:3,kag:2'."""
    weights = {}
    for part in wanted.split(','):
        source, _, weight = part.partition(':')
        if source not in framings:
            raise ParameterError(f'framing {source}: needs some of {", ".join(sorted(framings))}')
        weights[source] = float(weight or 1)
    offsets = [framings[source].offsets for source in weights]
    return Framing(*np.average(offsets, axis=0, weights=list(weights.values())).tolist())
