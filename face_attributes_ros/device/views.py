# SPDX-License-Identifier: Apache-2.0
"""The device path as the pipeline knows it: a detector and an estimator, with the settings and the
answers of the plain ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import nn

from face_attributes_ros import alignment
from face_attributes_ros.detector import FaceDetector, check_image, faces_of
from face_attributes_ros.device.path import DevicePath, Found
from face_attributes_ros.device.plan import DeviceNetworks
from face_attributes_ros.device.yolov3 import CapturableDetector
from face_attributes_ros.engines.torch import TorchNetwork
from face_attributes_ros.errors import ModelError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.faces import Attributes, Face
from face_attributes_ros.heads import HEADS
from face_attributes_ros.networks.attributes import Shipped, with_fixed_pool
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.settings import Settings
from face_attributes_ros.stopwatch import Stopwatch


class DeviceFaceDetector:
    """`FaceDetector` on a device. While it waits for the boxes, the attributes of the likely faces
    are computed with them.

    Slots follow the last frame's faces. `own` as in FaceDetector.
    """

    def __init__(self, path: DevicePath, own: Mapping[str, float]):
        self.path, self.own, self.watch, self._faces_before = path, own, Stopwatch(), 1

    def __call__(self, image_bgr: np.ndarray, settings: Settings | None = None) -> list[Face]:
        """The faces of one image, best score first."""
        return self.detect([image_bgr], settings)[0]

    def detect(self, images_bgr: Sequence[np.ndarray], settings: Settings | None = None, *,
               looks_follow: bool = True) -> list[list[Face]]:
        """The faces of each image, as a list a picture."""
        settings = settings or Settings().filled(self.own)
        for image in images_bgr:
            check_image(image)
        slots = self.path.bucket(max(1, self._faces_before)) if looks_follow else 0
        knobs = (settings.detector_confidence, settings.detector_iou,
                 settings.detector_min_face_px, settings.detector_max_faces)
        with self.watch('detect'):
            found = self.path.run(images_bgr, knobs, slots)
        faces = [_faces(one, settings) for one in found]
        self._faces_before = max(map(len, faces), default=0)
        return faces


def _faces(found: Found, settings: Settings) -> list[Face]:
    if not found.exact:
        return faces_of(found.detections(), found.plan.letterbox, settings)
    faces = [Face((x0, y0, x1, y1), score) for x0, y0, x1, y1, score in found.rows.tolist()]
    found.slots = {face: slot for slot, face in enumerate(faces[:len(found.heads)])}
    return faces


class DeviceEstimator:
    """`AttributeEstimator` on a device: what the detector's pass computed already, and a second
    pass for the other faces.

    Pictures that the detector did not see just before go through `plain`, whose network runs on
    the same device.
    """

    def __init__(self, path: DevicePath, plain: AttributeEstimator):
        self.path, self.plain, self.size_px = path, plain, plain.size_px
        self.own, self.watch = plain.own, plain.watch

    def __call__(self, image_bgr: np.ndarray, faces: Sequence[Face],
                 settings: Settings | None = None) -> list[Attributes]:
        """Attributes of each face of one image."""
        return self.estimate([image_bgr], [faces], settings)[0]

    def crops(self, images_bgr: Sequence[np.ndarray],
              settings: Settings | None = None) -> list[Attributes]:
        """Attributes of pictures that are one face crop each; see `AttributeEstimator.crops`."""
        return self.plain.crops(images_bgr, settings)

    def estimate(self, images_bgr: Sequence[np.ndarray], faces: Sequence[Sequence[Face]],
                 settings: Settings | None = None) -> list[list[Attributes]]:
        """Attributes of each face of each image, in the order given."""
        settings = settings or Settings().filled(self.own)
        found = self.path.claim(images_bgr)
        if found is None:
            return self.plain.estimate(images_bgr, faces, settings)
        jobs = [(one, face) for one, some in zip(found, faces) for face in some]
        if not jobs:
            return [[] for _ in faces]
        with self.watch('attributes'):
            values = self._values(jobs)
        boxes_xyxy = np.array([face.box_xyxy for _, face in jobs], dtype=np.float32)
        transforms = alignment.square_transforms(boxes_xyxy, self.plain.crop_scale, self.size_px)
        records = iter(self.plain.records(self._heads(values), len(jobs), settings, transforms))
        return [[next(records) for _ in some] for some in faces]

    def _values(self, jobs: Sequence[tuple[Found, Face]]) -> np.ndarray:
        values = np.empty((len(jobs), self.path.networks.width), np.float32)
        missing = []
        for row, (found, face) in enumerate(jobs):
            slot = found.slots.get(face)
            if slot is None:
                missing.append(row)
            else:
                values[row] = found.heads[slot]
        if missing:
            values[missing] = self.path.look([jobs[row] for row in missing])
        return values

    def _heads(self, values: np.ndarray) -> dict[str, np.ndarray]:
        sizes = [HEADS[name].size for name in self.path.networks.outputs]
        columns = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        return {name: column.reshape(len(values), *HEADS[name].shape)
                for name, column in zip(self.path.networks.outputs, columns)}


def device_views(
    detector: FaceDetector, estimator: AttributeEstimator | None,
) -> tuple[DeviceFaceDetector, DeviceEstimator | None]:
    """The two views of one path, for a plain detector and estimator whose networks are
    `TorchNetwork`s on one device."""
    network = _on_torch(detector.network, 'detector')
    looks = None if estimator is None else _on_torch(estimator.network, 'attributes')
    if looks is not None and looks.device != network.device:
        raise ModelError(f'detector on {network.device} and attributes on {looks.device}: the '
                         'device path needs one device')
    path = DevicePath(_networks(network, looks, estimator), network.device,
                      imgsz_px=detector.imgsz_px, square=detector.square,
                      batch_max=1 if estimator is None else estimator.batch_max)
    return (DeviceFaceDetector(path, detector.own),
            None if estimator is None else DeviceEstimator(path, estimator))


def _on_torch(network: object, what: str) -> TorchNetwork:
    if not isinstance(network, TorchNetwork):
        raise ModelError(f'{what} runs on {type(network).__name__}, the device path needs a '
                         'TorchNetwork')
    return network


def _networks(network: TorchNetwork, looks: TorchNetwork | None,
              estimator: AttributeEstimator | None) -> DeviceNetworks:
    detector = _capturable(network.module)
    if looks is None or estimator is None:
        return DeviceNetworks(detector, None, (), 0, 1.)
    return DeviceNetworks(detector, with_fixed_pool(_shipped(looks.module), estimator.size_px),
                          looks.outputs, estimator.size_px, estimator.crop_scale)


def _shipped(module: nn.Module) -> Shipped:
    if not isinstance(module, Shipped):
        raise ModelError(f'attributes are a {type(module).__name__}, the device path needs a '
                         'network of ours')
    return module


def _capturable(module: nn.Module) -> CapturableDetector:
    if not isinstance(module, ContractDetector):
        raise ModelError(f'the detector is a {type(module).__name__}, the device path needs a '
                         'YOLOv3')
    return CapturableDetector(module)
