# SPDX-License-Identifier: Apache-2.0
"""The device path as the pipeline knows it: a detector and an estimator, with the settings and the
answers of the plain ones."""

from __future__ import annotations

import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.detector import FaceDetector, check_image
from face_attributes_ros.device.path import DevicePath
from face_attributes_ros.device.plan import DeviceNetworks
from face_attributes_ros.device.yolov3 import CapturableDetector
from face_attributes_ros.engines.torch import OneClass
from face_attributes_ros.errors import ModelError
from face_attributes_ros.estimator import HEADS, AttributeEstimator
from face_attributes_ros.faces import Face
from face_attributes_ros.networks.attributes import with_fixed_pool
from face_attributes_ros.stopwatch import Stopwatch


class DeviceFaceDetector:
    """`FaceDetector` on a device. While it waits for the boxes, the attributes of the likely faces
    are computed with them.

    `expects_looks()` says whether anybody will ask for attributes of the next frame. Slots follow
    the last frame's faces.
    """

    def __init__(self, path: DevicePath):
        self.path, self.confidence, self.iou, self.max_faces, self.min_face_px = path, .5, .45, 100, 0
        self.expects_looks, self.watch, self._faces_before = (lambda: True), Stopwatch(), 1

    def __call__(self, image_bgr):
        """The faces of one image, best score first."""
        return self.detect([image_bgr])[0]

    def detect(self, images_bgr):
        """The faces of each image, as a list a picture."""
        for image in images_bgr:
            check_image(image)
        slots = self.path.bucket(max(1, self._faces_before)) if self.expects_looks() else 0
        with self.watch('detect'):
            found = self.path.run(images_bgr,
                                  (self.confidence, self.iou, self.min_face_px, self.max_faces),
                                  slots)
        faces = [self._faces(one) for one in found]
        self._faces_before = max(map(len, faces), default=0)
        return faces

    def _faces(self, found):
        if not found.exact:
            return self._plain().faces_of(found.detections(), found.plan.letterbox)
        faces = [Face(tuple(box), score) for *box, score in found.rows.tolist()]
        found.slots = {face: slot for slot, face in enumerate(faces[:len(found.heads)])}
        return faces

    def _plain(self):
        return FaceDetector(None, confidence=self.confidence, iou=self.iou,
                            max_faces=self.max_faces, min_face_px=self.min_face_px)


class DeviceEstimator:
    """`AttributeEstimator` on a device: what the detector's pass computed already, and a second
    pass for the other faces.

    Pictures that the detector did not see just before go through `plain`, whose network runs on
    the same device.
    """

    def __init__(self, path: DevicePath, plain: AttributeEstimator):
        self.path, self.plain, self.size_px = path, plain, plain.size_px
        self.gender_threshold, self.expression_threshold = plain.gender_threshold, plain.expression_threshold

    @property
    def watch(self):
        """Where the time went; the same watch as `plain`'s."""
        return self.plain.watch

    @watch.setter
    def watch(self, watch):
        self.plain.watch = watch

    def __call__(self, image_bgr, faces):
        """Attributes of each face of one image."""
        return self.estimate([image_bgr], [faces])[0]

    def crops(self, images_bgr):
        """Attributes of pictures that are one face crop each; see `AttributeEstimator.crops`."""
        return self.plain.crops(images_bgr)

    def estimate(self, images_bgr, faces):
        """Attributes of each face of each image, in the order given."""
        found = self.path.claim(images_bgr)
        if found is None:
            return self.plain.estimate(images_bgr, faces)
        jobs = [(one, face) for one, some in zip(found, faces) for face in some]
        if not jobs:
            return [[] for _ in faces]
        with self.watch('attributes'):
            values = self._values(jobs)
        boxes_xyxy = np.array([face.box_xyxy for _, face in jobs], dtype=np.float32)
        transforms = alignment.square_transforms(boxes_xyxy, self.plain.crop_scale, self.size_px)
        records = iter(self.plain.records(self._heads(values), len(jobs), transforms))
        return [[next(records) for _ in some] for some in faces]

    def _values(self, jobs):
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

    def _heads(self, values):
        sizes = [int(np.prod(HEADS[name])) for name in self.path.networks.outputs]
        columns = np.split(values, np.cumsum(sizes)[:-1], axis=1)
        return {
            name: column.reshape(len(values), *HEADS[name])
            for name, column in zip(self.path.networks.outputs, columns)
        }


def device_views(detector: FaceDetector, estimator: AttributeEstimator | None, device=None):
    """The two views of one path, for a plain detector and estimator whose networks are
    `TorchNetwork`s on one device."""
    network, looks = detector.network, estimator and estimator.network
    if looks and looks.device != network.device:
        raise ModelError(
            f'detector on {network.device} and attributes on {looks.device}: the device path needs one device'
        )
    networks = DeviceNetworks(_capturable(network.module), looks
                              and with_fixed_pool(looks.module, estimator.size_px),
                              looks.outputs if looks else (), estimator.size_px if looks else 0,
                              estimator.crop_scale if looks else 1.)
    path = DevicePath(networks, network.device, imgsz_px=detector.imgsz_px, square=detector.square,
                      batch_max=estimator.batch_max if looks else 1)
    return DeviceFaceDetector(path), looks and DeviceEstimator(path, estimator)


def _capturable(module):
    if isinstance(module, OneClass):
        return CapturableDetector(module.detector, module.column)
    return CapturableDetector(module)
