# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros.training.detector.score import Result
from face_attributes_ros.training.detector.worst import (
    TILE_PX,
    false_alarms,
    misses,
    sheet,
    unfound,
)

NONE = np.zeros((0, 4), np.float32)
FACE, FAR = [10, 10, 50, 50], [60, 60, 90, 90]


def result(found=(), scores=(), faces=(), ignore=()):
    boxes = [np.array(part, np.float32).reshape(-1, 4) for part in (found, faces, ignore)]
    return Result(boxes[0], np.array(scores, np.float32), boxes[1], boxes[2], 100)


class Picture:
    def image(self):
        return np.full((100, 100, 3), 128, np.uint8)


@pytest.mark.parametrize(
    ('found', 'scores', 'expected'),
    [
        ([], [], [True]),
        ([FACE], [0.9], [False]),
        ([FACE], [0.2], [True]),  # too weak
        ([FAR], [0.9], [True]),
        ([[10, 10, 28, 50]], [0.9], [True]),  # too narrow
    ],
)
def test_which_faces_stay_unfound(found, scores, expected):
    assert unfound(result(found, scores, [FACE]), 0.5).tolist() == expected


def test_no_pictures_have_no_failures():
    assert misses([], 0.5) == false_alarms([], 0.5) == []
    assert unfound(result(), 0.5).shape == (0,)
    assert sheet([], [], 4).shape[1] == 2 * TILE_PX


def test_the_worst_misses_come_first():
    results = [result([FACE], [0.4], [FACE]), result([], [], [FAR]), result([FACE], [0.9], [FACE])]
    found = misses(results, 0.5)
    assert [failure.sample for failure in found] == [1, 0]
    assert found[1].caption == '0.40 40%'


def test_the_surest_false_alarms_come_first_and_neutral_ones_not_at_all():
    results = [
        result([FAR], [0.6], [FACE]),
        result([FACE, FAR], [0.8, 0.2]),
        result([FACE], [0.9], ignore=[FACE]),
    ]
    assert [(failure.sample, failure.caption) for failure in false_alarms(results, 0.5)] == [
        (1, '0.80'),
        (0, '0.60'),
    ]


def test_a_sheet_is_a_square_of_tiles():
    failures = misses([result([], [], [FACE, FAR])], 0.5)
    assert sheet(failures, [Picture()], 9).shape == (TILE_PX, 3 * TILE_PX, 3)
    assert sheet(failures * 3, [Picture()], 4).shape == (2 * TILE_PX, 2 * TILE_PX, 3)
