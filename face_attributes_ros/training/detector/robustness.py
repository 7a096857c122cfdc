# SPDX-License-Identifier: Apache-2.0
"""Test pictures made worse by a known amount: turned in plane, under little light, blurred by
motion, faces half hidden.

Light: the picture as it is stands for 1000 lux on a sensor that collects 8000 electrons at white
then. At less light it collects proportionally fewer, with Poisson shot noise and 4 electrons of
read noise, and the camera amplifies by at most 8 (18 dB); pixels are sRGB-like (gamma 2.2). At 40
lux white is 320 electrons and the picture stays three times too dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from face_attributes_ros.training.detector.augment import motion_blur, warp_boxes, warp_pixels
from face_attributes_ros.training.detector.occlusion import hide_side, put_mask

Change = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""`change(image, boxes, rng) -> (image, boxes)`."""
Hide = Callable[[np.ndarray, np.ndarray, np.random.Generator], None]
"""`hide(image, box, rng)`, in place."""

ROTATIONS_DEG = (0, 10, 20, 30, 40)
LIGHTS_LUX = (1000, 400, 200, 100, 40)
BLURS_PX = (0, 5, 10, 15)
_FULL_LUX, _WHITE_ELECTRONS, _READ_ELECTRONS, _MOST_GAIN, _GAMMA = 1000, 8000, 4, 8, 2.2


def degradations() -> dict[str, Change]:
    """Each degradation by name: `change(image, boxes, rng) -> (image, boxes)`."""
    table = {f'rotation {angle} deg': _rotation(angle) for angle in ROTATIONS_DEG}
    table |= {f'light {lux} lux': _light(lux) for lux in LIGHTS_LUX}
    table |= {'masked': _hidden(put_mask), 'a third hidden': _hidden(_hide_third)}
    return table | {f'motion blur {length} px': _blur(length) for length in BLURS_PX}


def rotated(image: np.ndarray, boxes: np.ndarray,
            angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """The image turned about its middle on a canvas that holds it all, and the boxes of the turned
    faces.
    """
    height, width = image.shape[:2]
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    linear = np.array([[cos, -sin], [sin, cos]])
    size = np.ceil(np.abs(linear) @ [width, height]).astype(int)
    shift = size / 2 - linear @ [width / 2, height / 2]
    turned = warp_pixels(image, linear, shift, int(size[0]), int(size[1]), 1.0)
    return turned, warp_boxes(boxes, linear, shift)


def at_light(image: np.ndarray, lux: float, rng: np.random.Generator) -> np.ndarray:
    """The picture as the sensor in this file's docstring records it at `lux`."""
    electrons = (image / 255.0) ** _GAMMA * (_WHITE_ELECTRONS * lux / _FULL_LUX)
    electrons = rng.poisson(electrons) + rng.normal(0, _READ_ELECTRONS, image.shape)
    linear = electrons / _WHITE_ELECTRONS * min(_FULL_LUX / lux, _MOST_GAIN)
    return (linear.clip(0, 1) ** (1 / _GAMMA) * 255).round().astype(np.uint8)


def _rotation(angle_deg: float) -> Change:
    return lambda image, boxes, rng: (
        rotated(image, boxes, angle_deg) if angle_deg else (image, boxes)
    )


def _light(lux: float) -> Change:
    return lambda image, boxes, rng: (at_light(image, lux, rng), boxes)


def _blur(length_px: float) -> Change:
    def change(image: np.ndarray, boxes: np.ndarray,
               rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return (motion_blur(image, length_px, rng.uniform(0, 180)) if length_px else image), boxes

    return change


def _hide_third(image: np.ndarray, box: np.ndarray, rng: np.random.Generator) -> None:
    hide_side(image, box, rng, 1 / 3)


def _hidden(hide: Hide) -> Change:
    def change(image: np.ndarray, boxes: np.ndarray,
               rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        image = image.copy()
        for box in boxes:
            hide(image, box, rng)
        return image, boxes

    return change
