# SPDX-License-Identifier: Apache-2.0
"""Training pictures: random views of one image, mosaics of four, faces pasted onto face-free
images.

All pixel work is OpenCV on uint8; all randomness comes from the `numpy.random.Generator` that is
passed in, so a picture depends on (seed, step) only and a resumed run repeats the interrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from face_attributes_ros.boxes import LETTERBOX_GREY

SMALLEST_TARGET_PX = 5.0  # smaller faces are painted over: neither a target nor a false alarm
LEAST_VISIBLE = 0.4  # of a face's area; what is cut further by the edge is painted over


@dataclass(frozen=True)
class Augment:
    """How often and how far pictures are changed; shares are probabilities of a picture."""

    mosaic: float = 0.5
    mosaic_counts: tuple[int, ...] = (4, 4, 4, 9)  # pictures in one, drawn from these; squares
    composite: float = 0.12
    crowd: float = 0.0
    distant: float = 0.0
    occlusion: float = 0.0
    rotate: float = 0.35
    rotate_deg: float = 30.0
    zoom_on_face: float = 0.5
    grey: float = 0.1
    low_light: float = 0.08
    motion_blur: float = 0.08
    resample: float = 0.05
    jpeg: float = 0.05


@dataclass(frozen=True)
class Picture:
    """A decoded image (H, W, 3) uint8 BGR with its faces (N, 4) float32 xyxy in pixels."""

    image: np.ndarray
    boxes: np.ndarray


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number whose logarithm is uniform between those of `low` and `high`."""
    return math.exp(rng.uniform(math.log(low), math.log(max(high, low))))


def random_view(picture: Picture, width: int, height: int, rng: np.random.Generator,
                augment: Augment) -> Picture:
    """A `width` x `height` view: scaled, moved, perhaps mirrored and turned, grey outside the
    image.
    """
    scale, centre = _scale_and_centre(picture, width, height, rng, augment)
    angle = (
        math.radians(rng.uniform(-1, 1) * augment.rotate_deg)
        if rng.random() < augment.rotate
        else 0.0
    )
    return warp(picture, width, height, scale, centre, angle, rng.random() < 0.5)


def warp(picture: Picture, width: int, height: int, scale: float, centre: np.ndarray,
         angle_rad: float, mirror: bool) -> Picture:
    """The view whose middle shows `centre`, scaled by `scale` and turned by `angle_rad`, mirrored
    on demand.

    A turned box is the bounding box of the turned ellipse inscribed in the old one, as faces are
    round.
    """
    cos, sin = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    linear = np.array([[cos, -sin], [sin, cos]])
    if mirror:
        linear[0] *= -1
    shift = np.array([width / 2, height / 2]) - linear @ centre
    image = warp_pixels(picture.image, linear, shift, width, height, scale)
    return Picture(*erase_lost(image, warp_boxes(picture.boxes, linear, shift)))


def warp_pixels(image: np.ndarray, linear: np.ndarray, shift: np.ndarray, width: int, height: int,
                scale: float) -> np.ndarray:
    """The `width` x `height` image that shows the source's point p at `linear @ p + shift`; grey
    outside.
    """
    factor = int(1 / scale)
    if factor >= 2 and min(image.shape[:2]) >= 2 * factor:  # bilinear alone would skip pixels
        height_px, width_px = image.shape[:2]
        small = cv2.resize(
            image, (width_px // factor, height_px // factor), interpolation=cv2.INTER_AREA
        )
        linear = linear * np.array([width_px / small.shape[1], height_px / small.shape[0]])
        image = small
    pixel_centres = (
        shift + linear @ [0.5, 0.5] - 0.5
    )  # boxes count from pixel edges, OpenCV from centres
    matrix = np.concatenate([linear, pixel_centres[:, None]], 1)
    return cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(LETTERBOX_GREY,) * 3,
    )


def warp_boxes(boxes: np.ndarray, linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The boxes around the ellipses inscribed in `boxes` after `linear @ p + shift`."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ linear.T + shift
    radii = (boxes[:, 2:] - boxes[:, :2]) / 2
    radii = np.sqrt(radii**2 @ (linear**2).T)
    return np.concatenate([centres - radii, centres + radii], 1).astype(np.float32)


def erase_lost(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture with faces too small or mostly outside painted over, and the remaining boxes."""
    height, width = image.shape[:2]
    clipped = boxes.clip(0, [width, height] * 2).astype(np.float32)
    area, seen = ((b[:, 2:] - b[:, :2]).clip(0).prod(1) for b in (boxes, clipped))
    keep = (np.sqrt(seen) >= SMALLEST_TARGET_PX) & (seen >= LEAST_VISIBLE * area)
    paint_over(image, clipped[~keep & (seen > 0)])
    return image, clipped[keep]


def paint_over(image: np.ndarray, boxes: np.ndarray) -> None:
    """Fills the boxes (N, 4) xyxy px, inside the image, with their mean colour, in place."""
    for box in boxes:
        x0, y0, x1, y1 = np.concatenate([np.floor(box[:2]), np.ceil(box[2:])]).astype(int)
        if x1 > x0 and y1 > y0:
            image[y0:y1, x0:x1] = image[y0:y1, x0:x1].mean((0, 1))


def _scale_and_centre(picture: Picture, width: int, height: int, rng: np.random.Generator,
                      augment: Augment) -> tuple[float, np.ndarray]:
    """Either a chosen face at a chosen size near the middle, or most of the image."""
    source_height, source_width = picture.image.shape[:2]
    fit = min(width / source_width, height / source_height)
    if len(picture.boxes) and rng.random() < augment.zoom_on_face:
        box = picture.boxes[rng.integers(len(picture.boxes))]
        wanted_px = log_uniform(rng, 9, 0.75 * min(width, height))
        scale = wanted_px / math.sqrt(max(1.0, (box[2] - box[0]) * (box[3] - box[1])))
        scale = min(max(scale, 0.6 * fit), max(3 * fit, 1.5))
        jitter = rng.uniform(-0.4, 0.4, 2) * np.array([width, height]) / scale
        centre = (box[:2] + box[2:]) / 2 + jitter
    else:
        scale = fit * log_uniform(rng, 0.8, 1.8)
        centre = np.array([source_width, source_height]) * 0.5
    return scale, _inside(
        centre, (source_width, source_height), (width / scale, height / scale), rng
    )


def _inside(centre: np.ndarray, source_size: tuple[int, int], view_size: tuple[float, float],
            rng: np.random.Generator) -> np.ndarray:
    """The centre moved so that the view shows as much of the image as fits; random where it is the
    larger.
    """
    moved = []
    for at, source, view in zip(centre, source_size, view_size):
        slack = abs(source - view) / 2
        if view >= source:
            moved.append(source / 2 + rng.uniform(-slack, slack))
        else:
            moved.append(
                min(max(at + rng.uniform(-0.2, 0.2) * slack, view / 2), source - view / 2)
            )
    return np.array(moved)


def mosaic(pictures: Sequence[Picture], size: int, rng: np.random.Generator,
           augment: Augment) -> Picture:
    """Four (or nine, or sixteen) pictures in one `size` x `size` canvas, divided at random lines.
    """
    columns = math.isqrt(len(pictures))
    xs, ys = (_dividers(columns, size, rng) for _ in range(2))
    canvas, boxes = np.empty((size, size, 3), np.uint8), []
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        x0, x1, y0, y1 = xs[column], xs[column + 1], ys[row], ys[row + 1]
        view = random_view(picture, x1 - x0, y1 - y0, rng, augment)
        canvas[y0:y1, x0:x1] = view.image
        boxes.append(view.boxes + np.array([x0, y0, x0, y0], np.float32))
    return Picture(canvas, np.concatenate(boxes))


def _dividers(count: int, size: int, rng: np.random.Generator) -> list[int]:
    inner = (np.arange(1, count) + rng.uniform(-0.15, 0.15, count - 1) * 2 / count) * size / count
    return [0, *(int(at) for at in inner), size]


def composite(background: Picture, givers: Sequence[Picture], size: int, rng: np.random.Generator,
              augment: Augment) -> Picture:
    """Faces of `givers` pasted with soft edges, 2 to 8 of 9 px and more, onto a view of a
    face-free image.
    """
    view = random_view(background, size, size, rng, augment)
    canvas, boxes = view.image, [view.boxes]
    for giver in givers:
        face = cut_face(giver, log_uniform(rng, 9, 0.28 * size), rng)
        spot = _free_spot(face.image.shape, np.concatenate(boxes), size, rng)
        if spot is None:
            continue
        paste_soft(canvas, face.image, spot)
        boxes.append(face.boxes + np.array([*spot, *spot], np.float32))
    return Picture(canvas, np.concatenate(boxes).astype(np.float32))


def cut_face(picture: Picture, wanted_px: float, rng: np.random.Generator) -> Picture:
    """One face, `wanted_px` large, with some surroundings and whoever else is in them."""
    box = picture.boxes[rng.integers(len(picture.boxes))]
    side = math.sqrt(max(1.0, (box[2] - box[0]) * (box[3] - box[1])))
    scale = min(wanted_px / side, 1.5)
    margin = 1 + rng.uniform(0.5, 1.0)
    width, height = (max(8, int(length * margin * scale)) for length in box[2:] - box[:2])
    return warp(
        picture,
        width,
        height,
        scale,
        (box[:2] + box[2:]) / 2,
        math.radians(rng.uniform(-15, 15)),
        rng.random() < 0.5,
    )


def _free_spot(shape: tuple[int, ...], boxes: np.ndarray, size: int,
               rng: np.random.Generator) -> tuple[int, int] | None:
    """Top left corner where a patch of `shape` overlaps no box, or None after eight tries."""
    height, width = shape[:2]
    for _ in range(8):
        x, y = (int(rng.integers(0, max(1, size - length))) for length in (width, height))
        apart = (
            (boxes[:, 0] > x + width)
            | (boxes[:, 2] < x)
            | (boxes[:, 1] > y + height)
            | (boxes[:, 3] < y)
        )
        if apart.all() and x + width <= size and y + height <= size:
            return x, y
    return None


def paste_soft(canvas: np.ndarray, patch: np.ndarray, spot: tuple[int, int]) -> None:
    height, width = patch.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    alpha = ((1 - (x**4 + y**4)) * 4).clip(0, 1)[..., None].astype(np.float32)
    under = canvas[spot[1] : spot[1] + height, spot[0] : spot[0] + width]
    under[:] = (patch * alpha + under * (1 - alpha)).astype(np.uint8)


def photometric(image: np.ndarray, rng: np.random.Generator, augment: Augment) -> np.ndarray:
    """The picture under other light, through a worse camera, or grey; boxes do not change."""
    image = _tone(image, rng)
    if rng.random() < augment.grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    if rng.random() < augment.motion_blur:
        image = motion_blur(image, rng.uniform(3, 15), rng.uniform(0, 180))
    if rng.random() < augment.resample:
        image = _resample(image, rng.uniform(0.4, 0.8))
    if rng.random() < augment.low_light:
        image = dim(image, log_uniform(rng, 0.06, 0.5), rng.uniform(1, 6), rng)
    if rng.random() < augment.jpeg:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 70))]
        image = np.asarray(cv2.imdecode(cv2.imencode('.jpg', image, quality)[1],
                                        cv2.IMREAD_COLOR))
    return image


def _tone(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gain, gamma and a colour cast by one table a channel."""
    levels = np.linspace(0, 1, 256)
    gamma, gain = log_uniform(rng, 0.6, 1.6), log_uniform(rng, 0.7, 1.3)
    casts = 1 + rng.uniform(-0.12, 0.12, 3)
    table = (levels[:, None] ** gamma * gain * casts * 255).clip(0, 255).astype(np.uint8)
    return cv2.LUT(image, table[:, None])


def motion_blur(image: np.ndarray, length_px: float, angle_deg: float) -> np.ndarray:
    """The picture as a camera moving `length_px` along `angle_deg` during the exposure sees it."""
    size = max(3, math.ceil(length_px) | 1)
    kernel, middle = np.zeros((size, size), np.float32), size // 2
    angle = math.radians(angle_deg)
    reach = np.array([math.cos(angle), math.sin(angle)]) * (length_px - 1) / 2
    ends = [tuple(int(round(v)) for v in (middle + sign * reach) * 16) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def dim(image: np.ndarray, exposure: float, read_noise: float,
        rng: np.random.Generator) -> np.ndarray:
    """The picture at `exposure` of its light, with read noise (in 8-bit levels) and shot noise."""
    dark = image.astype(np.float32) * exposure
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return (dark + noise * np.sqrt(read_noise**2 + 0.5 * dark)).clip(0, 255).astype(np.uint8)


def _resample(image: np.ndarray, factor: float) -> np.ndarray:
    height, width = image.shape[:2]
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
