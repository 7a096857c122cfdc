# SPDX-License-Identifier: Apache-2.0
"""All the work on frames of one size, from uint8 pixels to one packed tensor, without a look at
the host in between.

On a GPU each number of face slots is a CUDA graph, captured when the frame size is first seen. On
the CPU, where the tests run it, the same code runs step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from face_attributes_ros.boxes import Letterbox
from face_attributes_ros.device.boxes import front, suppress, to_source
from face_attributes_ros.device.crops import square_crops
from face_attributes_ros.device.letterbox import DeviceLetterbox
from face_attributes_ros.errors import DeviceError
from face_attributes_ros.heads import HEADS

BUCKETS = (0, 1, 4, 16)
WARM_UPS = 3

Work = Callable[[], tuple[Tensor, Tensor]]
"""Gives the detector's rows and the packed result."""


class DeviceNetworks(NamedTuple):
    """Modules on one device: canvases to (B, N, 5), and crops (N, S, S, 3) of levels to a tuple of
    `outputs`.

    `attributes` None is a detector alone; nothing is looked at then.
    """

    detector: nn.Module
    attributes: nn.Module | None
    outputs: tuple[str, ...]
    size_px: int
    crop_scale: float

    @property
    def width(self) -> int:
        """Numbers a face in a packed result."""
        return sum(HEADS[name].size for name in self.outputs)

    def look(self, levels: Tensor, boxes_xyxy: Tensor) -> Tensor:
        """(B * F, width) float32: all heads of the faces in boxes (B, F, 4) of frames (B, H, W,
        3)."""
        if self.attributes is None:
            raise DeviceError('the device path has no attribute network to look with')
        crops = square_crops(levels, boxes_xyxy, self.crop_scale, self.size_px)
        heads = [head.flatten(1) if head.ndim > 1 else head[:, None]
                 for head in self.attributes(crops)]
        return torch.cat(heads, 1).float()


class Plan:
    """Static buffers for `count` frames of one size and the work between them.

    `frames` is what the work reads; they stay there until the next ones, for a second look.
    `knobs` (4,) are confidence, IoU, least face in pixels and most faces. Frames are resampled in
    `dtype`: half precision holds every level exactly. `launch` leaves in `host`, for each frame:
    the number of faces, whether suppression is exact, rows of x0 y0 x1 y1 score, and the heads of
    the first faces; valid once the device has been waited for.
    """

    def __init__(self, networks: DeviceNetworks, letterbox: Letterbox, count: int, knobs: Tensor,
                 buckets: Sequence[int] = BUCKETS, stream: torch.cuda.Stream | None = None,
                 dtype: torch.dtype = torch.float32):
        device = knobs.device
        self.networks, self.letterbox, self.knobs, self.stream = networks, letterbox, knobs, stream
        self.frames = torch.zeros((count, letterbox.height, letterbox.width, 3), dtype=torch.uint8,
                                  device=device)
        self.dtype = dtype
        self.draw = DeviceLetterbox(letterbox, self.dtype).to(device)
        self.geometry = _geometry(letterbox, device)
        # Graphs of one plan never run at once, and what one gives is copied before the next: they
        # share their memory.
        self.pool = torch.cuda.graph_pool_handle() if stream else None
        self.runs = {slots: self._prepared(slots)
                     for slots in (buckets if networks.attributes else (0,))}
        self.rows = self.host = torch.empty(0)
        self._hosts: dict[int, Tensor] = {}

    def launch(self, slots: int) -> None:
        """Starts the work with heads for `slots` faces a frame and the copy of what it gives; does
        not wait for either."""
        self.rows, packed = self.runs[slots]()
        if slots not in self._hosts:
            self._hosts[slots] = torch.empty(packed.shape, dtype=packed.dtype,
                                             pin_memory=self.stream is not None)
        self.host = self._hosts[slots]
        self.host.copy_(packed, non_blocking=True)

    def again(self, boxes_xyxy: Tensor, index: int) -> Tensor:
        """Heads (N, width) of more faces (N, 4) of a frame that is still here."""
        return self.networks.look(self.frames[index:index + 1].to(self.dtype), boxes_xyxy[None])

    def _work(self, slots: int) -> tuple[Tensor, Tensor]:
        levels = self.frames.to(self.dtype)
        rows = self.networks.detector(self.draw(levels))
        confidence, iou, min_face_px, max_faces = self.knobs.unbind()
        kept = suppress(rows, confidence, iou)
        faces, number = front(to_source(kept.rows, *self.geometry), kept.keep, min_face_px,
                              max_faces)
        parts = [number[:, None].float(), kept.exact[:, None].float(), faces.flatten(1)]
        if slots:
            parts.append(self.networks.look(levels, faces[:, :slots, :4]).view(len(faces), -1))
        return rows, torch.cat(parts, 1)

    def _prepared(self, slots: int) -> Work:
        if self.stream is None:
            return lambda: self._work(slots)
        return Captured(lambda: self._work(slots), self.stream, self.pool)


def _geometry(letterbox: Letterbox, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    # Offset, gain and limits of `device.boxes.to_source`, (4,) each.
    (left, top), (inner_width, inner_height) = letterbox.offset, letterbox.inner
    gain = (letterbox.width / inner_width, letterbox.height / inner_height)
    limits = (letterbox.width, letterbox.height)
    offset, scale, most = (torch.tensor(pair * 2, dtype=torch.float32, device=device)
                           for pair in ((left, top), gain, limits))
    return offset, scale, most


class Captured:
    """Work as a CUDA graph on `stream`: it runs a few times for real first, so that libraries
    choose and allocate."""

    def __init__(self, work: Work, stream: torch.cuda.Stream, pool: Any = None):
        benchmark, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        try:
            self._capture(work, stream, pool)
        except RuntimeError as error:  # no memory left, or an operation that cannot be captured
            reason = str(error).splitlines()[0]
            raise DeviceError('this GPU could not capture the work as a CUDA graph '
                              f'({reason})') from error
        finally:
            torch.backends.cudnn.benchmark = benchmark

    def _capture(self, work: Work, stream: torch.cuda.Stream, pool: Any) -> None:
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                work()
        stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool, stream=stream,
                              capture_error_mode='thread_local'):
            self.outputs = work()

    def __call__(self) -> tuple[Tensor, Tensor]:
        self.graph.replay()
        return self.outputs
