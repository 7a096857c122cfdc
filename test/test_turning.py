# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import TURNS_DEG, Settings
from face_attributes_ros.turning import as_it_came, upright

SIZE = (64, 48)
SPOT = (10, 5, 20, 12)  # x0, y0, x1, y1 of a bright spot in the image as it came


def picture():
    image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    x0, y0, x1, y1 = SPOT
    image[y0:y1, x0:x1] = 255
    return image


def spot(image):
    rows, columns = np.nonzero(image[..., 0])
    return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)


@pytest.mark.parametrize('turn', TURNS_DEG)
def test_what_is_found_in_the_upright_image_lies_where_it_came_from(turn):
    turned = upright(picture(), turn)
    x0, y0, x1, y1 = spot(turned)
    seen = Attributes(roll_rad=.1, yaw_rad=.2, landmarks_xy=((x0, y0), (x1, y1)))
    track = as_it_came(Track('f1', CONFIRMED, 0., 1, Face((x0, y0, x1, y1), .9), seen, seen), turn,
                       SIZE)
    assert track.face.box_xyxy == SPOT
    assert {x for x, _ in track.raw.landmarks_xy} == {SPOT[0], SPOT[2]}
    assert track.raw.yaw_rad == .2
    assert math.remainder(track.raw.roll_rad + math.radians(turn) - .1, math.tau) == pytest.approx(
        0)


@pytest.mark.parametrize('turn', TURNS_DEG)
def test_a_pipeline_finds_faces_of_a_camera_that_hangs_upside_down(turn):
    shapes = []

    def network(batch):
        shapes.append(batch.shape[1:3])
        return [np.float32([[[*spot_on_canvas(batch[0]), .9]]])]

    def spot_on_canvas(canvas):
        rows, columns = np.nonzero(canvas[..., 0] > 200)
        return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1

    settings = Settings(image_rotation=(turn, ), detector_min_face_px=0)
    track, = Pipeline(FaceDetector(network, imgsz_px=128), None,
                      settings).process({'': (picture(), 0.)})['']
    np.testing.assert_allclose(track.face.box_xyxy, SPOT, atol=1.)
    assert shapes == [(128, 96) if turn in (90, 270) else (96, 128)]


def test_each_camera_has_its_own_turn_or_all_the_same():
    settings = Settings(cameras=('a', 'b'), image_rotation=(0, 180))
    assert (settings.turn_deg('a'), settings.turn_deg('b')) == (0, 180)
    assert Settings(cameras=('a', 'b'), image_rotation=(90, )).turn_deg('b') == 90
    for wrong in ((45, ), (0, 90, 180), ()):
        with pytest.raises(ParameterError, match='image_rotation'):
            Settings(cameras=('a', 'b'), image_rotation=wrong)
