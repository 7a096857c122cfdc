# SPDX-License-Identifier: Apache-2.0
"""Where a detector fails, as contact sheets: the worst misses and the surest false alarms.

The sheets show people; they are for looking at, and belong outside the project.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from face_attributes_ros.boxes import iou
from face_attributes_ros.training.detector.data import Sample
from face_attributes_ros.training.detector.score import Result, match

TILE_PX = 112
SURROUNDINGS = 2.4  # side of a tile over that of the box in its middle
NEAR_IOU = 0.3  # a detection that overlaps a missed face by this found it, but not well
_SHOWN, _OTHERS = (0, 255, 0), (255, 160, 0)


class Failure(NamedTuple):
    """One face missed, or one false alarm: where, how bad (larger is worse), and what else is
    near.
    """

    sample: int
    box: np.ndarray
    badness: float
    others: np.ndarray
    caption: str


def misses(results: Sequence[Result], threshold: float) -> list[Failure]:
    """Faces that no detection of `threshold` or more finds, worst first: low scores, then large
    faces.
    """
    found = []
    for index, result in enumerate(results):
        missed = unfound(result, threshold)
        overlaps = iou(result.faces, result.boxes)
        for face in np.flatnonzero(missed):
            near = result.scores[overlaps[face] >= NEAR_IOU]
            score = float(near.max()) if len(near) else 0.0
            share = (
                math.sqrt((result.faces[face, 2:] - result.faces[face, :2]).prod())
                / result.longer_side
            )
            others = result.boxes[
                (overlaps[face] > 0.1) & (result.scores >= min(score, threshold))
            ]
            found.append(
                Failure(
                    index,
                    result.faces[face],
                    share - score,
                    others,
                    f'{score:.2f} {100 * share:.0f}%',
                )
            )
    return sorted(found, key=lambda failure: -failure.badness)


def false_alarms(results: Sequence[Result], threshold: float) -> list[Failure]:
    """Detections of `threshold` or more that are no face, the surest first."""
    found = []
    for index, result in enumerate(results):
        order = np.argsort(-result.scores, kind='stable')
        verdict = match(result.boxes[order], result.faces, result.ignore)
        for at in order[(verdict == 0) & (result.scores[order] >= threshold)]:
            score = float(result.scores[at])
            found.append(Failure(index, result.boxes[at], score, result.faces, f'{score:.2f}'))
    return sorted(found, key=lambda failure: -failure.badness)


def unfound(result: Result, threshold: float) -> np.ndarray:
    """Which faces (M,) of a `Result` the detections of `threshold` or more leave unfound."""
    sure = np.flatnonzero(result.scores >= threshold)
    order = sure[np.argsort(-result.scores[sure], kind='stable')]
    overlaps, free = iou(result.boxes[order], result.faces), np.ones(len(result.faces), bool)
    for row in overlaps:
        candidates = np.where(free, row, -1)
        if len(row) and candidates.max() >= 0.5:
            free[candidates.argmax()] = False
    return free


def sheet(failures: Sequence[Failure], samples: Sequence[Sample], count: int) -> np.ndarray:
    """The first `count` failures as one picture (H, W, 3) uint8 BGR: the box green, what else is
    there blue.
    """
    tiles = [_tile(samples[failure.sample].image(), failure) for failure in failures[:count]]
    columns = max(1, math.isqrt(count))
    tiles += [np.zeros((TILE_PX, TILE_PX, 3), np.uint8)] * (
        -len(tiles) % columns or (not tiles) * columns
    )
    rows = [np.concatenate(tiles[at : at + columns], 1) for at in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def _tile(image: np.ndarray, failure: Failure) -> np.ndarray:
    x0, y0, x1, y1 = failure.box
    side = max(SURROUNDINGS * max(x1 - x0, y1 - y0), 24.0)
    scale = TILE_PX / side
    shift = np.array([(side - x0 - x1) / 2, (side - y0 - y1) / 2]) * scale
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    tile = cv2.warpAffine(image, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_LINEAR)
    for box in failure.others:
        _draw(tile, box * scale + np.tile(shift, 2), _OTHERS)
    _draw(tile, failure.box * scale + np.tile(shift, 2), _SHOWN)
    cv2.putText(
        tile,
        failure.caption,
        (3, TILE_PX - 5),
        cv2.FONT_HERSHEY_SIMPLEX,
        0.4,
        (0, 255, 255),
        1,
        cv2.LINE_AA,
    )
    return tile


def _draw(tile: np.ndarray, box: np.ndarray, colour: tuple[int, int, int]) -> None:
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    cv2.rectangle(tile, (x0, y0), (x1, y1), colour, 1)
