# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from face_attributes_ros import boxes
from face_attributes_ros.faces import COASTING, CONFIRMED, TENTATIVE, Attributes, Face
from face_attributes_ros.settings import Settings
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
    tracker = Tracker()
    seen = []
    for frame in range(40):
        tracker.update([face_at(100, 100)] if frame < 5 else [], frame / FPS)
        seen.append(states(tracker))
    assert seen[1] == [('f1', TENTATIVE)] and seen[2] == [('f1', CONFIRMED)
                                                          ] and seen[5] == [('f1', COASTING)]
    assert seen[4 + 15] == [('f1', COASTING)] and seen[4 + 17] == []


def test_a_slow_camera_does_not_lose_a_face_for_one_miss():
    tracker = Tracker()
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
    tracker, settings = Tracker(), Settings(tracking_confirm_hits=1)
    tracker.update([face_at(50, 50)], 1., settings)
    for _ in range(61):
        tracker.update([], 1., settings)
    assert tracker.tracks == []


@pytest.mark.parametrize('late_s', [1e-6, .003, .1, .5])
def test_a_stamp_that_is_a_little_late_keeps_ids(late_s):
    tracker = Tracker()
    for frame in range(5):
        tracker.update([face_at(100, 100)], frame / FPS)
    tracker.update([face_at(100, 100)], 4 / FPS - late_s)
    tracker.update([face_at(100, 100)], 5 / FPS)
    assert states(tracker) == [('f1', CONFIRMED)]


@pytest.mark.parametrize('gap_s, first_rate_hz, kept', [
    (.4, 30, True), (.6, 30, False), (5., 30, False), (3600., 30, False),
    (1., 2, True), (5., 2, False), (2., .5, True), (5.1, .5, False),
])
def test_a_pause_ends_tracks_unless_the_camera_is_that_slow(gap_s, first_rate_hz, kept):
    tracker = Tracker()
    for frame in range(6):
        tracker.update([face_at(100, 100)], frame / first_rate_hz)
    tracker.update([face_at(100, 100)], 5 / first_rate_hz + gap_s)
    assert [track.track_id for track in tracker.tracks] == ['f1' if kept else 'f2']


def test_after_a_pause_an_empty_scene_shows_no_face():
    tracker = Tracker()
    for frame in range(6):
        tracker.update([face_at(100 + 20 * frame, 100)], frame / FPS)
    assert tracker.update([], 60.) == []


def test_a_predicted_box_stays_in_the_picture_or_its_track_ends():
    tracker, settings = Tracker(), Settings(tracking_max_coast=60.)
    for frame in range(6):
        tracker.update([face_at(300 + 60 * frame, 100)], frame / FPS, settings, (640, 480))
    for frame in range(6, 90):
        for track in tracker.update([], frame / FPS, settings, (640, 480)):
            x0, y0, x1, y1 = track.snapshot().face.box_xyxy
            assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 480
    assert tracker.tracks == []


def test_many_tracks_are_bounded_by_the_most_faces():
    tracker, settings = Tracker(), Settings(detector_max_faces=5, tracking_confirm_hits=1)
    for frame in range(20):
        row = [face_at(200 * i, 300 * frame) for i in range(5)]
        tracker.update(row, frame / FPS, settings)
    assert len(tracker.tracks) == 3 * 5


def test_smoothing_switched_off_or_changed_live_reaches_tracks_that_live():
    tracker = Tracker()
    track, = tracker.update([face_at(100, 100)], 0.)
    for age in (20., 40.):
        track.look(Attributes(age_years=age), 1., Settings())
    assert track.snapshot().attributes.age_years == 30. and track.snapshot().smoothed
    track.look(Attributes(age_years=50.), 1., Settings(smoothing_enable=False))
    assert track.snapshot().attributes.age_years == 50. and not track.snapshot().smoothed
    track.look(Attributes(age_years=60.), 1., Settings())
    assert track.snapshot().attributes.age_years == 60. and track.snapshot().smoothed


@pytest.mark.parametrize('count', [1, 100])
def test_a_crowd_gets_distinct_ids(count):
    tracker = Tracker()
    crowd = [face_at(100 * (i % 10), 100 * (i // 10)) for i in range(count)]
    first = [track.track_id for track in tracker.update(crowd, 0.)]
    second = {track.face: track.track_id for track in tracker.update(crowd[::-1], .03)}
    assert [second[face] for face in crowd] == first and len(set(first)) == count
