# SPDX-License-Identifier: Apache-2.0
"""A YOLOv3 whose forward pass touches the device only, so that a CUDA graph can hold it.

ultralytics' own forward pass makes its anchors on the host and decodes boxes that this package
decodes again. Here its layers run one by one, and the anchors of each canvas size are made once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from face_attributes_ros.networks.yolov3 import (
    ContractDetector,
    anchor_grid,
    decode_raw,
    layers_of,
)


class CapturableDetector(nn.Module):
    """Canvases (B, H, W, 3) of levels 0 to 255, any dtype, to (B, N, 5) float32: what
    `ContractDetector` gives.

    `column` picks one class of a detector that has several. The first call for a canvas size must
    not be captured.
    """

    def __init__(self, contract: ContractDetector, column: int = 0):
        super().__init__()
        self.network, self.column = contract.network, column
        self._grids: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def forward(self, canvases: Tensor) -> Tensor:
        layers = layers_of(self.network)
        head, dtype = layers[-1], layers[0].conv.weight.dtype
        maps = self._maps(canvases.permute(0, 3, 1, 2).to(dtype))
        raw, size = head.forward_head(maps, **head.one2many), tuple(canvases.shape[1:3])
        if size not in self._grids:
            self._grids[size] = anchor_grid(maps, head.stride)
        rows = decode_raw(raw, head.reg_max, *self._grids[size])
        return torch.cat([rows[..., :4], rows[..., 4 + self.column, None]], 2)

    def _maps(self, x: Any) -> list[Tensor]:
        # ultralytics' layers say with `f` whose output they take, one or several; -1 is the one
        # before.
        layers, save = layers_of(self.network), self._kept_layers()
        kept: list[Any] = []
        for layer in layers[:-1]:
            if isinstance(layer.f, int):
                x = x if layer.f == -1 else kept[layer.f]
            else:
                x = _taken(kept, x, layer.f)
            x = layer(x)
            kept.append(x if layer.i in save else None)
        return _taken(kept, x, layers[-1].f)

    def _kept_layers(self) -> Any:
        return self.network.save


def _taken(kept: list[Any], before: Any, sources: Iterable[int]) -> list[Tensor]:
    return [before if source == -1 else kept[source] for source in sources]
