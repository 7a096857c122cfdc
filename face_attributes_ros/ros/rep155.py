# SPDX-License-Identifier: Apache-2.0
"""A track in the words and units of REP 155: the fields of hri_msgs 2.x, without that package.

What is not known. The likeliest expression is always named, sure or not, with its calibrated
probability as `confidence`: hri_msgs has no word for "unknown", a message that stays away would
leave the last expression standing, and an empty word breaks those who look it up. Valence and
arousal are not estimated: not-a-number, which is neither above nor below any threshold, where 0
would say "neither pleased nor displeased". An age that is not known is 0 with the confidence 0, a
gender UNDEFINED with the confidence 0; where neither is known there is no message. Pupils are not
found: the middle of the eye stands in for them, with the confidence 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.faces import EMOTIONS, EXPRESSIONS, GENDER_CODES, GENDERS, Track

Size = tuple[int, int]
"""Width and height of an image, pixels."""

AGE_WITHIN_YEARS = 5.
"""`age_confidence` is the probability, by the model's own spread, that the age is right to so many
years: a whole number of years has no other."""

RIGHT_EYE, LEFT_EYE = range(36, 42), range(42, 48)
"""The subject's own sides; dlib's and iBUG's numbers are those of hri_msgs/FacialLandmarks."""


def roi(track: Track, size: Size) -> dict[str, float]:
    """Of NormalizedRegionOfInterest2D: the part of the box that lies in the image, as shares of
    its width and height, and the detector's score."""
    x0, y0, x1, y1 = track.face.box_xyxy
    (left, right), (top, bottom) = ((_share(low, side), _share(high, side))
                                    for low, high, side in ((x0, x1, size[0]), (y0, y1, size[1])))
    return {'xmin': left, 'ymin': top, 'xmax': right, 'ymax': bottom, 'c': track.face.score}


def _share(value: float, whole: int) -> float:
    return min(1., max(0., value / whole))


def landmarks(track: Track, size: Size) -> list[tuple[float, float, float]] | None:
    """Of FacialLandmarks: x and y of 70 points as shares of the image, inside it, and how sure
    each is, which is how sure the face is; None where this image shows none."""
    if track.raw is None or track.raw.landmarks_xy is None:
        return None
    points = list(track.raw.landmarks_xy)
    sure = [track.face.score] * len(points) + [0., 0.]
    points += [_middle([points[index] for index in eye]) for eye in (RIGHT_EYE, LEFT_EYE)]
    return [(_share(x, size[0]), _share(y, size[1]), c) for (x, y), c in zip(points, sure)]


def _middle(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))


def expression(track: Track) -> dict[str, Any] | None:
    """Of Expression; None where the expression is not estimated."""
    seen = track.attributes
    if seen is None or seen.expression_probs is None:
        return None
    probs = seen.expression_probs
    named = seen.expression if seen.expression in EXPRESSIONS else None
    word = named or EXPRESSIONS[max(range(len(probs)), key=probs.__getitem__)]
    return {'expression': EMOTIONS[word], 'confidence': probs[EXPRESSIONS.index(word)],
            'valence': math.nan, 'arousal': math.nan}


def softbiometrics(track: Track) -> dict[str, Any] | None:
    """Of SoftBiometrics; None where neither age nor gender is known."""
    seen = track.attributes
    known_age = seen is not None and seen.age_years is not None
    known_gender = seen is not None and seen.gender in GENDER_CODES
    if seen is None or not (known_age or known_gender):
        return None
    p_female = seen.p_female or 0.
    return {'age': round(min(255., max(0., seen.age_years or 0.))),
            'age_confidence': _within(seen.age_std_years) if known_age else 0.,
            'gender': GENDER_CODES[seen.gender] if known_gender and seen.gender else 0,
            'gender_confidence': 0. if not known_gender
            else p_female if seen.gender == GENDERS[0] else 1 - p_female}


def _within(std_years: float | None) -> float:
    if std_years is None:
        return 0.
    return math.erf(AGE_WITHIN_YEARS / (std_years * math.sqrt(2))) if std_years > 0 else 1.


def cropped(image_bgr: np.ndarray, track: Track, side_px: int) -> np.ndarray:
    """What the box holds of the image as a picture (side, side, 3) uint8 BGR of its own: in its
    middle, its longer side filling it, black around it."""
    height, width = image_bgr.shape[:2]
    x0, y0, x1, y1 = track.face.box_xyxy
    left, right = max(0, math.floor(x0)), min(width, math.ceil(x1))
    top, bottom = max(0, math.floor(y0)), min(height, math.ceil(y1))
    picture = np.zeros((side_px, side_px, 3), np.uint8)
    if right <= left or bottom <= top:
        return picture
    gain = side_px / max(right - left, bottom - top)
    w, h = (max(1, round(gain * each)) for each in (right - left, bottom - top))
    x, y = (side_px - w) // 2, (side_px - h) // 2
    picture[y:y + h, x:x + w] = cv2.resize(
        image_bgr[top:bottom, left:right], (w, h),
        interpolation=cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR)
    return picture


def aligned(image_bgr: np.ndarray, track: Track, side_px: int) -> np.ndarray | None:
    """The face upright by its landmarks, a picture as of `cropped`; None where this image shows no
    landmarks."""
    if track.raw is None or track.raw.landmarks_xy is None:
        return None
    transform = alignment.aligned_transform(track.raw.landmarks_xy, side_px)
    return alignment.crop(image_bgr, transform, np.empty((side_px, side_px, 3), np.uint8),
                          cv2.BORDER_CONSTANT)
