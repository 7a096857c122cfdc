# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros.tiles import MOST_TILES, OVERLAP, Tile, tiles_of


@pytest.mark.parametrize('width, height, count, canvas_px, expected', [
    (3840, 2160, 0, 448, 0), (3840, 2160, 1, 448, 0), (3840, 2160, 3, 448, 9),
    (2160, 3840, 4, 448, 16), (448, 300, 4, 448, 0), (640, 480, 4, 448, 4), (1, 1, 8, 448, 0),
    (1280, 720, 8, 448, 9), (5000, 3, 3, 448, 9),
])
def test_the_whole_comes_first_and_no_tile_is_enlarged(width, height, count, canvas_px, expected):
    whole, *tiles = tiles_of(width, height, count, canvas_px)
    assert whole == Tile(0, 0, width, height, width, height)
    assert len(tiles) == expected


@pytest.mark.parametrize('width, height', [(3840, 2160), (1921, 1081), (720, 5000), (4096, 451)])
@pytest.mark.parametrize('count', range(2, MOST_TILES + 1))
def test_tiles_cover_the_picture_and_overlap(width, height, count):
    _, *tiles = tiles_of(width, height, count, 64)
    seen = np.zeros((height, width), bool)
    for tile in tiles:
        assert tile.x >= 0 and tile.y >= 0
        assert tile.view(seen).shape == (tile.height, tile.width)
        tile.view(seen)[:] = True
    assert seen.all() and len({(tile.width, tile.height) for tile in tiles}) == 1
    shared = tiles[0].x + tiles[0].width - tiles[1].x
    assert shared >= OVERLAP * tiles[0].width - 2


def test_a_box_at_an_inner_edge_is_cut_and_one_at_the_pictures_edge_is_not():
    boxes = np.float32([[0, 50, 30, 80], [70, 50, 100, 80], [40, 98, 60, 120], [40, 40, 60, 60]])
    left = Tile(0, 0, 100, 100, 300, 100)
    assert left.whole_boxes(boxes, 1).tolist() == [True, False, True, True]
    middle = Tile(100, 0, 100, 100, 300, 200)
    assert middle.whole_boxes(boxes, 1).tolist() == [False, False, False, True]
    assert Tile(0, 0, 100, 100, 100, 100).whole_boxes(boxes, 1).all()
    assert middle.whole_boxes(boxes[:0], 1).shape == (0,)
    assert middle.to_picture(boxes[3:]).tolist() == [[140, 40, 160, 60]]
