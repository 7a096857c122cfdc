# SPDX-License-Identifier: Apache-2.0
"""Average precision against numbers worked out by hand, and against pycocotools."""
import numpy as np
import pytest

from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.score import (
    Result,
    average_precision,
    best_f1,
    face_free,
    judge,
    match,
    poisson_bound,
    quiet_threshold,
)

NONE = np.zeros((0, 4), np.float32)
A, B, C = [0, 0, 10, 10], [20, 0, 30, 10], [50, 50, 60, 60]


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def result(found, faces, ignore=()):
    """found: (box, score) pairs; a 100 px image."""
    return Result(boxes(*(box for box, _ in found)),
                  np.array([score for _, score in found], np.float32), boxes(*faces),
                  boxes(*ignore), 100)


TABLE = [
    ('nothing found, nothing there', [], [], [], 0.0),
    ('nothing found', [], [A], [], 0.0),
    ('all right', [(A, .9), (B, .8)], [A, B], [], 1.0),
    ('half found', [(A, .9)], [A, B], [], .5),
    ('a false alarm first', [(C, .9), (A, .8)], [A], [], .5),
    ('a false alarm last costs nothing', [(A, .9), (C, .8)], [A], [], 1.0),
    ('right, wrong, right', [(A, .9), (C, .8), (B, .7)], [A, B], [], .5 + .5 * 2 / 3),
    ('the second box on a face is wrong', [(A, .9), (A, .8), (B, .7)], [A,
                                                                        B], [], .5 + .5 * 2 / 3),
    ('an ignored region is neutral', [(C, .9), (A, .8)], [A], [C], 1.0),
    ('many boxes in one ignored region are neutral', [(C, .9), (C, .85),
                                                      (A, .8)], [A], [[45, 45, 70, 70]], 1.0),
    ('an ignored region does not excuse others', [(B, .9), (A, .8)], [A], [C], .5),
]


@pytest.mark.parametrize('found, faces, ignore, expected', [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])
def test_average_precision_by_hand(found, faces, ignore, expected):
    assert average_precision(judge([result(found, faces, ignore)])) == pytest.approx(expected)


@pytest.mark.parametrize('found, faces, ignore, expected', [row[1:] for row in TABLE if row[2]],
                         ids=[row[0] for row in TABLE if row[2]])
def test_pycocotools_agrees(found, faces, ignore, expected):
    pytest.importorskip('pycocotools')
    measured = coco_metrics([result(found, faces, ignore)])
    assert measured['ap50'] == pytest.approx(expected, abs=.011)      # 101 points instead of all
    assert measured['ap50_95'] == pytest.approx(measured['ap50'])  # every right box here is exact


def test_size_classes_are_relative_to_the_image():
    pytest.importorskip('pycocotools')
    small, medium, large = [0, 0, 4, 4], [20, 0, 30, 10], [50, 50, 80, 80]
    measured = coco_metrics([result([(small, .9), (large, .8)], [small, medium, large])])
    assert (measured['ap50_small'], measured['ap50_medium'], measured['ap50_large']) == (1.0, 0.0,
                                                                                         1.0)
    assert coco_metrics([result([(small, .9)], [small])])['ap50_large'] is None


def test_images_are_ranked_together():
    judged = judge([result([(A, .6)], [A]), result([(C, .9)], [])])
    assert judged.scores.tolist() == pytest.approx([.9, .6])
    assert average_precision(judged) == pytest.approx(.5)


def test_a_face_goes_to_the_best_scored_box_that_fits():
    verdict = match(boxes([0, 0, 10, 9], A, C), boxes(A), NONE)
    assert verdict.tolist() == [1, 0, 0]


def test_best_f1_names_its_threshold():
    f1, threshold = best_f1(judge([result([(A, .9), (C, .5), (B, .4)], [A, B])]))
    assert (f1, threshold) == (pytest.approx(.8), pytest.approx(.4))
    assert best_f1(judge([])) == (0.0, 1.0)


@pytest.mark.parametrize('count, exact', [(0, 2.996), (1, 4.744), (3, 7.754), (10, 16.962)])
def test_the_bound_is_that_of_poisson_counts(count, exact):
    """Exact: the 95 % quantile of chi squared with 2 (count + 1) degrees of freedom, halved."""
    assert poisson_bound(count) == pytest.approx(exact, rel=.01)


def test_only_pictures_without_faces_and_regions_count_as_face_free():
    results = [result([(A, .5)], []), result([(A, .9)], [A]), result([(A, .8)], [], [C])]
    assert [scores.tolist() for scores in face_free(results)] == [[.5]]


def pictures(count, *alarms):
    """`count` face-free pictures, the first ones with these scores each."""
    free = [np.array(scores, np.float32) for scores in alarms]
    return free + [np.zeros(0, np.float32)] * (count - len(free))


@pytest.mark.parametrize('free, alarms, threshold', [
    ([], 0, 0),
    (pictures(5), 0, 0),
    (pictures(5, [.3], [.9]), 0, .9),             # too few to allow any alarm
    (pictures(100, [.3], [.9]), 1, .3),           # one may be: its bound is .047, that of two .063
    (pictures(1000, [.3], [.9]), 2, 0),
    (pictures(130, [.8], [.9]), 2, 0),
    (pictures(130, [.8, .9]), 1, .8),             # two in one picture count for more
    (pictures(140, [.3], [.6], [.9]), 2, .3),
])
def test_the_quiet_threshold_allows_what_can_be_vouched_for(free, alarms, threshold):
    found = quiet_threshold(free, .05)
    assert (found.pictures, found.alarms) == (len(free), alarms)
    assert found.threshold == pytest.approx(threshold, abs=1e-6)
    assert sum((scores >= found.threshold).sum() for scores in free) == alarms
    assert found.bound <= .05 or not alarms


def test_what_it_vouches_for_holds_on_new_pictures():
    """Of many draws of val, the true rate at the chosen score is above the limit in one of twenty
    or less."""
    rng = np.random.default_rng(0)
    scores = np.linspace(0, 1, 1001)[1:]
    above = []
    for _ in range(300):
        counts = rng.poisson(.3, 200)             # uniform scores: .3 (1 - t) alarms a picture
        free = [rng.choice(scores, count) for count in counts]
        above.append(.3 * (1 - quiet_threshold(free, .05).threshold) > .05)
    assert np.mean(above) < .07
