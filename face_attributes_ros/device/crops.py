# SPDX-License-Identifier: Apache-2.0
"""Face crops out of frames that lie on the device: what `alignment.crop` does for square boxes,
without a branch.

`alignment.crop` halves the covered part of the image as often as the crop shrinks it, then
interpolates. How often depends on the face, and a graph's shapes may not. But halving and
interpolating are linear in each axis: a crop is the frame between two matrices that are written
down on the device, each face's own, so that one code serves every face. The products look
wasteful, most weights being zero; tensor cores do them in less time than a GPU takes for reads
that follow a face's size.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST_HALVINGS = 7


def square_crops(levels: Tensor, boxes_xyxy: Tensor, crop_scale: float, size_px: int) -> Tensor:
    """Crops (B * F, S, S, 3) around boxes (B, F, 4) float32 of frames (B, H, W, 3): whole levels 0
    to 255, dtype of the frames.

    The square is that of `alignment.square_transforms`: `crop_scale` times the box's longer side.
    """
    batch, height, width, channels = levels.shape
    boxes_xyxy = boxes_xyxy.flatten(0, 1)
    columns, rows = (weights.to(levels.dtype)
                     for weights in crop_weights(boxes_xyxy, (width, height), crop_scale, size_px))
    frames = levels.reshape(batch, height, width * channels)
    lines = rows.reshape(batch, -1, height) @ frames                     # (B, F * S, W * 3)
    lines = lines.reshape(-1, size_px, width, channels).transpose(2, 3)  # (B * F, S, 3, W)
    lines = lines.reshape(-1, size_px * channels, width)
    crops = lines @ columns.transpose(1, 2)                              # (B * F, S * 3, S)
    return crops.view(-1, size_px, channels, size_px).transpose(2, 3).round()


def crop_weights(boxes_xyxy: Tensor, limits: tuple[int, int], crop_scale: float,
                 size_px: int) -> list[Tensor]:
    """Matrices (N, S, W) and (N, S, H) float32: how much each column and each row of the frame
    counts in each of the crop."""
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).amax(1).clamp(min=1) * crop_scale
    gain = size_px / side
    shift = size_px / 2 - gain[:, None] * centre
    # In float64, a few numbers: they decide which pixels are averaged.
    gain, shift = gain.double()[:, None], shift.double()
    powers = 2. ** torch.arange(1, MOST_HALVINGS + 1, device=boxes_xyxy.device,
                                dtype=torch.float64)
    wanted = 1 / gain >= powers
    parts = [
        _covered(shift[:, axis, None], gain, size_px, limit, 2. ** wanted.sum(1, keepdim=True))
        for axis, limit in enumerate(limits)
    ]
    # A part of one pixel cannot be halved.
    possible = torch.minimum(parts[0][1], parts[1][1]) >= powers
    block = 2. ** (wanted & possible).sum(1, keepdim=True)
    return [_weights(first, pixels, block, shift[:, axis, None], gain, size_px, limit)
            for axis, ((first, pixels), limit) in enumerate(zip(parts, limits))]


def _covered(shift: Tensor, gain: Tensor, size_px: int, limit: int,
             multiple: Tensor) -> tuple[Tensor, Tensor]:
    # First pixel and number of pixels of what the crop needs along an axis, as
    # `alignment._source_bounds` has them: (N, 1).
    low, high = -shift / gain, (size_px - shift) / gain
    first = (low.floor() - 1).clamp(0, limit - 1)
    span = ((high.ceil() + 1 - first) / multiple).ceil() * multiple
    return first, (first + span).clamp(max=float(limit)).maximum(first + 1) - first


def _weights(first: Tensor, pixels: Tensor, block: Tensor, shift: Tensor, gain: Tensor,
             size_px: int, limit: int) -> Tensor:
    # A crop pixel lies between two neighbouring averages over `pitch` pixels: the part's edge may
    # make blocks a little longer.
    count = (pixels / block).floor()
    pitch = pixels / count
    centres = torch.arange(size_px, device=shift.device, dtype=torch.float64) + .5
    at = (((centres - shift) / gain - first) / pitch - .5).clamp(min=0).minimum(count - 1)
    low = at.floor()
    start, share = (first + low * pitch).float(), (at - low).float().unsqueeze(2)
    pitch = pitch.float()
    pixel = torch.arange(limit, device=shift.device, dtype=torch.float32)
    left, middle, right = ((start + number * pitch).unsqueeze(2).sub(pixel).clamp(0, 1)
                           for number in range(3))
    # What of a pixel lies before an edge, differences of which are what lies between two.
    return ((1 - share) * (middle - left) + share * (right - middle)) / pitch.unsqueeze(2)
