# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import boxes

EMPTY = np.zeros((0, 4), np.float32)
RATIOS = [(640, 480), (1280, 720), (1920, 1080), (480, 640), (100, 100), (448, 448), (333, 1000),
          (8000, 6000), (31, 17), (1, 1)]


@pytest.mark.parametrize('a, b, expected', [
    (EMPTY, EMPTY, np.zeros((0, 0))),
    ([[0, 0, 2, 2]], EMPTY, np.zeros((1, 0))),
    ([[0, 0, 2, 2]], [[0, 0, 2, 2]], [[1]]),
    ([[0, 0, 2, 2]], [[1, 0, 3, 2]], [[1 / 3]]),
    ([[0, 0, 1, 1]], [[1, 1, 2, 2], [5, 5, 5, 5]], [[0, 0]]),
    ([[3, 3, 3, 3]], [[3, 3, 3, 3]], [[0]]),
])
def test_iou(a, b, expected):
    np.testing.assert_allclose(boxes.iou(np.float32(a), np.float32(b)), expected, atol=1e-6)


@pytest.mark.parametrize('found, scores, kept', [
    (EMPTY, [], []),
    ([[0, 0, 2, 2]], [.5], [0]),
    ([[0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]], [.5, .9, .7], [1, 2]),
    ([[0, 0, 10, 10], [0, 0, 10, 10]], [.5, .5], [0]),
])
def test_nms_keeps_the_best_of_each_cluster(found, scores, kept):
    assert boxes.nms(np.float32(found).reshape(-1, 4), np.float32(scores), .45).tolist() == kept


def test_nms_stops_at_max_boxes():
    found = np.float32([[i, 0, i + 1, 1] for i in range(9)])
    assert boxes.nms(found, np.linspace(1, 0, 9), .5, max_boxes=4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize('width, height', RATIOS)
@pytest.mark.parametrize('square', [False, True])
def test_letterbox_inverse_is_exact(width, height, square):
    canvas = (448, 448) if square else boxes.canvas_size(width, height, 448)
    letterbox = boxes.Letterbox(width, height, *canvas)
    source = np.random.default_rng(0).uniform(0, 1, (20, 4)).astype(
        np.float32) * [width, height, width, height]
    np.testing.assert_allclose(letterbox.to_source(letterbox.to_canvas(source)), source,
                               atol=max(width, height) * 1e-5)


@pytest.mark.parametrize('width, height', [(640, 480), (1280, 720), (480, 640), (1920, 1080),
                                           (2000, 500)])
def test_letterbox_draws_where_it_says(width, height):
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box = [width * 3 // 8, height // 4, width * 5 // 8, height * 3 // 4]
    image[y0:y1, x0:x1] = 255
    letterbox = boxes.Letterbox(width, height, *boxes.canvas_size(width, height, 448))
    canvas = letterbox.apply(
        image, np.zeros((letterbox.canvas_height, letterbox.canvas_width, 3), np.uint8))
    white = np.argwhere(canvas[..., 0] > 127)  # the grey of the margins is below
    drawn = np.array([[*white.min(0)[::-1], *(white.max(0)[::-1] + 1)]], np.float32)
    np.testing.assert_allclose(drawn[0], letterbox.to_canvas(np.float32([box]))[0], atol=1)


@pytest.mark.parametrize('width, height', [(100, 50), (50, 100), (100, 1), (1, 100), (1, 1)])
def test_letterbox_fills_margins_left_by_another_picture(width, height):
    canvas = np.full((448, 448, 3), 7, np.uint8)
    letterbox = boxes.Letterbox(width, height, 448, 448)
    letterbox.apply(np.zeros((height, width, 3), np.uint8), canvas)
    assert set(np.unique(canvas)) <= {0, boxes.LETTERBOX_GREY}
    assert (canvas == 0).sum() == 3 * letterbox.inner[0] * letterbox.inner[1]


@pytest.mark.parametrize('size, expected', [((1280, 720), (448, 256)), ((640, 480), (448, 352)),
                                            ((1, 1), (448, 448)), ((5000, 1), (448, 32)),
                                            ((480, 640), (352, 448))])
def test_canvas_follows_the_aspect_in_strides(size, expected):
    assert boxes.canvas_size(*size, 448) == expected


def test_clip():
    assert boxes.clip(np.float32([[-5, -5, 50, 50]]), 20, 10).tolist() == [[0, 0, 20, 10]]


def test_suppression_over_many_blocks_is_the_textbook_one():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 300, (500, 2))
    found = np.concatenate([corner, corner + rng.uniform(10, 60, (500, 2))], 1).astype(np.float32)
    scores = rng.uniform(size=500).astype(np.float32)
    kept, order = [], np.argsort(-scores, kind='stable')
    for index in order:
        if not kept or boxes.iou(found[index:index + 1], found[kept]).max() <= .3:
            kept.append(index)
    assert boxes.nms(found, scores, .3).tolist() == kept
    assert boxes.nms(found, scores, .3, max_boxes=150).tolist() == kept[:150]
