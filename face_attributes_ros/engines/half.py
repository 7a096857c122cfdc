# SPDX-License-Identifier: Apache-2.0
"""How far a network in half precision is from the same one in fp32, on one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from face_attributes_ros.engines.seam import OpenNetwork

PROBABILITIES = ('gender', 'expression', 'smile', 'face', 'quality')
"""Heads whose numbers are from 0 to 1."""
ROWS = 10
"""A detector's boxes are compared where fp32 is surest: the others say nothing about any face."""
LARGEST_BOX_PX, LARGEST_PROBABILITY = 4., .05
"""Beyond these something is wrong; rounding moves boxes by tenths of a pixel of the canvas."""


@dataclass(frozen=True)
class Difference:
    """The largest differences; None where the network has no boxes, or no probabilities. `finite`
    is False where half precision overflowed."""

    box_px: float | None = None
    probability: float | None = None
    finite: bool = True

    @property
    def small(self) -> bool:
        """Whether half precision may be used."""
        return (self.finite and (self.box_px or 0.) <= LARGEST_BOX_PX
                and (self.probability or 0.) <= LARGEST_PROBABILITY)

    @property
    def words(self) -> str:
        """The differences as they stand in the log."""
        if not self.finite:
            return 'some of its numbers are not finite'
        parts = []
        if self.box_px is not None:
            parts.append(f'largest box difference {self.box_px:.2f} px')
        if self.probability is not None:
            parts.append(f'largest probability difference {self.probability:.4f}')
        return ', '.join(parts) or 'nothing to compare'


def difference(half: OpenNetwork, exact: OpenNetwork, sample: np.ndarray) -> Difference:
    """What half precision changes in the outputs for `sample` (B, H, W, 3) uint8."""
    mine, theirs = _by_name(half, sample), _by_name(exact, sample)
    if not all(np.isfinite(values).all() for values in mine.values()):
        return Difference(finite=False)
    probabilities = [_largest(mine[name] - theirs[name]) for name in PROBABILITIES
                     if name in mine]
    box_px = None
    if 'detections' in mine:
        rows, other = (some['detections'].reshape(-1, 5) for some in (mine, theirs))
        surest = np.argsort(-other[:, 4], kind='stable')[:ROWS]
        box_px = _largest(rows[surest, :4] - other[surest, :4])
        probabilities.append(_largest(rows[:, 4] - other[:, 4]))
    return Difference(box_px, max(probabilities, default=None))


def _by_name(network: OpenNetwork, sample: np.ndarray) -> dict[str, np.ndarray]:
    found: Sequence[np.ndarray] = network(sample)
    return {name: np.asarray(values, np.float32) for name, values in zip(network.outputs, found)}


def _largest(differences: np.ndarray) -> float:
    return float(np.abs(differences).max(initial=0.))
