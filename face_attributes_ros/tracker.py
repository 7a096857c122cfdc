# SPDX-License-Identifier: Apache-2.0
"""Faces of one camera over time: the same person keeps the same id through misses and crossings.

Each track predicts its box by its own velocity; a frame's faces are matched to the predictions,
best overlap first, and what is left by distance. Tracks are updated on every frame, also an empty
one.
"""

from __future__ import annotations

import numpy as np

from face_attributes_ros import boxes
from face_attributes_ros.faces import COASTING, CONFIRMED, TENTATIVE, Face, Track

MIN_COAST_FRAMES, MAX_COAST_FRAMES = 3, 60
"""A track outlives this many missed frames at least (slow cameras) and at most (stamps that stand
still)."""

REACH = .8
"""How far, in box sides, a face may lie from its prediction and still be the same one without
overlap."""

SIZE_RATIO = 2.
VELOCITY_GAIN = .5
VELOCITY_HALF_LIFE_S = .5


class FaceTrack:
    """A track in the making: box, velocity and life story of one face."""

    def __init__(self, track_id, face, stamp_s, smoother):
        self.track_id, self.face, self.smoother = track_id, face, smoother
        self.box = np.array(face.box_xyxy)
        self.velocity = np.zeros(4)  # pixels a second of each side of the box: x, y and again x, y
        self.first_s = self.seen_s = self.stamp_s = stamp_s
        self.observations, self.misses, self.looks = 1, 0, 0
        self.confirmed = False
        self.attributes = self.raw = None

    @property
    def seen(self):
        """Whether this frame shows the face."""
        return self.misses == 0

    @property
    def side(self):
        """Longer side of the box, pixels."""
        return float(np.max(self.box[2:] - self.box[:2]))

    def predict(self, stamp_s):
        """Moves the box to where the face should be at `stamp_s`; the velocity fades, since nobody
        walks on for ever unseen."""
        elapsed = max(0., stamp_s - self.stamp_s)
        self.stamp_s = stamp_s
        self.box = self.box + self.velocity * elapsed
        self.raw = None
        if self.misses:
            self.velocity = self.velocity * .5 ** (elapsed / VELOCITY_HALF_LIFE_S)

    def observe(self, face):
        """Takes a face as this track's, at the stamp of the last `predict`."""
        box = np.array(face.box_xyxy)
        elapsed = self.stamp_s - self.seen_s
        if elapsed > 0:
            moved = box - self.box
            drift = (moved + moved[[2, 3, 0, 1]]) / 2
            gain = 1. if self.observations == 1 else VELOCITY_GAIN
            self.velocity = self.velocity + gain * drift / elapsed
        self.face, self.box, self.seen_s = face, box, self.stamp_s
        self.observations, self.misses = self.observations + 1, 0

    def miss(self):
        """Notes that this frame does not show the face."""
        self.misses += 1
        self.face = Face(tuple(self.box.tolist()), self.face.score)

    def look(self, attributes, weight):
        """Takes what the network says of this frame's face."""
        self.raw, self.looks = attributes, self.looks + 1
        self.attributes = self.smoother.update(attributes, weight,
                                               self.stamp_s) if self.smoother else attributes

    def snapshot(self):
        """What is known now, as a record."""
        state = CONFIRMED if self.confirmed else TENTATIVE
        return Track(self.track_id, COASTING if self.misses else state,
                     self.stamp_s - self.first_s, self.observations, self.face, self.attributes,
                     self.raw)


class Tracker:
    """Gives the faces of one camera their ids: `prefix` and a number that is never used twice."""

    def __init__(self, *, prefix='f', max_coast_s=.5, confirm_hits=3, iou=.3, smoother=None):
        self.prefix, self.max_coast_s, self.confirm_hits, self.iou = prefix, max_coast_s, confirm_hits, iou
        self.make_smoother = smoother or (lambda: None)
        self.tracks: list[FaceTrack] = []
        self._count, self._stamp_s = 0, None

    def reset(self):
        """Forgets every track; numbers go on."""
        self.tracks, self._stamp_s = [], None

    def update(self, faces, stamp_s):
        """The live tracks after a frame with `faces` (maybe none) taken at `stamp_s`; a stamp that
        jumps back starts anew."""
        if self._stamp_s is not None and stamp_s < self._stamp_s:
            self.reset()
        self._stamp_s = stamp_s
        for track in self.tracks:
            track.predict(stamp_s)
        unmatched = self._match(faces)
        self.tracks = [track for track in self.tracks if self._alive(track)]
        self.tracks += [self._new(faces[i], stamp_s) for i in unmatched]
        for track in self.tracks:
            track.confirmed |= track.observations >= self.confirm_hits
        return self.tracks

    def _match(self, faces):
        found = np.array([face.box_xyxy for face in faces]).reshape(-1, 4)
        left_tracks, left_faces = list(range(len(self.tracks))), list(range(len(faces)))
        expected = np.array([track.box for track in self.tracks]).reshape(-1, 4)
        for affinity in (_overlap(expected, found, self.iou), _nearness(expected, found)):
            for t, f in _greedy(affinity, left_tracks, left_faces):
                self.tracks[t].observe(faces[f])
        for t in left_tracks:
            self.tracks[t].miss()
        return left_faces

    def _alive(self, track):
        if track.misses == 0:
            return True
        if not track.confirmed:  # a false alarm rarely comes back
            return track.misses <= 1
        unseen_s = track.stamp_s - track.seen_s
        return track.misses <= MAX_COAST_FRAMES and (unseen_s <= self.max_coast_s
                                                     or track.misses < MIN_COAST_FRAMES)

    def _new(self, face, stamp_s):
        self._count += 1
        return FaceTrack(f'{self.prefix}{self._count}', face, stamp_s, self.make_smoother())


def _overlap(expected, found, threshold):
    overlap = boxes.iou(expected, found)
    return np.where(overlap >= threshold, overlap, 0)


def _nearness(expected, found):
    # For low frame rates, where a face leaves its own box between two frames: same size and within
    # reach.
    sides, other = (np.maximum((b[:, 2:] - b[:, :2]).max(1), 1) for b in (expected, found))
    centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (expected, found)]
    distance = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2) / sides[:, None]
    ratio = sides[:, None] / other[None]
    alike = (ratio < SIZE_RATIO) & (ratio > 1 / SIZE_RATIO)
    return np.where(alike, np.clip(1 - distance / REACH, 0, None), 0)


def _greedy(affinity, left_rows, left_columns):
    """Yields the best pairs with positive affinity, and takes them out of both lists."""
    if affinity.size == 0:
        return
    for flat in np.argsort(-affinity, axis=None, kind='stable'):
        row, column = divmod(int(flat), affinity.shape[1])
        if affinity[row, column] <= 0:
            return
        if row in left_rows and column in left_columns:
            left_rows.remove(row)
            left_columns.remove(column)
            yield row, column
