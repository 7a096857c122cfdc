# SPDX-License-Identifier: Apache-2.0
"""Fake networks for the device path: one pair of modules on torch, and the same two as numpy
networks."""
import numpy as np
import torch

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.device.path import DevicePath
from face_attributes_ros.device.plan import DeviceNetworks
from face_attributes_ros.device.views import DeviceEstimator, DeviceFaceDetector
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

OUTPUTS = ('age', 'gender', 'quality', 'landmarks')
SIZE_PX, CROP_SCALE, ANCHORS = 16, .9, 600


class FakeDetector(torch.nn.Module):
    """Gives `rows` (ANCHORS, 5) in canvas pixels for every frame, whatever it shows."""

    def __init__(self):
        super().__init__()
        self.rows = torch.zeros(ANCHORS, 5)

    def forward(self, canvases):
        assert canvases.shape[3] == 3 and canvases.amax() <= 255 and canvases.amin() >= 0
        return self.rows.expand(len(canvases), -1, -1)


class FakeAttributes(torch.nn.Module):
    """p_female is the crop's mean level, quality its red corner, landmarks lie on its diagonal;
    everybody is 40."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, crops):
        self.batches.append(len(crops))
        crops = crops.float() / 255
        age = torch.zeros(len(crops), 101)
        age[:, 40] = 1
        landmarks = torch.linspace(0, 1, 68)[None, :, None].expand(len(crops), 68, 2)
        return age, crops.mean((1, 2, 3)), crops[:, 0, 0, 2], landmarks


class Rig:
    """The same fakes behind the device path (`device`) and behind the plain classes (`plain`), as
    pipelines."""

    def __init__(self, batch_max=16, **settings):
        self.detector, self.attributes = FakeDetector(), FakeAttributes()
        networks = DeviceNetworks(self.detector, self.attributes, OUTPUTS, SIZE_PX, CROP_SCALE)
        self.path = DevicePath(networks, 'cpu', batch_max=batch_max)
        settings = Settings(attributes_batch_max=batch_max, **settings)
        self.device = Pipeline(DeviceFaceDetector(self.path, {'detector_confidence': .5}),
                               DeviceEstimator(self.path, self.estimator(batch_max)), settings)
        self.plain = Pipeline(
            FaceDetector(lambda batch: [self.detector(torch.from_numpy(batch)).numpy()]),
            self.estimator(batch_max), settings)
        for pipeline in (self.device, self.plain):
            pipeline.update(settings)

    def estimator(self, batch_max):
        other = FakeAttributes()
        return AttributeEstimator(
            lambda batch: [head.numpy() for head in other(torch.from_numpy(batch))], OUTPUTS,
            size_px=SIZE_PX, crop_scale=CROP_SCALE, batch_max=batch_max)

    def finds(self, *rows):
        """What the detector gives from now on."""
        self.detector.rows = torch.zeros(ANCHORS, 5)
        self.detector.rows[:len(rows)] = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)


def people(count, side=20.):
    """Rows of `count` separate faces on a canvas of 448x256, best first."""
    return [[
        4. + 26 * (i % 16), 6. + 30 * (i // 16), 4. + side + 26 * (i % 16),
        6. + side + 30 * (i // 16), .95 - .005 * i
    ] for i in range(count)]


def assert_alike(ours, theirs, level=3 / 255):
    """Tracks of both pipelines are the same but for rounding."""
    assert ours.keys() == theirs.keys()
    for camera in ours:
        assert [track.track_id
                for track in ours[camera]] == [track.track_id for track in theirs[camera]]
        for a, b in zip(ours[camera], theirs[camera]):
            np.testing.assert_allclose(a.face.box_xyxy, b.face.box_xyxy, atol=1e-2)
            assert a.face.score == b.face.score and (a.state, a.observations) == (b.state,
                                                                                  b.observations)
            assert (a.raw is None) == (b.raw is None)
            for mine, other in ((a.raw, b.raw), (a.attributes, b.attributes)):
                if mine is not None:
                    assert mine.age_years == other.age_years and abs(mine.p_female -
                                                                     other.p_female) <= level
                    np.testing.assert_allclose(mine.landmarks_xy, other.landmarks_xy, atol=1e-2)
