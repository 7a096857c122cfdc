# SPDX-License-Identifier: Apache-2.0
"""Frames of all cameras through one device: uploads, one launch a frame size, one wait, and what
was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from face_attributes_ros import boxes
from face_attributes_ros.device.boxes import CANDIDATES
from face_attributes_ros.device.plan import BUCKETS, DeviceNetworks, Plan
from face_attributes_ros.device.upload import Upload
from face_attributes_ros.engines.faults import device_faults, free_memory, out_of_memory
from face_attributes_ros.errors import DeviceError
from face_attributes_ros.faces import Face

T = TypeVar('T')

MOST_SIZES = 6
"""Frame sizes whose plans are kept; the one unused for longest makes room for a new one."""


@dataclass
class Found:
    """One frame's result: rows (n, 5) x0 y0 x1 y1 score in source pixels, the heads (m, width) of
    the first faces.

    `exact` False means that suppression was not sure of itself; `detections` then gives the
    detector's own rows. `slots` says which head row is whose, once the faces are known. The frame
    lies in `plan.frames[index]`.
    """

    plan: Plan
    index: int
    exact: bool
    rows: np.ndarray
    heads: np.ndarray
    slots: dict[Face, int] = field(default_factory=dict)

    def detections(self) -> np.ndarray:
        """The detector's rows (N, 5) in canvas pixels, before suppression; waits for the
        device."""
        rows: np.ndarray = self.plan.rows[self.index].float().cpu().numpy()
        return rows


class DevicePath:
    """Everything between pixels and records on one device; detector and estimator are two views of
    it (`device_views`).

    Out of memory, or where a graph cannot be captured, it goes on without graphs and with half of
    the batch, once and for good, and `say` gets the words; the second time the error is raised. A
    device that is gone is a DeviceLostError.
    """

    def __init__(self, networks: DeviceNetworks, device: torch.device | str, *,
                 imgsz_px: int = 448, square: bool = False, batch_max: int = 16):
        self.networks, self.device = networks, torch.device(device)
        self.imgsz_px, self.square = imgsz_px, square
        smaller = {bucket for bucket in BUCKETS if bucket < batch_max}
        self.buckets = tuple(sorted(smaller | {batch_max}))
        self.stream = torch.cuda.Stream(self.device) if self.device.type == 'cuda' else None
        self.dtype = torch.float16 if self.stream else torch.float32
        self.upload = Upload(self.device)
        self.knobs = torch.zeros(4, device=self.device)
        self._knobs: tuple[float, ...] | None = None
        self._plans: dict[tuple[int, ...], Plan] = {}
        self._images: tuple[np.ndarray, ...] = ()
        self._found: list[Found] = []
        self.say: Callable[[str], None] = lambda words: None
        self.most_images: int | None = None

    def bucket(self, count: int) -> int:
        """The least number of slots for `count` faces, the most there is for more."""
        return next((bucket for bucket in self.buckets if bucket >= count), self.buckets[-1])

    def run(self, images_bgr: Sequence[np.ndarray], knobs: tuple[float, ...],
            slots: int) -> list[Found]:
        """What is in each image, with heads for the first `slots` faces of each: one wait for the
        device in all."""
        return self._survived(lambda: self._run(images_bgr, knobs, slots), len(images_bgr))

    @torch.inference_mode()
    def _run(self, images_bgr: Sequence[np.ndarray], knobs: tuple[float, ...],
             slots: int) -> list[Found]:
        groups = [group[start:start + (self.most_images or len(group))]
                  for group in _by_size(images_bgr)
                  for start in range(0, len(group), self.most_images or len(group))]
        with self._on_device():
            self._turn(knobs)
            plans = [(self._launched([images_bgr[i] for i in group], slots, number), group)
                     for number, group in enumerate(groups)]
            self._wait()
        found = {index: self._found_in(plan, position)
                 for plan, group in plans for position, index in enumerate(group)}
        self._images, self._found = tuple(images_bgr), [found[i] for i in range(len(found))]
        return self._found

    def claim(self, images_bgr: Sequence[np.ndarray]) -> list[Found] | None:
        """What `run` found in exactly these arrays, once; None for any others."""
        same = (len(images_bgr) == len(self._images)
                and all(a is b for a, b in zip(images_bgr, self._images)))
        found, self._images, self._found = self._found, (), []
        return found if same else None

    def look(self, jobs: Sequence[tuple[Found, Face]]) -> np.ndarray:
        """Heads (N, width) of faces that had no slot, for pairs of `Found` and `Face`: a second
        pass over resident frames."""
        return self._survived(lambda: self._look(jobs), 1)

    def _survived(self, work: Callable[[], T], images: int) -> T:
        with device_faults(self.device):
            try:
                return work()
            except Exception as error:
                no_memory = out_of_memory(error)
                if self.most_images or not (no_memory or isinstance(error, DeviceError)):
                    raise
                trouble = f'out of memory on {self.device}' if no_memory else str(error)
            # Outside of the handler, whose traceback holds the tensors of what failed.
            self._take_smaller_steps(images)
            self.say(f'{trouble}: goes on without CUDA graphs, with {self.most_images} images and '
                     f'{self.buckets[-1]} faces at a time')
            return work()

    def _take_smaller_steps(self, images: int) -> None:
        self.most_images = max(1, images // 2)
        most = max(1, self.buckets[-1] // 2)
        self.buckets = tuple(sorted({bucket for bucket in self.buckets if bucket < most} | {most}))
        self._plans.clear()
        free_memory()

    @torch.inference_mode()
    def _look(self, jobs: Sequence[tuple[Found, Face]]) -> np.ndarray:
        parts: list[Tensor] = []
        order: list[int] = []
        with self._on_device():
            for frame in {id(found): found for found, _ in jobs}.values():
                own = [i for i, (found, _) in enumerate(jobs) if found is frame]
                for start in range(0, len(own), self.buckets[-1]):
                    some = own[start:start + self.buckets[-1]]
                    parts.append(self._looked(frame, [jobs[i][1] for i in some]))
                    order += some
            found: np.ndarray = torch.cat(parts).cpu().numpy()
        return found[np.argsort(order)]

    def _looked(self, frame: Found, faces: list[Face]) -> Tensor:
        # Padded to a bucket: libraries choose their kernels by shape.
        padded = faces + faces[-1:] * (self.bucket(len(faces)) - len(faces))
        boxes_xyxy = torch.tensor([face.box_xyxy for face in padded], dtype=torch.float32,
                                  device=self.device)
        return frame.plan.again(boxes_xyxy, frame.index)[:len(faces)]

    def _launched(self, images: Sequence[np.ndarray], slots: int, number: int) -> Plan:
        # In smaller steps several launches of one size have to lie beside each other.
        height, width = images[0].shape[:2]
        plan = self._plan(len(images), height, width, number if self.most_images else 0)
        if self.stream and self.upload.stream:  # the frames before may still be read
            self.upload.stream.wait_stream(self.stream)
        for image, target in zip(images, plan.frames):
            self.upload(image, target)
        if self.stream and self.upload.stream:
            self.stream.wait_stream(self.upload.stream)
        plan.launch(slots if slots in plan.runs else 0)
        return plan

    def _plan(self, count: int, height: int, width: int, number: int) -> Plan:
        key = (count, height, width, number) if number else (count, height, width)
        plan = self._plans.pop(key, None)
        if plan is None:
            side = self.imgsz_px
            canvas = (side, side) if self.square else boxes.canvas_size(width, height, side)
            while len(self._plans) >= max(MOST_SIZES, number + 1):
                self._plans.pop(next(iter(self._plans)))
            plan = Plan(self.networks, boxes.Letterbox(width, height, *canvas), count, self.knobs,
                        self.buckets, None if self.most_images else self.stream, self.dtype)
        self._plans[key] = plan
        return plan

    def _found_in(self, plan: Plan, position: int) -> Found:
        values: np.ndarray = plan.host[position].numpy().copy()      # the next frame overwrites it
        candidates = min(plan.rows.shape[1], CANDIDATES)
        rows, heads = values[2:2 + 5 * candidates].reshape(-1, 5), values[2 + 5 * candidates:]
        width = self.networks.width
        heads = heads.reshape(-1, width) if width else heads.reshape(0, 0)
        return Found(plan, position, bool(values[1]), rows[:int(values[0])], heads)

    def _turn(self, knobs: tuple[float, ...]) -> None:
        if knobs != self._knobs:
            self.knobs.copy_(torch.tensor(knobs, dtype=torch.float32))
            self._knobs = knobs

    def _on_device(self) -> AbstractContextManager[Any]:
        return torch.cuda.stream(self.stream) if self.stream else nullcontext()

    def _wait(self) -> None:
        if self.stream:
            self.stream.synchronize()


def _by_size(images: Sequence[np.ndarray]) -> list[list[int]]:
    # The images' indices, those of one height and width together.
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape[:2], []).append(index)
    return list(groups.values())
