# SPDX-License-Identifier: Apache-2.0
"""How far away a face is by a depth image."""

import array
import math
from types import SimpleNamespace

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_attributes_ros.errors import ImageError
from face_attributes_ros.ros.depth import DepthImages, metres
from face_attributes_ros.settings import Settings

BOX = (16., 12., 48., 36.)
SIZE = (64, 48)


def depth_image(metres_hw, encoding='32FC1', big=False, pad=0, stamp_s=0.):
    order = '>' if big else '<'
    values = np.asarray(metres_hw, np.float64)
    if encoding == '32FC1':
        pixels = values.astype(f'{order}f4')
    else:
        pixels = np.where(np.isfinite(values), values * 1000, 0).round().astype(f'{order}u2')
    height, width = values.shape
    rows = np.zeros((height, pixels.itemsize * width + pad), np.uint8)
    rows[:, :pixels.itemsize * width] = pixels.view(np.uint8).reshape(height, -1)
    header = Header(stamp=Time(sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9)))
    return Image(header=header, width=width, height=height, encoding=encoding, step=rows.shape[1],
                 is_bigendian=int(big), data=array.array('B', rows.tobytes()))


def wall(value=1.5, width=64, height=48):
    return np.full((height, width), value)


@pytest.mark.parametrize('encoding', ['16UC1', 'mono16', '32FC1'])
@pytest.mark.parametrize('big', [False, True])
@pytest.mark.parametrize('pad', [0, 6])
def test_millimetres_and_metres_of_either_byte_order(encoding, big, pad):
    assert metres(depth_image(wall(), encoding, big, pad), BOX, SIZE) == pytest.approx(1.5)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_what_is_behind_a_face_and_what_is_not_known_does_not_count(encoding):
    scene = wall(4.)
    scene[14:34, 20:44] = .8  # the face; the wall behind it shows at the edges of its box
    scene[20:24, 26:38] = np.nan if encoding == '32FC1' else 0  # glasses
    assert metres(depth_image(scene, encoding), BOX, SIZE) == pytest.approx(.8, abs=.001)


@pytest.mark.parametrize('value', [0., math.nan, math.inf, -1., 1000.])
def test_a_face_without_depth_has_none(value):
    assert metres(depth_image(wall(value)), BOX, SIZE) is None


def test_a_few_points_are_not_enough():
    scene = wall(0.)
    scene[24, 30:34] = 1.
    assert metres(depth_image(scene), BOX, SIZE) is None


@pytest.mark.parametrize('box', [(-30., -30., 20., 20.), (60., 40., 90., 90.),
                                 (10., 10., 10.2, 10.2), (63.9, 47.9, 64., 48.)])
def test_boxes_at_the_edge_and_tiny_ones_have_a_depth(box):
    assert metres(depth_image(wall()), box, SIZE) == pytest.approx(1.5)


def test_a_registered_image_of_another_size():
    scene = wall(3., 32, 24)
    scene[6:18, 8:24] = 1.
    assert metres(depth_image(scene), BOX, SIZE) == pytest.approx(1.)


@pytest.mark.parametrize('change, words', [
    ({'encoding': 'rgb8'}, "encoding 'rgb8'"), ({'step': 10}, 'rows of 10'),
    ({'height': 100}, 'bytes'), ({'width': 0, 'step': 0}, '0x48')])
def test_what_is_no_depth_image_is_refused(change, words):
    msg = depth_image(wall())
    for name, value in change.items():
        setattr(msg, name, value)
    with pytest.raises(ImageError, match=words):
        metres(msg, BOX, SIZE)


def test_the_last_row_may_lack_its_padding():
    msg = depth_image(wall(), pad=6)
    msg.data = msg.data[:-6]
    assert metres(msg, BOX, SIZE) == pytest.approx(1.5)
    msg.data = msg.data[:-1]
    with pytest.raises(ImageError, match='bytes'):
        metres(msg, BOX, SIZE)


def images_of(*messages):
    node = SimpleNamespace(resolve_topic_name=lambda name: f'/{name}')
    found = DepthImages(node, 'depth/image')
    for msg in messages:
        found.take(msg)
    return found


def test_the_newest_by_stamp_is_taken_whatever_the_order_of_arrival():
    found = images_of(depth_image(wall(1.), stamp_s=10.1), depth_image(wall(2.), stamp_s=10.))
    assert found.distances([BOX], SIZE, 10.1, Settings()) == [1.]
    found.take(depth_image(wall(3.), stamp_s=2.))  # a bag that begins anew
    assert found.distances([BOX], SIZE, 2., Settings()) == [3.]


def test_a_depth_image_of_another_moment_is_not_taken_and_the_reason_is_kept():
    found = images_of(depth_image(wall(), stamp_s=10.))
    settings = Settings(depth_max_age=.1)
    assert found.distances([BOX], SIZE, 10.09, settings) == [pytest.approx(1.5)]
    assert found.distances([BOX, BOX], SIZE, 10.5, settings) == [None, None]
    assert '0.50 s' in found.why and dict(found.counts) == {'measured': 1, 'guessed': 2}


def test_none_and_strange_ones_are_said_so():
    nothing, strange = images_of(), images_of(Image(encoding='jpeg'))
    assert nothing.distances([BOX], SIZE, 0., Settings()) == [None]
    assert nothing.why == 'no depth image on /depth/image'
    assert strange.distances([BOX], SIZE, 0., Settings()) == [None]
    assert "'jpeg'" in strange.why
