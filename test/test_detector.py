# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest

from face_attributes_ros import boxes
from face_attributes_ros.detector import MOST_CANVASES, FaceDetector
from face_attributes_ros.errors import ImageError, ModelError
from face_attributes_ros.settings import Settings

RATIOS = [(640, 480), (1280, 720), (1920, 1080), (480, 640), (720, 1280), (100, 100), (333, 1000),
          (1000, 333), (31, 17), (4000, 3000)]

SMALL_TOO = Settings(detector_confidence=.5, detector_min_face_px=0)


def network_of(*rows):
    """A network that finds the same rows (x0, y0, x1, y1, score; canvas pixels) in every
    picture."""
    return lambda batch: [np.tile(np.float32(rows).reshape(1, -1, 5), (len(batch), 1, 1))]


def test_no_faces():
    assert FaceDetector(network_of())(np.zeros((480, 640, 3), np.uint8)) == []


@pytest.mark.parametrize('width, height', RATIOS)
@pytest.mark.parametrize('square', [False, True])
def test_boxes_are_in_source_pixels(width, height, square):
    wanted = np.float32([[width * .25, height * .25, width * .5, height * .625]])
    canvas = (448, 448) if square else boxes.canvas_size(width, height, 448)
    there = boxes.Letterbox(width, height, *canvas).to_canvas(wanted)[0]
    detector = FaceDetector(network_of([*there, .9]), square=square)
    face, = detector(np.zeros((height, width, 3), np.uint8), SMALL_TOO)
    np.testing.assert_allclose(face.box_xyxy, wanted[0], atol=1)
    assert face.score == pytest.approx(.9)


def test_best_first_suppressed_clipped_and_limited():
    rows = [[0, 0, 20, 20, .6], [1, 0, 21, 20, .9], [-50, 100, 60, 160, .8],
            [300, 300, 301, 301, .95], [10, 10, 20, 20, .1]]
    detector, picture = FaceDetector(network_of(*rows)), np.zeros((448, 448, 3), np.uint8)
    settings = Settings(detector_confidence=.5, detector_min_face_px=5)
    found = detector(picture, settings)
    assert [round(face.score, 2) for face in found] == [.9, .8]
    assert found[1].box_xyxy[0] == 0
    assert len(detector(picture, replace(settings, detector_max_faces=1))) == 1


def test_a_hundred_faces_are_a_hundred_faces():
    rows = [[30 * (i % 10), 30 * (i // 10), 30 * (i % 10) + 20, 30 * (i // 10) + 20, .9]
            for i in range(100)]
    assert len(FaceDetector(network_of(*rows))(np.zeros((448, 448, 3), np.uint8))) == 100


def test_pictures_of_one_shape_share_a_batch():
    sizes = []
    detector = FaceDetector(lambda batch: sizes.append(batch.shape) or network_of()(batch))
    shapes = [(480, 640), (480, 640), (720, 1280)]
    assert detector.detect([np.zeros((*shape, 3), np.uint8) for shape in shapes]) == [[], [], []]
    assert sizes == [(2, 352, 448, 3), (1, 256, 448, 3)]
    assert detector.detect([]) == []


@pytest.mark.parametrize('image', [
    np.zeros((0, 5, 3), np.uint8),
    np.zeros((5, 5), np.uint8),
    np.zeros((5, 5, 4), np.uint8),
    np.zeros((5, 5, 3)), None
])
def test_what_is_no_image_is_an_image_error(image):
    with pytest.raises(ImageError, match='needs uint8'):
        FaceDetector(network_of())(image)


def test_a_network_of_another_shape_is_a_model_error():
    with pytest.raises(ModelError, match=r'needs \(1, N, 5\)'):
        FaceDetector(lambda batch: [np.zeros((1, 7, 6))])(np.zeros((9, 9, 3), np.uint8))


@pytest.mark.parametrize('row', [
    np.full((1, 1, 5), np.nan), np.full((1, 1, 5), np.inf), np.full((1, 1, 5), 40.),
    np.full((1, 1, 5), -1.), np.ones((1, 1, 5), int), np.full((1, 1, 5), 'x'),
    np.full((1, 1, 5), None)])
def test_numbers_that_cannot_be_are_a_model_error(row):
    with pytest.raises(ModelError, match='detector gave'):
        FaceDetector(lambda batch: [row])(np.zeros((9, 9, 3), np.uint8))


def test_sizes_that_change_with_every_image_use_a_bounded_number_of_canvases():
    seen = set()

    def network(batch):
        seen.add(batch.shape)
        return network_of()(batch)

    detector = FaceDetector(network)
    for width in range(100, 1600, 10):
        assert detector(np.zeros((400, width, 3), np.uint8)) == []
    assert 1 < len(seen) <= MOST_CANVASES + 1  # and the square


def bright_spots(batch):
    """A network that finds the bright rectangle of each canvas, whatever its size."""
    rows = np.zeros((len(batch), 1, 5), np.float32)
    for row, canvas in zip(rows, batch):
        y, x = np.nonzero(canvas[..., 0] > 200)
        if len(x):
            row[0] = x.min(), y.min(), x.max() + 1, y.max() + 1, .9
    return [rows]


@pytest.mark.parametrize('shape', [(2160, 3840), (1080, 1920), (3000, 1000)])
@pytest.mark.parametrize('place', [(.1, .2), (.37, .4), (.5, .5), (.63, .66), (.97, .98)])
def test_a_far_face_is_found_once_in_tiles_and_not_in_the_whole(shape, place):
    picture = np.zeros((*shape, 3), np.uint8)
    side = max(shape) // 150
    x, y = (round(share * length) for share, length in zip(place, shape[::-1]))
    x, y = min(x, shape[1] - side), min(y, shape[0] - side)
    picture[y:y + side, x:x + side] = 255

    def finds_large(batch):
        rows = bright_spots(batch)[0]
        sides = rows[..., 2] - rows[..., 0]
        rows[..., 4] *= (sides > 5) & (sides < 200)
        return [rows]

    assert FaceDetector(finds_large)(picture, SMALL_TOO) == []
    face, = FaceDetector(finds_large, tiles=3)(picture, SMALL_TOO)
    np.testing.assert_allclose(face.box_xyxy, [x, y, x + side, y + side],
                               atol=1.5 * max(shape) / 448 / 2)


def test_a_face_larger_than_the_overlap_is_left_to_the_whole_picture():
    picture = np.zeros((1080, 1920, 3), np.uint8)
    picture[300:800, 700:1200] = 255
    face, = FaceDetector(bright_spots, tiles=4)(picture, SMALL_TOO)
    np.testing.assert_allclose(face.box_xyxy, [700, 300, 1200, 800], atol=5)


def test_tiles_go_through_the_network_a_few_at_a_time():
    shapes = []
    detector = FaceDetector(lambda batch: shapes.append(batch.shape) or network_of()(batch),
                            tiles=3)
    assert detector.detect([np.zeros((1080, 1920, 3), np.uint8)] * 2) == [[], []]
    assert shapes == [(8, 256, 448, 3), (2, 256, 448, 3)] * 2


def test_a_small_picture_is_looked_at_once():
    shapes = []
    detector = FaceDetector(lambda batch: shapes.append(batch.shape) or network_of()(batch),
                            tiles=4)
    assert detector(np.zeros((300, 400, 3), np.uint8)) == [] and shapes == [(1, 352, 448, 3)]
