# SPDX-License-Identifier: Apache-2.0
"""The detector's letterbox as two matrix products: what `boxes.Letterbox.apply` does, on whatever
device the frame lies.

Halving averages and bilinear interpolation are linear in each axis, so that any number of them is
one matrix an axis.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from face_attributes_ros.boxes import LETTERBOX_GREY, Letterbox
from face_attributes_ros.networks.compact import area_matrix


def bilinear_matrix(size_in: int, size_out: int) -> Tensor:
    """(size_out, size_in) weights of bilinear interpolation at half-pixel centres; edges
    repeat."""
    centres = torch.arange(size_out, dtype=torch.float64) + .5
    at = (centres * size_in / size_out - .5).clamp(0, size_in - 1)
    low = at.floor().long()
    weights = torch.zeros(size_out, size_in, dtype=torch.float64)
    rows = torch.arange(size_out)
    weights[rows, (low + 1).clamp(max=size_in - 1)] = at - low
    weights[rows, low] += 1 - (at - low)
    return weights


def shrinking_matrices(letterbox: Letterbox) -> tuple[Tensor, Tensor]:
    """(inner height, height) and (inner width, width) float64: `boxes.halved`, then bilinear, for
    rows and for columns."""
    sizes, shrink = [letterbox.height, letterbox.width], 1 / letterbox.scale
    chains: tuple[list[Tensor], list[Tensor]] = [], []
    while shrink >= 2 and min(sizes) >= 2:
        for chain, size in zip(chains, sizes):
            chain.insert(0, area_matrix(size, size // 2).double())
        sizes, shrink = [size // 2 for size in sizes], shrink / 2
    # From the small end, so that no product is between two large matrices.
    rows, columns = (reduce(torch.matmul, [bilinear_matrix(size, inner), *chain])
                     for size, inner, chain in zip(sizes, letterbox.inner[::-1], chains))
    return rows, columns


class DeviceLetterbox(torch.nn.Module):
    """Frames (B, H, W, 3) of one size to canvases (B, canvas height, canvas width, 3): whole
    levels 0 to 255, both of `dtype`.

    In fp16 a level is exact and a weight is right to 1/2048, so that a pixel may end on the level
    beside its own.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, letterbox: Letterbox, dtype: torch.dtype = torch.float32):
        super().__init__()
        rows, columns = shrinking_matrices(letterbox)
        self.register_buffer('rows', rows.to(dtype), persistent=False)
        self.register_buffer('columns', columns.to(dtype), persistent=False)
        (left, top), (inner_width, inner_height) = letterbox.offset, letterbox.inner
        self.margins = (0, 0, left, letterbox.canvas_width - inner_width - left,
                        top, letterbox.canvas_height - inner_height - top)

    def forward(self, levels: Tensor) -> Tensor:
        count, height, width, channels = levels.shape
        lines = self.rows @ levels.reshape(count, height, width * channels)
        # (B, 3, inner height, W), then (B, inner height, inner width, 3).
        lines = lines.view(count, -1, width, channels).permute(0, 3, 1, 2)
        inner = (lines @ self.columns.T).permute(0, 2, 3, 1)
        # Contiguous with channels last, as tensor cores want their input.
        return torch.nn.functional.pad(inner.round(), self.margins,
                                       value=float(LETTERBOX_GREY)).contiguous()
