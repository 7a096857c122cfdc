# SPDX-License-Identifier: Apache-2.0
import math

import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest

from face_attributes_ros.faces import CONFIRMED, Face, Track
from face_attributes_ros.ros.calibration import calibration
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings

K = [1000., 0., 640., 0., 1000., 360., 0., 0., 1.]


def info(**fields):
    return CameraInfo(width=1280, height=720, k=K, **fields)


def sight(calibrated, box, width):
    track = Track('f1', CONFIRMED, 0., 1, Face(box, .9))
    return Sight([track], (width, 720), 0., Settings(position_face_width=.15), calibrated)


def position(calibrated, box, width):
    return sight(calibrated, box, width).positions[0].point


def test_a_part_of_the_sensor_gives_the_position_that_the_whole_gives():
    whole = position(calibration(info()), (910., 100., 1061., 250.), 1280)
    roi = RegionOfInterest(x_offset=640, y_offset=0, width=640, height=720)
    part = position(calibration(info(roi=roi)), (270., 100., 421., 250.), 640)
    assert part == pytest.approx(whole, abs=1e-9) and whole[0] == pytest.approx(.343, abs=.001)


def test_binning_changes_nothing_but_the_size():
    whole = position(calibration(info()), (800., 100., 1000., 300.), 1280)
    half = position(calibration(info(binning_x=2, binning_y=2)), (400., 50., 500., 150.), 640)
    assert half == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize('binning, box, width', [((2, 1), (400., 100., 500., 300.), 640),
                                                 ((1, 2), (800., 50., 1000., 150.), 1280)])
def test_binning_of_one_axis_alone_changes_that_axis(binning, box, width):
    whole = position(calibration(info()), (800., 100., 1000., 300.), 1280)
    across, down = binning
    part = position(calibration(info(binning_x=across, binning_y=down)), box, width)
    assert part == pytest.approx(whole, abs=1e-9)


def test_rectified_images_follow_p():
    p = [500., 0., 600., 0., 0., 500., 300., 0., 0., 0., 1., 0.]
    assert calibration(info(p=p), rectified=True).focal_px(1280) == pytest.approx(
        (500, 500, 600.5, 300.5))
    assert calibration(info(p=p)).focal_px(1280)[0] == pytest.approx(1000)


@pytest.mark.parametrize('k', [[0.] * 9, [math.inf, 0., 1., 0., 1., 1., 0., 0., 1.],
                               [-1., 0., 1., 0., 1., 1., 0., 0., 1.],
                               [1., 0., math.nan, 0., 1., 1., 0., 0., 1.]])
def test_what_is_not_calibrated_has_no_calibration(k):
    assert calibration(CameraInfo(width=640, height=480, k=k)) is None
    assert calibration(CameraInfo(k=K)) is None


@pytest.mark.parametrize(('at', 'value'), [(0, 5e-324), (0, 1.7e308), (4, 5e-324), (2, 1.7e308),
                                           (5, -1.7e308)])
def test_an_extreme_calibration_gives_no_position_that_is_no_number(at, value):
    k = list(K)
    k[at] = value
    calibrated = calibration(CameraInfo(width=1280, height=720, k=k, d=[.1] * 5))
    found, = sight(calibrated, (10., 10., 100., 100.), 1280).positions
    assert found is None or (all(map(math.isfinite, found.point)) and found.point[2] > 0)
