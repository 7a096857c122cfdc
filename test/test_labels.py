# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import labels
from face_attributes_ros.captions import Words

GREEN = (0, 200, 0)
ROWS = [[Words('f3')], [Words('female'), Words('25-38')], [Words('happy 90%', bar=.9)]]


def drawn(boxes, rows=ROWS, size=(640, 480), value=100):
    """The picture with labels, and where they are."""
    image = np.full((size[1], size[0], 3), value, np.uint8)
    labels.draw_labels(image, [rows] * len(boxes), np.array(boxes, float).reshape(-1, 4),
                       [GREEN] * len(boxes))
    return image, (image != value).any(2)


def test_no_faces_have_no_labels():
    assert not drawn([])[1].any()


def overlap(one, two):
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]


@pytest.mark.parametrize('seed', range(20))
def test_labels_lie_over_no_other_face_and_no_other_label(seed):
    random = np.random.default_rng(seed)
    height = random.uniform(20, 200, 12)
    corner = random.uniform((-20, -20), (600, 460), (12, 2))
    boxes = np.rint(np.column_stack([corner, corner + np.column_stack([.8 * height, height])]))
    found = {number: (*left_top, left_top[0] + label.width, left_top[1] + label.height)
             for number, label, left_top in labels.placed([ROWS] * 12, boxes, (480, 640))}
    assert len(found) >= 4
    for number, panel in found.items():
        assert min(panel) >= 0 and panel[2] <= 640 and panel[3] <= 480
        assert not any(overlap(panel, box) for other, box in enumerate(boxes) if other != number)
        assert not any(overlap(panel, two) for other, two in found.items() if other != number)


def test_what_is_drawn_lies_in_the_panels():
    boxes = np.array([(200., 200., 280., 300.), (300., 200., 332., 240.)])
    _, changed = drawn(boxes)
    for _, label, (left, top) in labels.placed([ROWS] * 2, boxes, (480, 640)):
        assert changed[top:top + label.height, left:left + label.width].mean() > .9
        changed[top:top + label.height, left:left + label.width] = False
    assert not changed.any()


@pytest.mark.parametrize('box, where', [
    ((300, 200, 380, 300), 'above'), ((300, 0, 380, 100), 'below'),
    ((0, 0, 150, 480), 'right'), ((490, 0, 640, 480), 'left'), ((0, 0, 640, 480), 'inside')])
def test_a_label_is_where_there_is_room(box, where):
    rows, columns = np.nonzero(drawn([box])[1])
    x0, y0, x1, y1 = box
    assert {'above': rows.max() < y0, 'below': rows.min() >= y1, 'right': columns.min() >= x1,
            'left': columns.max() < x0, 'inside': rows.min() > y1 / 2}[where]


@pytest.mark.parametrize('box', [(-90, 10, -10, 100), (700, 10, 780, 100), (10, -90, 90, -10),
                                 (10, 500, 90, 600), (1e5, 1e5, 1e5, 1e5)])
def test_a_face_outside_the_picture_has_none(box):
    assert not drawn([box])[1].any()


def test_a_label_is_as_large_as_its_face():
    sizes = [labels.measured(ROWS, px) for px in (20., 100., 200., 400.)]
    widths = [label.width for label in sizes]
    assert widths[0] < widths[2] < widths[3] and widths[3] == pytest.approx(2 * widths[2], rel=.1)
    assert all(.5 < label.width / (.8 * px) < 1.6 for label, px in zip(sizes[1:], (100, 200, 400)))


def test_without_room_for_all_the_id_is_left_and_without_any_nothing():
    # Two boxes that are one: neither may have a label inside.
    strip = labels.measured(ROWS[:1], 460.).height
    for room, count in ((strip, 1), (strip - 1, 0)):
        boxes = np.array([(0., room, 640., room + 460.)] * 2)
        found = list(labels.placed([ROWS] * 2, boxes, (room + 460, 640)))
        assert [len(label.rows) for _, label, _ in found] == [1] * (2 * count)


def test_what_is_not_sure_is_grey():
    def colours(sure):
        image, changed = drawn([(300, 200, 480, 424)], [[Words('happy 30%', sure, .3)]])
        return {tuple(pixel) for pixel in image[changed].tolist()}

    assert labels.SURE_BGR in colours(True) and GREEN in colours(True)
    assert labels.SURE_BGR not in colours(False) and labels.UNSURE_BGR in colours(False)


@pytest.mark.parametrize('part', [0., .25, 1., 7.])
def test_a_bar_is_filled_as_far_as_it_says(part):
    image, changed = drawn([(300, 200, 480, 424)], [[Words('happy', bar=part)]])
    empty = (image == (90, 90, 90)).all(2).sum()
    margin = labels.measured([[Words('happy')]], 224.).margin_px
    stripe = margin * (changed.any(1).sum())
    filled = (image == GREEN).all(2).sum() - stripe
    assert filled / (filled + empty) == pytest.approx(min(part, 1.), abs=.02)
