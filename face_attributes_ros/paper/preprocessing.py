# SPDX-License-Identifier: Apache-2.0
"""The paper's image preparation as options: bilinear resize by four coefficients, grey by luma
weights.

The default pipeline letterboxes with OpenCV (`boxes.Letterbox`); these are for reproducing the
paper.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LUMA_RGB = (0.2989, 0.5870, 0.1140)      # ITU-R BT.601 as rounded by the paper
PAPER_SIZE_PX = 448


def bilinear_resize(image: ArrayLike, width: int, height: int,
                    antialias: bool = False) -> NDArray[np.float32]:
    """The image (H, W) or (H, W, C) as (height, width[, C]) float32, sampled at half-pixel
    centres.

    f(x, y) = a + b u + c v + d u v between the four neighbours, u and v the fractions of a pixel:
    a = f00, b = f10 - f00, c = f01 - f00, d = f00 - f10 - f01 + f11. Edges repeat. With
    `antialias` the filter widens by the factor of reduction, so that every source pixel counts
    when the image shrinks.
    """
    values = np.asarray(image, np.float32)
    if antialias and (width < values.shape[1] or height < values.shape[0]):
        rows, columns = _weights(values.shape[0], height), _weights(values.shape[1], width)
        resized = np.einsum('yi,ij...,xj->yx...', rows, values, columns, optimize=True)
        return np.asarray(resized, np.float32)
    x0, x1, u = _neighbours(values.shape[1], width)
    y0, y1, v = _neighbours(values.shape[0], height)
    ones = [1] * (values.ndim - 2)  # for the channels, where there are any
    u, v = u.reshape(1, -1, *ones), v.reshape(-1, 1, *ones)
    f00, f10 = values[y0][:, x0], values[y0][:, x1]
    f01, f11 = values[y1][:, x0], values[y1][:, x1]
    a, b, c, d = f00, f10 - f00, f01 - f00, f00 - f10 - f01 + f11
    return a + b * u + c * v + d * u * v


def _neighbours(source: int, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each target pixel its two source pixels along an axis and the fraction between them."""
    at = ((np.arange(target) + 0.5) * source / target - 0.5).clip(0, source - 1)
    low = np.floor(at).astype(int)
    return low, np.minimum(low + 1, source - 1), (at - low).astype(np.float32)


def _weights(source: int, target: int) -> NDArray[np.float32]:
    """(target, source) weights of a triangle filter as wide as the reduction, each row summing to
    one."""
    radius = max(source / target, 1.0)
    centres = (np.arange(target) + 0.5) * source / target
    distances = np.abs(np.arange(source) + 0.5 - centres[:, None]) / radius
    weights = (1 - distances).clip(0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def grey(image_bgr: ArrayLike) -> NDArray[np.float32]:
    """0.2989 R + 0.5870 G + 0.1140 B of a BGR image: (H, W) float32, in the image's own levels."""
    return np.asarray(image_bgr, np.float32) @ np.array(LUMA_RGB[::-1], np.float32)


def paper_input(image_bgr: ArrayLike, antialias: bool = False) -> NDArray[np.float32]:
    """The paper's network input: grey, resized to 448 x 448 whatever the aspect, (448, 448)
    float32 0..255."""
    return bilinear_resize(grey(image_bgr), PAPER_SIZE_PX, PAPER_SIZE_PX, antialias)
