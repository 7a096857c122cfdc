# SPDX-License-Identifier: Apache-2.0
"""A detector whose forward pass touches the device only, so that a CUDA graph can hold it: the
grid of each canvas size, which needs the host, is made once."""

from __future__ import annotations

from torch import Tensor, nn

from face_attributes_ros.networks.contract import ContractDetector, Grid


class CapturableDetector(nn.Module):
    """Canvases (B, H, W, 3) of levels 0 to 255, any dtype, to (B, N, 5) float32: what
    `ContractDetector` gives. The first call for a canvas size must not be captured."""

    def __init__(self, contract: ContractDetector):
        super().__init__()
        self.contract = contract
        self._grids: dict[tuple[int, ...], Grid] = {}

    def forward(self, canvases: Tensor) -> Tensor:
        raw, size = self.contract.raw(canvases), tuple(canvases.shape[1:3])
        if size not in self._grids:
            self._grids[size] = self.contract.grid(canvases)
        return self.contract.rows(raw, self._grids[size])
