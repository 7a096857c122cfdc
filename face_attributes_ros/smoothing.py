# SPDX-License-Identifier: Apache-2.0
"""One track's attributes over time: slow facts are averaged over its life, quick ones over a
moment."""

from __future__ import annotations

import math
from dataclasses import replace

from face_attributes_ros.estimator import expression_label, gender_label

_SLOW = ('age_years', 'age_std_years', 'age_low', 'age_high', 'p_female')
FULL_WEIGHT_FACE_PX = 48


def quality_weight(face, attributes):
    """How much one look at a face counts, 0 to 1: its score, size, frontality and the network's
    own quality."""
    x0, y0, x1, y1 = face.box_xyxy
    size = min(1., max(x1 - x0, y1 - y0) / FULL_WEIGHT_FACE_PX)
    frontal = max(.1, math.cos(attributes.yaw_rad)) if attributes.yaw_rad is not None else 1.
    quality = attributes.quality if attributes.quality is not None else 1.
    return max(1e-3, face.score * size * frontal * quality)


class AttributeSmoother:
    """Averages what one track shows.

    Age and gender do not change: their mean over the track's life, weighted by `quality_weight`.
    Expression and smile do: an exponential mean with `smoothing_time_constant`, and a new
    expression is named only when it leads by `smoothing_expression_hysteresis`. Head pose and landmarks are handed on as they are:
    they are of use only now.
    """

    def __init__(self):
        self._weight, self._slow = 0., {}
        self._quick, self._stamp_s, self._label = {}, None, None

    def update(self, attributes, weight, stamp_s, settings):
        """The smoothed attributes after one more look, which counts `weight` and was taken at
        `stamp_s` seconds."""
        values = {
            **self._update_slow(attributes, weight),
            **self._update_quick(attributes, stamp_s, settings.smoothing_time_constant)
        }
        if 'p_female' in values and attributes.gender is not None:
            values['gender'] = gender_label(values['p_female'],
                                            settings.attributes_gender_threshold)
        if 'expression_probs' in values:
            values['expression'] = self._expression(values['expression_probs'], settings)
        return replace(attributes, **values)

    def _update_slow(self, attributes, weight):
        self._weight += weight
        share = weight / self._weight
        for name in _SLOW:
            value = getattr(attributes, name)
            if value is not None:
                old = self._slow.get(name, value)
                self._slow[name] = old + share * (value - old)
        return {
            name: value
            for name, value in self._slow.items()
            if getattr(attributes, name) is not None
        }

    def _update_quick(self, attributes, stamp_s, time_constant_s):
        elapsed = 0. if self._stamp_s is None else max(0., stamp_s - self._stamp_s)
        self._stamp_s = stamp_s
        share = 1. if time_constant_s <= 0 else 1 - math.exp(-elapsed / time_constant_s)
        smile, probs = attributes.smile, attributes.expression_probs
        quick = {}
        if smile is not None:
            old = self._quick.get('smile', smile)
            quick['smile'] = old + share * (smile - old)
        if probs is not None:  # seven floats: arithmetic on them is quicker without numpy
            quick['expression_probs'] = tuple(
                old + share * (new - old)
                for old, new in zip(self._quick.get('expression_probs', probs), probs))
        self._quick = quick
        return dict(quick)

    def _expression(self, probs, settings):
        best = max(range(len(probs)), key=probs.__getitem__)
        lead = settings.smoothing_expression_hysteresis
        if self._label is None or probs[best] > probs[self._label] + lead:
            self._label = best
        return expression_label(probs, settings.attributes_expression_threshold, self._label)
