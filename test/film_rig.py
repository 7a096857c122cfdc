# SPDX-License-Identifier: Apache-2.0
"""Small videos, and a pipeline whose networks see a bright square as a face."""

import time

import cv2
import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.pipeline import Pipeline

SIZE = (160, 120)
RATE_HZ = 10.


def picture(number, squares=1, size=SIZE):
    """A grey picture with bright squares that move two pixels a frame."""
    image = np.full((size[1], size[0], 3), 40, np.uint8)
    for which in range(squares):
        x, y = 10 + 2 * number, 10 + 60 * which
        image[y:y + 40, x:x + 40] = 220
    return image


def write(path, frames=12, squares=1, rate_hz=RATE_HZ):
    """A video of Motion JPEG; `squares` may be a function of the frame's number."""
    count = squares if callable(squares) else lambda number: squares
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), rate_hz, SIZE)
    for number in range(frames):
        writer.write(picture(number, count(number)))
    writer.release()
    return path


def detect(batch):
    """Boxes (B, 4, 5) of the bright squares in canvases (B, H, W, 3), padded with score 0."""
    found = np.zeros((len(batch), 4, 5), np.float32)
    for boxes, canvas in zip(found, batch):
        bright = (canvas.min(axis=2) > 160).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        for row, (x, y, width, height, _) in zip(boxes, stats[1:5]):
            row[:] = x, y, x + width, y + height, .9
    return [found]


def estimate(batch):
    """Age 40, p_female .9, happy, smile .8 and a pose of each crop."""
    count = len(batch)
    age, mood = np.zeros((count, 101), np.float32), np.zeros((count, 7), np.float32)
    age[:, 40], mood[:, 1] = 1, 1
    return [age, np.full(count, .9, np.float32), mood, np.full(count, .8, np.float32),
            np.tile(np.float32([.1, -.2, .3]), (count, 1))]


def make_pipeline(settings=None):
    """A real Pipeline around the two."""
    heads = ('age', 'gender', 'expression', 'smile', 'pose')
    return Pipeline(FaceDetector(detect, imgsz_px=160),
                    AttributeEstimator(estimate, heads, size_px=32, crop_scale=1.), settings)


def make_slow_pipeline(settings=None):
    """The same, at twenty frames a second at most."""
    def slowly(batch):
        time.sleep(.05)
        return detect(batch)

    pipeline = make_pipeline(settings)
    pipeline.detector.network = slowly
    return pipeline
