# SPDX-License-Identifier: Apache-2.0
import numpy as np
from detector_rig import draw_face

from face_attributes_ros.training.detector.augment import Augment, Picture
from face_attributes_ros.training.detector.scenes import LARGEST_HEAD_PX, crowd, distant

EMPTY = Picture(np.full((120, 160, 3), 90, np.uint8), np.zeros((0, 4), np.float32))


def giver():
    image = np.full((200, 200, 3), 60, np.uint8)
    return Picture(image, np.array([draw_face(image, (100, 90), 50)], np.float32))


def test_a_crowd_has_faces_of_many_sizes_inside_the_canvas():
    rng = np.random.default_rng(1)
    scenes = [crowd(EMPTY, giver, 320, rng, Augment()) for _ in range(20)]
    boxes = np.concatenate([scene.boxes for scene in scenes])
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    assert len(boxes) > 5 * len(scenes)
    assert sides.min() < 12 and 30 < sides.max() < 1.5 * LARGEST_HEAD_PX
    assert boxes.min() >= 0 and boxes.max() <= 320
    assert {scene.image.shape for scene in scenes} == {(320, 320, 3)}


def test_faces_of_a_crowd_do_not_cover_each_other():
    rng = np.random.default_rng(2)
    boxes = crowd(EMPTY, giver, 320, rng, Augment()).boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres[:, None] > boxes[None, :, :2]) & (centres[:, None] < boxes[None, :, 2:])
    assert (inside.all(2).sum(1) == 1).all()


def test_a_distant_picture_is_small_and_keeps_its_face():
    rng = np.random.default_rng(3)
    found = [distant(EMPTY, giver(), 320, rng, Augment(rotate=0)) for _ in range(20)]
    assert all(scene.image.shape == (320, 320, 3) for scene in found)
    widths = np.concatenate([scene.boxes for scene in found])
    assert len(widths) > 12 and (widths[:, 2] - widths[:, 0]).max() < 224


def test_a_distant_picture_without_a_face_has_none():
    assert distant(EMPTY, EMPTY, 160, np.random.default_rng(0), Augment()).boxes.shape == (0, 4)
