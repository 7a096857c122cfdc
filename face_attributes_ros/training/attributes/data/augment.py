# SPDX-License-Identifier: Apache-2.0
"""What a robot's camera does to a face, for a whole batch at once: pose of the crop, light,
distance, noise, occlusion.

Every random number comes from the generator that is passed in, so a batch can be made again. The
`quality` target is made here too: nobody labelled it, so it is the resolution that is left after
shrinking (log scale, 12 px is 0 and 96 px is 1) times the share of the crop that is not covered.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from face_attributes_ros.alignment import FLIP_68

QUALITY_PX = (12.0, 96.0)


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths; probabilities are shares of a batch, `turn_rad` and `shift` half-widths, `scale`
    the extreme factor.
    """

    scale: float = 1.25
    turn_rad: float = 0.26
    shift: float = 0.06
    light: float = 0.3
    tint: float = 0.1
    grey: float = 0.2
    shrink: float = 0.3
    shrink_px: tuple[int, int] = (16, 56)
    noise: float = 0.1
    jpeg: float = 0.05
    erase: float = 0.2
    old: float = 0.0


def uniform(generator: torch.Generator, count: int | tuple[int, ...], low: float,
            high: float) -> Tensor:
    """(count,) floats in [low, high)."""
    return low + (high - low) * torch.rand(count, generator=generator)


def chosen(generator: torch.Generator, count: int, share: float) -> Tensor:
    """(count,) bool, true with probability `share`."""
    return torch.rand(count, generator=generator) < share


@dataclass(frozen=True)
class Motion:
    """How each face of a batch moves: mirrored or not, then turned clockwise, scaled and shifted
    (crop half-sides).
    """

    mirrored: torch.Tensor
    turn_rad: torch.Tensor
    scale: torch.Tensor
    shift: torch.Tensor

    def forward_matrices(self) -> Tensor:
        """(B, 2, 2) from old to new coordinates, both in half-sides from the crop's centre."""
        cos, sin = self.turn_rad.cos() * self.scale, self.turn_rad.sin() * self.scale
        mirror = 1 - 2 * self.mirrored.float()
        return torch.stack(
            [torch.stack([cos * mirror, -sin], 1),
             torch.stack([sin * mirror, cos], 1)], 1)


def random_motion(generator: torch.Generator, count: int, config: AugmentConfig) -> Motion:
    """A `Motion` for `count` faces."""
    scale = torch.exp(uniform(generator, count, -1, 1) * float(np.log(config.scale)))
    shift = uniform(generator, (count, 2), -2 * config.shift, 2 * config.shift)
    return Motion(chosen(generator, count, 0.5),
                  uniform(generator, count, -config.turn_rad, config.turn_rad), scale, shift)


def move_pixels(pixels: Tensor, motion: Motion, size: int) -> Tensor:
    """(B, C, H, W) resampled to (B, C, size, size) under a motion; outside of the picture its edge
    repeats.
    """
    back = torch.linalg.inv(motion.forward_matrices())
    theta = torch.cat([back, -back @ motion.shift[:, :, None]], 2)
    grid = F.affine_grid(theta, [len(pixels), pixels.shape[1], size, size], align_corners=False)
    return F.grid_sample(pixels, grid, 'bilinear', 'border', align_corners=False)


def move_labels(labels: dict[str, Tensor], motion: Motion) -> dict[str, Tensor]:
    """Labels after a motion: mirrored points change places, yaw and roll change sign, a turn adds
    to roll."""
    labels = dict(labels)
    mirrored = motion.mirrored
    points = (labels['landmarks'] - 0.5) * 2
    points = torch.where(mirrored[:, None, None], points[:, torch.from_numpy(FLIP_68)], points)
    moved = points @ motion.forward_matrices().transpose(1, 2) + motion.shift[:, None]
    labels['landmarks'] = moved / 2 + 0.5
    sign = 1 - 2 * mirrored.float()
    yaw, pitch, roll = labels['pose'].unbind(1)
    labels['pose'] = torch.stack([yaw * sign, pitch, roll * sign + motion.turn_rad], 1)
    return labels


def relight(pixels: Tensor, generator: torch.Generator, config: AugmentConfig) -> Tensor:
    """Brightness, contrast, gamma, tint and a share of grey; pixels (B, 3, H, W) in 0..1."""
    count = len(pixels)
    shape = (count, 1, 1, 1)
    gain = uniform(generator, count, 1 - config.light, 1 + config.light).view(shape)
    gamma = torch.exp(uniform(generator, count, -1, 1) * config.light).view(shape)
    tint = uniform(generator, (count, 3), 1 - config.tint, 1 + config.tint).view(count, 3, 1, 1)
    pixels = pixels.clamp_(min=1e-4).pow_(gamma).mul_(gain * tint)
    mean = pixels.mean((1, 2, 3), keepdim=True)
    contrast = uniform(generator, count, 1 - config.light, 1 + config.light).view(shape)
    pixels = pixels.sub_(mean).mul_(contrast).add_(mean)
    grey = chosen(generator, count, config.grey)
    pixels[grey] = pixels[grey].mean(1, keepdim=True)
    return pixels.clamp_(0, 1)


def fade(pixels: Tensor, generator: torch.Generator, config: AugmentConfig) -> Tensor:
    """A share of the faces as on old family photographs: colours gone towards one warm or cold
    cast, black and white faded, grain. Pixels (B, 3, H, W) in 0..1."""
    old = chosen(generator, len(pixels), config.old)
    count, size = int(old.sum()), pixels.shape[-1]
    shape = (count, 1, 1, 1)
    picture = pixels[old]
    cast = uniform(generator, (count, 3), 0.75, 1.2).view(count, 3, 1, 1)
    left = uniform(generator, count, 0, 1).view(shape)
    toned = picture * left + picture.mean(1, keepdim=True) * cast * (1 - left)
    black = uniform(generator, count, 0, 0.25).view(shape)
    white = uniform(generator, count, 0.7, 1).view(shape)
    grain = torch.randn((count, 1, size // 2, size // 2), generator=generator)
    grain = F.interpolate(grain, (size, size), mode='bilinear', align_corners=False)
    strength = uniform(generator, count, 0, 0.06).view(shape)
    pixels[old] = black + (white - black) * toned + grain * strength
    return pixels.clamp_(0, 1)


def shrink(pixels: Tensor, generator: torch.Generator,
           config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """(pixels, left_px (B,)): two groups are shrunk to a random size each and enlarged again, as
    far faces are.
    """
    count, size = len(pixels), pixels.shape[-1]
    left_px = torch.full((count,), float(size))
    order = torch.randperm(count, generator=generator)
    group = int(count * config.shrink / 2)
    for rows in (order[:group], order[group:2 * group]):
        small = int(
            torch.randint(config.shrink_px[0], config.shrink_px[1] + 1, (1, ),
                          generator=generator))
        if len(rows) and small < size:
            shrunk = F.interpolate(pixels[rows], (small, small), mode='area')
            pixels[rows] = F.interpolate(shrunk, (size, size), mode='bilinear',
                                         align_corners=False)
            left_px[rows] = float(small)
    return pixels, left_px


def erase(pixels: Tensor, generator: torch.Generator,
          config: AugmentConfig) -> tuple[Tensor, Tensor]:
    """(pixels, left (B,)): a share of the faces gets one grey or noisy rectangle; `left` is the
    share of the crop left.
    """
    count, size = len(pixels), pixels.shape[-1]
    on = chosen(generator, count, config.erase).float()
    extent = uniform(generator, (count, 2), 0.15, 0.45) * on[:, None]
    corner = torch.rand((count, 2), generator=generator) * (1 - extent)
    cells = (torch.arange(size) + 0.5) / size
    inside = (cells >= corner[:, :, None]) & (cells < (corner + extent)[:, :, None])
    mask = (inside[:, 1, :, None] & inside[:, 0, None, :])[:, None]
    paint = uniform(generator, (count, 3, 1, 1), 0, 1)
    return torch.where(mask, paint, pixels), 1 - mask.float().mean((1, 2, 3))


def spoil(pixels: Tensor, generator: torch.Generator, config: AugmentConfig) -> Tensor:
    """Sensor noise on one share of the batch, JPEG blocks on another."""
    count = len(pixels)
    noisy = chosen(generator, count, config.noise)
    sigma = uniform(generator, int(noisy.sum()), 0.01, 0.05).view(-1, 1, 1, 1)
    pixels[noisy] = pixels[noisy] + torch.randn(pixels[noisy].shape, generator=generator) * sigma
    pixels = pixels.clamp_(0, 1)
    for row in torch.flatten(torch.nonzero(chosen(generator, count, config.jpeg))).tolist():
        quality = int(torch.randint(15, 60, (1,), generator=generator))
        pixels[row] = jpeg(pixels[row], quality)
    return pixels


def jpeg(pixels: Tensor, quality: int) -> Tensor:
    """(3, H, W) floats in 0..1 after JPEG at a quality of 0..100."""
    picture = (pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    _, data = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR)).permute(2, 0, 1).float() / 255


def quality_target(left_px: Tensor, uncovered: Tensor) -> Tensor:
    """(B,) 0..1 from the pixels of resolution left across the crop and the share of it in view."""
    low, high = np.log(QUALITY_PX)
    return ((left_px.log() - low) / (high - low)).clamp(0, 1) * uncovered


def augment(crops: np.ndarray, native_px: np.ndarray, labels: dict[str, Tensor], size: int,
            generator: torch.Generator,
            config: AugmentConfig = AugmentConfig()) -> tuple[Tensor, dict[str, Tensor]]:
    """(pixels (B, 3, size, size) in 0..1, labels with `quality` added) from uint8 crops (B, H, W,
    3) BGR."""
    motion = random_motion(generator, len(crops), config)
    pixels = move_pixels(torch.from_numpy(crops).permute(0, 3, 1, 2).float(), motion,
                         size).div_(255)
    labels = move_labels(labels, motion)
    pixels = fade(relight(pixels, generator, config), generator, config)
    pixels, left_px = shrink(pixels, generator, config)
    pixels, uncovered = erase(pixels, generator, config)
    quality = quality_target(torch.minimum(left_px,
                                           torch.from_numpy(native_px) / motion.scale), uncovered)
    labels['quality'] = torch.where(labels['face'] == 1, quality, torch.nan)
    return spoil(pixels, generator, config), labels
