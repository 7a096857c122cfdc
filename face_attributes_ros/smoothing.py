# SPDX-License-Identifier: Apache-2.0
"""One track's attributes over time: slow facts are averaged over its life, quick ones over a
moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.head import Mean
from face_attributes_ros.heads import HEADS
from face_attributes_ros.settings import Settings

FULL_WEIGHT_FACE_PX = 48

_LIFE, _MOMENT = (tuple(name for head in HEADS.values() if head.mean is mean
                        for name in head.reads) for mean in (Mean.LIFE, Mean.MOMENT))
_LABELS = tuple(head.label for head in HEADS.values() if head.label)
_WEIGHTS = tuple((head.said, head.weight) for head in HEADS.values() if head.weight)


def quality_weight(face: Face, attributes: Attributes) -> float:
    """How much one look at a face counts, 0 to 1: its score, its size, and what heads say of it
    (frontality, quality)."""
    x0, y0, x1, y1 = face.box_xyxy
    size = min(1., max(x1 - x0, y1 - y0) / FULL_WEIGHT_FACE_PX)
    share = face.score * size
    for said, weight in _WEIGHTS:
        if said(attributes):
            share *= weight(attributes)
    return max(1e-3, share)


class AttributeSmoother:
    """Averages what one track shows, each head by its `Mean`.

    What does not change: the mean over the track's life, weighted by `quality_weight`. What does:
    an exponential mean with `smoothing_time_constant`. What is of use only now is handed on as it
    is. Labels follow from the averaged numbers.
    """

    def __init__(self) -> None:
        self._weight = 0.
        self._stamp_s: float | None = None
        self._life: dict[str, Any] = {}
        self._moment: dict[str, Any] = {}
        self._held: dict[str, int] = {}

    def update(self, attributes: Attributes, weight: float, stamp_s: float,
               settings: Settings) -> Attributes:
        """The smoothed attributes after one more look, which counts `weight` and was taken at
        `stamp_s` seconds."""
        self._weight += weight
        life = _mixed(self._life, attributes, _LIFE, weight / self._weight)
        moment = _mixed(self._moment, attributes, _MOMENT,
                        self._share(stamp_s, settings.smoothing_time_constant))
        self._life.update(life)
        self._moment = moment
        values = {**life, **moment}
        for label in _LABELS:
            if label.of in values:
                values[label.field], self._held[label.field] = label.choose(
                    values[label.of], self._held.get(label.field), settings)
        return replace(attributes, **values)

    def _share(self, stamp_s: float, time_constant_s: float) -> float:
        elapsed = 0. if self._stamp_s is None else max(0., stamp_s - self._stamp_s)
        self._stamp_s = stamp_s
        return 1. if time_constant_s <= 0 else 1 - math.exp(-elapsed / time_constant_s)


def _mixed(means: dict[str, Any], attributes: Attributes, names: Sequence[str],
           share: float) -> dict[str, Any]:
    # The means after `share` of this look; only of what it shows.
    mixed: dict[str, Any] = {}
    for name in names:
        new = getattr(attributes, name)
        if new is None:
            continue
        old = means.get(name, new)
        if isinstance(new, tuple):  # seven floats: arithmetic on them is quicker without numpy
            mixed[name] = tuple([a + share * (b - a) for a, b in zip(old, new)])
        else:
            mixed[name] = old + share * (new - old)
    return mixed
