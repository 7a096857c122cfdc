# SPDX-License-Identifier: Apache-2.0
"""Face crops out of frames that lie on the device: what `alignment.crop` does for square boxes, without a branch.

`alignment.crop` halves the covered part of the image as often as the crop shrinks it, then interpolates. How often depends on
the face, and a graph's shapes may not. Averages over blocks of any size are four reads of a summed-area table, so that one
code serves every face: a crop pixel lies between four blocks of 1, 2, 4 ... pixels, whose nine corners are read.
"""

from __future__ import annotations

import torch
from torch import Tensor

MOST_HALVINGS = 7


def summed_area(frames: Tensor) -> Tensor:
    """(B, H + 1, W + 1, 3) int32: at (y, x) the sum of all levels above and left of it, from frames (B, H, W, 3) uint8.

    Sums of large frames wrap around; differences of them are right all the same.
    """
    sums = torch.cumsum(torch.cumsum(frames, 1, dtype=torch.int32), 2, dtype=torch.int32)
    return torch.nn.functional.pad(sums, (0, 0, 1, 0, 1, 0))


def square_crops(table: Tensor, boxes_xyxy: Tensor, frame: Tensor, crop_scale: float, size_px: int) -> Tensor:
    """Crops (N, S, S, 3) of whole levels, float32, around boxes (N, 4) of the frames (N,) of a `summed_area` table.

    The square is that of `alignment.square_transforms`: `crop_scale` times the box's longer side. Where the image ends within a
    halved crop, blocks at its edge are whole pixels, up to half a pixel off those of OpenCV.
    """
    height, width = table.shape[1] - 1, table.shape[2] - 1
    centre = (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2
    side = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).amax(1).clamp(min=1) * crop_scale
    gain = size_px / side
    shift = size_px / 2 - gain[:, None] * centre
    gain, shift = gain.double()[:, None], shift.double()        # a few numbers: they decide which pixels are averaged
    powers = 2. ** torch.arange(1, MOST_HALVINGS + 1, device=table.device, dtype=torch.float64)
    wanted = (1 / gain >= powers)
    axes = [_covered(shift[:, axis, None], gain, size_px, limit, 2. ** wanted.sum(1, keepdim=True))
            for axis, limit in ((0, width), (1, height))]
    spare = torch.minimum(axes[0][1], axes[1][1]) >= powers     # a part of one pixel cannot be halved
    block = 2. ** (wanted & spare).sum(1, keepdim=True)
    (columns, u, width_px), (rows, v, height_px) = (_blocks(*axis, block, shift[:, i, None], gain, size_px)
                                                    for i, axis in enumerate(axes))
    sums = _block_sums(table, frame, rows, columns)             # (N, S, 2, S, 2, 3)
    mean = sums / (height_px[:, :, :, None, None] * width_px[:, None, None]).unsqueeze(-1)
    return torch.einsum('nyaxbc,nya,nxb->nyxc', mean, v, u).round()


def _covered(shift, gain, size_px, limit, multiple):
    # First pixel and number of pixels of what the crop needs along an axis, as `alignment._source_bounds` has them: (N, 1).
    low, high = -shift / gain, (size_px - shift) / gain
    first = (low.floor() - 1).clamp(0, limit - 1)
    span = ((high.ceil() + 1 - first) / multiple).ceil() * multiple
    return first, (first + span).clamp(max=float(limit)).maximum(first + 1) - first


def _blocks(first, pixels, block, shift, gain, size_px):
    # For each crop pixel along an axis: the three edges of its two blocks (N, S, 3), their weights (N, S, 2), sizes (N, S, 2).
    count = (pixels / block).floor()
    pitch = pixels / count
    centres = torch.arange(size_px, device=shift.device, dtype=torch.float64) + .5
    at = ((((centres - shift) / gain) - first) / pitch - .5).clamp(min=0).minimum(count - 1)
    low = at.floor()
    steps = torch.arange(3, device=shift.device, dtype=torch.float64)
    edges = ((low.unsqueeze(2) + steps).minimum(count.unsqueeze(2)) * pitch.unsqueeze(2)).round() + first.unsqueeze(2)
    fraction = at - low
    sizes = (edges[..., 1:] - edges[..., :2]).clamp(min=1)      # the block behind the last one is empty and weighs nothing
    return edges.long(), torch.stack([1 - fraction, fraction], 2).float(), sizes.float()


def _block_sums(table, frame, rows, columns):
    count, size = rows.shape[:2]
    corners = table[frame[:, None, None], rows.flatten(1)[:, :, None], columns.flatten(1)[:, None]]
    corners = corners.view(count, size, 3, size, 3, table.shape[3])
    lines = corners[:, :, 1:] - corners[:, :, :2]
    return (lines[:, :, :, :, 1:] - lines[:, :, :, :, :2]).float()
