# SPDX-License-Identifier: Apache-2.0
"""A YOLOv3 whose forward pass touches the device only, so that a CUDA graph can hold it.

ultralytics' own forward pass makes its anchors on the host and decodes boxes that this package
decodes again. Here its layers run one by one, and the anchors of each canvas size are made once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from face_attributes_ros.networks.yolov3 import ContractDetector, anchor_grid, decode_raw


class CapturableDetector(nn.Module):
    """Canvases (B, H, W, 3) of levels 0 to 255, any dtype, to (B, N, 5) float32: what
    `ContractDetector` gives.

    `column` picks one class of a detector that has several. The first call for a canvas size must
    not be captured.
    """

    def __init__(self, contract: ContractDetector, column=0):
        super().__init__()
        self.network, self.column, self._grids = contract.network, column, {}

    def forward(self, canvases: Tensor) -> Tensor:
        head = self.network.model[-1]
        maps = self._maps(canvases.permute(0, 3, 1, 2).to(self.network.model[0].conv.weight.dtype))
        raw, size = head.forward_head(maps, **head.one2many), tuple(canvases.shape[1:3])
        if size not in self._grids:
            self._grids[size] = anchor_grid(maps, head.stride)
        rows = decode_raw(raw, head.reg_max, *self._grids[size])
        return torch.cat([rows[..., :4], rows[..., 4 + self.column, None]], 2)

    def _maps(self, x):
        # ultralytics' layers say with `f` whose output they take; -1 is the one before.
        kept = []
        for layer in self.network.model[:-1]:
            if layer.f != -1:
                x = kept[layer.f] if isinstance(
                    layer.f, int) else [x if j == -1 else kept[j] for j in layer.f]
            x = layer(x)
            kept.append(x if layer.i in self.network.save else None)
        return [x if j == -1 else kept[j] for j in self.network.model[-1].f]
