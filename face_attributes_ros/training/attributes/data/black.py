# SPDX-License-Identifier: Apache-2.0
"""Faces cut out on black get surroundings again, or a network learns the cut, not the face."""

from __future__ import annotations

import cv2
import numpy as np

DARK = 24
"""Grey level up to which a pixel that hangs together with the border counts as cut away."""


def cut_away(crop: np.ndarray) -> np.ndarray:
    """(H, W) bool: dark pixels of a uint8 BGR crop that hang together with its border."""
    dark = (crop.max(2) <= DARK).astype(np.uint8)
    framed = cv2.copyMakeBorder(dark, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=1)
    _, parts = cv2.connectedComponents(framed, connectivity=4)
    outside = (parts == parts[0, 0])[1:-1, 1:-1].astype(np.uint8)
    return cv2.dilate(outside, np.ones((5, 5), np.uint8)).astype(bool)


def fill_black(crop: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The crop with what was cut away replaced: by another crop, by a colour, or by noise."""
    return np.where(cut_away(crop)[:, :, None], filling(crop.shape, other, random), crop)


def filling(shape: tuple[int, ...], other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What may lie around a face: half the time another crop, else a colour, smooth or noisy."""
    choice = random.random()
    if choice < 0.5:
        return other
    spread = 0 if choice < 0.8 else 30
    noise = random.normal(0, 1, shape) * spread
    return np.clip(random.integers(0, 256, 3) + noise, 0, 255).astype(np.uint8)
