# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import boxes
from face_attributes_ros.faces import COASTING, CONFIRMED, TENTATIVE, Face
from face_attributes_ros.tracker import Tracker

FPS = 30


def face_at(x, y, side=80.):
    return Face((x - side / 2, y - side / 2, x + side / 2, y + side / 2), .9)


def states(tracker):
    return [(track.track_id, track.snapshot().state) for track in tracker.tracks]


def test_no_face_ever():
    tracker = Tracker()
    assert tracker.update([], 0.) == [] and tracker.update([], 1.) == []


def test_a_face_is_tentative_then_confirmed_then_coasting_then_gone():
    tracker = Tracker(max_coast_s=.5, confirm_hits=3)
    seen = []
    for frame in range(40):
        tracker.update([face_at(100, 100)] if frame < 5 else [], frame / FPS)
        seen.append(states(tracker))
    assert seen[1] == [('f1', TENTATIVE)] and seen[2] == [('f1', CONFIRMED)
                                                          ] and seen[5] == [('f1', COASTING)]
    assert seen[4 + 15] == [('f1', COASTING)] and seen[4 + 17] == []


def test_a_slow_camera_does_not_lose_a_face_for_one_miss():
    tracker = Tracker(max_coast_s=.5, confirm_hits=2)
    for second, faces in enumerate([[face_at(100, 100)]] * 3 + [[]] + [[face_at(100, 100)]]):
        tracker.update(faces, 2. * second)
    assert states(tracker) == [('f1', CONFIRMED)]


def test_twenty_percent_misses_change_no_id_in_a_thousand_frames():
    rng, tracker, ids = np.random.default_rng(0), Tracker(), set()
    for frame in range(1000):
        people = [
            face_at(100 + 200 * i + 40 * np.sin(frame / 20 + i), 200 + 20 * np.cos(frame / 13 + i))
            for i in range(5)
        ]
        tracker.update([face for face in people if rng.random() > .2], frame / FPS)
        ids |= {track.track_id for track in tracker.tracks}
    assert ids == {'f1', 'f2', 'f3', 'f4', 'f5'}


def crossing_keeps_ids(seed):
    """Whether two faces that walk through each other, with misses and noise, keep their ids; the
    hidden one is not seen."""
    rng = np.random.default_rng(seed)
    sides, speeds, heights = rng.uniform(60, 120,
                                         2), rng.uniform(100, 350, 2) * [1, -1], rng.uniform(
                                             200, 220, 2)
    tracker, seen = Tracker(), []
    for frame in range(int((800 / (speeds[0] - speeds[1]) + .6) * FPS)):
        truth = [
            face_at(x + v * frame / FPS, y, side)
            for x, v, y, side in zip((100, 500), speeds, heights, sides)
        ]
        noisy = [
            Face(tuple(np.array(face.box_xyxy) + rng.normal(0, 1.5, 4)), .9) for face in truth
        ]
        merged = boxes.iou(*(np.array([face.box_xyxy]) for face in noisy))[0, 0] > .45
        shown = [i for i in (0, 1) if rng.random() > .2 and not (merged and i != np.argmax(sides))]
        tracker.update([noisy[i] for i in shown], frame / FPS)
        seen.append({
            i: track.track_id for i in shown for track in tracker.tracks if track.face is noisy[i]
        })
    ids = [[m[i] for m in seen if i in m] for i in (0, 1)]
    return all(some[len(some) // 4] == some[-1] for some in ids)


def test_crossing_faces_keep_their_ids():
    assert np.mean([crossing_keeps_ids(seed) for seed in range(100)]) >= .95


def test_fast_faces_on_a_slow_camera_keep_their_ids():
    tracker = Tracker()
    for frame in range(10):
        tracker.update([face_at(100 + 60 * frame, 100)], frame / 5)
    assert [track.track_id for track in tracker.tracks] == ['f1']


def test_numbers_are_never_used_twice():
    tracker = Tracker(prefix='left_f')
    tracker.update([face_at(50, 50)], 0.)
    tracker.reset()
    tracker.update([face_at(50, 50)], .1)
    assert states(tracker) == [('left_f2', TENTATIVE)]


def test_a_stamp_that_jumps_back_starts_anew():
    tracker = Tracker()
    tracker.update([face_at(50, 50)], 100.)
    tracker.update([face_at(50, 50)], 3.)
    assert states(tracker) == [('f2', TENTATIVE)]


def test_stamps_that_stand_still_end_tracks_too():
    tracker = Tracker(confirm_hits=1)
    tracker.update([face_at(50, 50)], 1.)
    for _ in range(61):
        tracker.update([], 1.)
    assert tracker.tracks == []


@pytest.mark.parametrize('count', [1, 100])
def test_a_crowd_gets_distinct_ids(count):
    tracker = Tracker()
    crowd = [face_at(100 * (i % 10), 100 * (i // 10)) for i in range(count)]
    first = [track.track_id for track in tracker.update(crowd, 0.)]
    second = {track.face: track.track_id for track in tracker.update(crowd[::-1], .03)}
    assert [second[face] for face in crowd] == first and len(set(first)) == count
