# SPDX-License-Identifier: Apache-2.0
"""Frames from the host to the device through a ring of page-locked buffers, on a stream of its
own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

RING = 3


class Upload:
    """`upload(image, target)` puts a (H, W, 3) uint8 array into a tensor of the device.

    Only page-locked memory is copied while the processor goes on. A buffer of the ring is filled
    again once its last copy is over. On the CPU it is a plain copy.
    """

    def __init__(self, device: torch.device):
        self.stream = torch.cuda.Stream(device) if device.type == 'cuda' else None
        self._ring: list[tuple[Tensor, torch.cuda.Event] | None] = [None] * RING
        self._turn = 0

    def __call__(self, image_bgr: np.ndarray, target: Tensor) -> None:
        if self.stream is None:
            np.copyto(target.numpy(), image_bgr)
            return
        buffer, copied = self._buffer(image_bgr.size)
        staged = buffer[:image_bgr.size].view(image_bgr.shape)
        np.copyto(staged.numpy(), image_bgr)
        with torch.cuda.stream(self.stream):
            target.copy_(staged, non_blocking=True)
            copied.record(self.stream)

    def _buffer(self, size: int) -> tuple[Tensor, torch.cuda.Event]:
        self._turn = (self._turn + 1) % RING
        slot = self._ring[self._turn]
        if slot is not None:
            slot[1].synchronize()
        if slot is None or slot[0].numel() < size:
            buffer = torch.empty(size, dtype=torch.uint8, pin_memory=True)
            slot = self._ring[self._turn] = buffer, torch.cuda.Event()
        return slot
