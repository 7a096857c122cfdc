# SPDX-License-Identifier: Apache-2.0
"""Detections judged against labels: neutral regions, average precision, precision and recall,
F1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from face_attributes_ros.boxes import area, iou

CONFIDENCE, _NORMAL = 0.95, 1.6449  # one-sided, and its quantile of the normal distribution
NEUTRAL_OVERLAP = 0.5  # a detection is neutral when this share of it lies in one ignored region


class Result(NamedTuple):
    """What was found in one image and what is there: (N, 4) and (M, 4) xyxy px; its longer side in
    px."""

    boxes: np.ndarray
    scores: np.ndarray
    faces: np.ndarray
    ignore: np.ndarray
    longer_side: int


@dataclass(frozen=True)
class Judged:
    """Detections of many images, best score first: which are right, and how many faces there
    were."""

    scores: np.ndarray
    correct: np.ndarray
    faces: int


def match(boxes: np.ndarray, faces: np.ndarray, ignore: np.ndarray,
          iou_threshold: float = 0.5) -> np.ndarray:
    """1 right, 0 wrong, -1 neutral for each box; boxes (N, 4) must be sorted, best first.

    Each face is found once, by the best-scored box that overlaps it enough; what is left is
    neutral where it overlaps an ignored region by `iou_threshold` or lies in it by
    `NEUTRAL_OVERLAP`.
    """
    verdict, free = np.zeros(len(boxes), int), np.ones(len(faces), bool)
    overlaps = iou(boxes, faces)
    neutral = _neutral(boxes, ignore, iou_threshold)
    for index in range(len(boxes)):
        candidates = np.where(free, overlaps[index], -1)
        if len(faces) and candidates.max() >= iou_threshold:
            verdict[index], free[candidates.argmax()] = 1, False
        elif neutral[index]:
            verdict[index] = -1
    return verdict


def _neutral(boxes: np.ndarray, ignore: np.ndarray, iou_threshold: float) -> np.ndarray:
    if not len(ignore) or not len(boxes):
        return np.zeros(len(boxes), bool)
    low = np.maximum(boxes[:, None, :2], ignore[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], ignore[None, :, 2:])
    inside = (high - low).clip(0).prod(2) / np.maximum(area(boxes)[:, None], 1e-9)
    return ((inside >= NEUTRAL_OVERLAP) | (iou(boxes, ignore) >= iou_threshold)).any(1)


def judge(results: Iterable[Result], iou_threshold: float = 0.5) -> Judged:
    """`Judged` from the `Result` of each image."""
    scores, correct, count = [np.zeros(0)], [np.zeros(0, bool)], 0
    for result in results:
        order = np.argsort(-result.scores, kind='stable')
        verdict = match(result.boxes[order], result.faces, result.ignore, iou_threshold)
        scores.append(result.scores[order][verdict >= 0])
        correct.append(verdict[verdict >= 0] == 1)
        count += len(result.faces)
    every = np.concatenate(scores)
    order = np.argsort(-every, kind='stable')
    return Judged(every[order], np.concatenate(correct)[order], count)


def precision_recall(judged: Judged) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) after each detection, best score first."""
    right = np.cumsum(judged.correct)
    return right / np.maximum(np.arange(1, len(right) + 1), 1), right / max(judged.faces, 1)


def average_precision(judged: Judged) -> float:
    """Area under the precision envelope at every recall (PASCAL VOC 2010 on), 0..1."""
    precision, recall = precision_recall(judged)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def best_f1(judged: Judged) -> tuple[float, float]:
    """(F1, score threshold) where F1, the harmonic mean of both, is largest; (0, 1) without
    detections."""
    precision, recall = precision_recall(judged)
    if not len(precision):
        return 0.0, 1.0
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return float(f1.max()), float(judged.scores[f1.argmax()])


class Quiet(NamedTuple):
    """A score, and what face-free pictures show at it: how many pictures, false alarms in them,
    and the most false alarms a picture that `CONFIDENCE` leaves possible."""

    threshold: float
    pictures: int
    alarms: int
    bound: float


def face_free(results: Iterable[Result]) -> list[np.ndarray]:
    """The scores found in each picture without faces and without regions to ignore."""
    return [r.scores for r in results if not len(r.faces) and not len(r.ignore)]


def quiet_threshold(free: Sequence[np.ndarray], most: float) -> Quiet:
    """The lowest score at which false alarms a face-free picture are at most `most`, with
    `CONFIDENCE`.

    `free` holds each picture's scores. Where there are too few pictures to be so sure, it is the
    score above all of them; 0 without any.
    """
    best = _quiet_at(free, _just_above(max((s.max(initial=0) for s in free), default=0)))
    for score in np.unique(np.concatenate([*free, np.zeros(0)]))[::-1]:
        lower = _quiet_at(free, float(score))
        if lower.bound > most:
            return best._replace(threshold=_just_above(score))
        best = lower
    return best._replace(threshold=0.)


def _quiet_at(free: Sequence[np.ndarray], threshold: float) -> Quiet:
    counts = np.array([(scores >= threshold).sum() for scores in free], float)
    alarms = int(counts.sum())
    together = float((counts ** 2).sum()) / alarms if alarms else 1.
    bound = together * poisson_bound(alarms / together) / len(free) if free else 0.
    return Quiet(threshold, len(free), alarms, bound)


def poisson_bound(count: float) -> float:
    """The largest mean that a Poisson `count` leaves possible with `CONFIDENCE`, within 1 %
    (Wilson and Hilferty, 1931, of the chi-squared quantile).

    Where alarms come several a picture, their number over how many come together is such a count.
    """
    degrees = count + 1
    return float(degrees * (1 - 1 / (9 * degrees) + _NORMAL / (3 * degrees ** .5)) ** 3)


def _just_above(score: float) -> float:
    return float(np.nextafter(np.float32(score), np.float32(1)))
