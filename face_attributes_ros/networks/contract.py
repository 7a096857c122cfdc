# SPDX-License-Identifier: Apache-2.0
"""What every detector is to the rest of the house: uint8 BGR pictures in, boxes and scores out."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError

Raw = Sequence[Tensor]
Grid = tuple[Tensor, ...]

LEAST_HALVED = 256
"""Elements from which on a folded tensor is stored in fp16; smaller ones stay fp32."""


class DetectorNetwork(Protocol):
    """What `ContractDetector` needs of a network: called with RGB pictures (B, 3, H, W) of 0..1 it
    gives tensors that `decode` understands."""

    def __call__(self, image: Tensor) -> Raw:
        """What the head says, before it is decoded."""

    def grid(self, height: int, width: int, device: torch.device) -> Grid:
        """Where the rows of a picture of this size lie; known before anything is computed."""

    def decode(self, raw: Raw, grid: Grid) -> Tensor:
        """(B, N, 4 + classes) float32: x0, y0, x1, y1 in network pixels, and scores."""

    def folded(self) -> nn.Conv2d:
        """Makes this a network for use only, batch norms folded; its first convolution."""


class ContractDetector(nn.Module):
    """A network as our files define it: uint8 (B, H, W, 3) BGR in, (B, N, 5) x0 y0 x1 y1 score
    out.

    H and W are multiples of the largest stride; boxes are in network pixels, before non-maximum
    suppression. Scaling to 0..1 and the swap to RGB are folded into the first convolution. Of a
    network of several classes `columns` are faces; the best of them is the score.
    """

    def __init__(self, network: DetectorNetwork, columns: Sequence[int] = (0,)):
        super().__init__()
        module: Any = network
        module.eval().float()
        first = network.folded()
        with torch.no_grad():
            first.weight.copy_(first.weight.flip(1) / 255)
        self.network: Any = module.requires_grad_(False)
        self.columns = [4 + column for column in columns]
        self.eval()

    @torch.no_grad()
    def rounded(self) -> ContractDetector:
        """This, its folded tensors rounded to fp16 as our ONNX files have them."""
        for parameter in self.network.parameters():
            if parameter.numel() >= LEAST_HALVED:
                parameter.copy_(parameter.half())
        return self

    def forward(self, image: Tensor) -> Tensor:
        return self.rows(self.raw(image), self.grid(image))

    def raw(self, image: Tensor) -> Raw:
        """What the network says of pictures (B, H, W, 3) of levels 0 to 255, any dtype."""
        dtype = next(self.network.parameters()).dtype
        raw: Raw = self.network(image.permute(0, 3, 1, 2).to(dtype))
        return raw

    def grid(self, image: Tensor) -> Grid:
        """The network's grid for pictures of this size."""
        grid: Grid = self.network.grid(image.shape[1], image.shape[2], image.device)
        return grid

    def rows(self, raw: Raw, grid: Grid) -> Tensor:
        """(B, N, 5) float32 of what the network said."""
        rows: Tensor = self.network.decode(raw, grid)
        if rows.shape[2] == 5:
            return rows
        # One after the other: an index tensor would be the host's, which no CUDA graph may read.
        score = rows[..., self.columns[0], None]
        for column in self.columns[1:]:
            score = torch.maximum(score, rows[..., column, None])
        return torch.cat([rows[..., :4], score], 2)


def face_columns(names: Sequence[str], wanted: Sequence[str], path: object) -> tuple[int, ...]:
    """Which classes of a user's network are faces: the only one, or those of `wanted`, by name or
    number. ModelError names the classes that there are."""
    if len(names) == 1:
        return (0,)
    numbers = {str(number): number for number in range(len(names))}
    known = numbers | {name: number for number, name in enumerate(names)}
    unknown = [word for word in wanted if word not in known]
    if unknown or not wanted:
        more = ', ...' if len(names) > 5 else ''
        raise ModelError(f'{path}: its {len(names)} classes are {", ".join(names[:5])}{more}, and '
                         f'{unknown[0] if unknown else "nothing"!r} is none of them: '
                         'detector.face_classes has to say which are faces')
    return tuple(dict.fromkeys(known[word] for word in wanted))


def cell_grid(height: int, width: int, strides: Sequence[int], device: torch.device) -> Grid:
    """Centres (N, 2) and strides (N, 1), float32 pixels, of the cells of all levels, row by row;
    height and width are multiples of all strides. Traced, it takes any size."""
    centres, widths = [], []
    for stride in strides:
        ys, xs = (torch.arange(0, side, stride, device=device).float() + stride / 2
                  for side in (height, width))
        y, x = torch.meshgrid(ys, xs, indexing='ij')
        centres.append(torch.stack([x, y], 2).view(-1, 2))
        widths.append(torch.full_like(centres[-1][:, :1], stride))
    return torch.cat(centres), torch.cat(widths)


def distances(boxes: Tensor, reg_max: int) -> Tensor:
    """(B, N, 4) distances of the left, top, right and bottom edge in strides, from a head's
    `boxes`: each the mean of a distribution over `reg_max` cells (DFL), or the number itself."""
    logits: Tensor = boxes.unflatten(1, (4, reg_max))
    if reg_max == 1:
        return logits.squeeze(2).transpose(1, 2)
    cells = torch.arange(reg_max, dtype=boxes.dtype, device=boxes.device)
    means: Tensor = (logits.softmax(2) * cells[:, None]).sum(2)
    return means.transpose(1, 2)


def edges(distance: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Boxes (B, N, 4) x0 y0 x1 y1 in pixels whose edges are so many strides from the centres."""
    left_top, right_bottom = (distance * strides).chunk(2, 2)
    return torch.cat([centres - left_top, centres + right_bottom], 2)


def decode(raw: Raw, reg_max: int, grid: Grid) -> Tensor:
    """(B, N, 4 + classes) float32 from `Predictions` and the grid.

    Always in fp32: bf16 knows pixels over 256 only to a multiple of two.
    """
    boxes, scores = raw
    boxes_xyxy = edges(distances(boxes.float(), reg_max), *grid)
    return torch.cat([boxes_xyxy, scores.float().sigmoid().transpose(1, 2)], 2)
