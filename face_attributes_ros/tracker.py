# SPDX-License-Identifier: Apache-2.0
"""Faces of one camera over time: the same person keeps the same id through misses and crossings.

Each track predicts its box by its own velocity; a frame's faces are matched to the predictions,
best overlap first, and what is left by distance. Tracks are updated on every frame, also an empty
one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from face_attributes_ros import boxes
from face_attributes_ros.faces import COASTING, CONFIRMED, TENTATIVE, Attributes, Face, Track
from face_attributes_ros.settings import DEFAULTS, Settings
from face_attributes_ros.smoothing import AttributeSmoother

MAX_COAST_FRAMES = 60
"""A track outlives this many missed frames at most (stamps that stand still)."""

SLOW_CAMERA_IMAGES = 2.5
SLOWEST_S, SLOWEST_START_S = 2., 1.
"""A slow camera's track outlives a gap of so many of its intervals, up to this interval (and up to
the second one while only one image has come): at 2 Hz one missed image must not end it, whatever
`tracking.max_coast` says."""

JITTER_S = .1
"""Stamps may go back by this or by `tracking.max_coast`, whichever is more: cameras do not always
deliver in order. By more, time has begun anew (a bag that loops)."""

REACH = .8
"""How far, in box sides, a face may lie from its prediction and still be the same one without
overlap."""

SIZE_RATIO = 2.
VELOCITY_GAIN = .5
VELOCITY_HALF_LIFE_S = .5


class FaceTrack:
    """A track in the making: box, velocity and life story of one face."""

    def __init__(self, track_id: str, face: Face, stamp_s: float):
        self.track_id, self.face = track_id, face
        self.box = np.array(face.box_xyxy)
        self.velocity = np.zeros(4)  # pixels a second of each side: x, y and again x, y
        self.first_s = self.seen_s = self.stamp_s = stamp_s
        self.observations, self.misses, self.looks = 1, 0, 0
        self.confirmed = False
        self.attributes: Attributes | None = None
        self.raw: Attributes | None = None
        self._smoother: AttributeSmoother | None = None

    @property
    def seen(self) -> bool:
        """Whether this frame shows the face."""
        return self.misses == 0

    def predict(self, stamp_s: float) -> None:
        """Moves the box to where the face should be at `stamp_s`; the velocity fades, since nobody
        walks on for ever unseen."""
        elapsed = max(0., stamp_s - self.stamp_s)
        self.stamp_s = stamp_s
        self.box = self.box + self.velocity * elapsed
        self.raw = None
        if self.misses:
            self.velocity = self.velocity * .5 ** (elapsed / VELOCITY_HALF_LIFE_S)

    def observe(self, face: Face) -> None:
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

    def miss(self, size: tuple[int, int] | None) -> None:
        """Notes that this frame, of `size` (width, height) where that is known, does not show the
        face."""
        self.misses += 1
        shown = self.box if size is None else boxes.clip(self.box[None], *size)[0]
        x0, y0, x1, y1 = shown.tolist()
        self.face = Face((x0, y0, x1, y1), self.face.score)

    @property
    def gone(self) -> bool:
        """Whether nothing of the predicted box lies in the picture."""
        x0, y0, x1, y1 = self.face.box_xyxy
        return self.misses > 0 and (x1 <= x0 or y1 <= y0)

    def look(self, attributes: Attributes, weight: float, settings: Settings) -> None:
        """Takes what the network says of this frame's face; it counts `weight`."""
        self.raw, self.looks = attributes, self.looks + 1
        if settings.smoothing_enable:
            self._smoother = self._smoother or AttributeSmoother()
            self.attributes = self._smoother.update(attributes, weight, self.stamp_s, settings)
        else:
            self._smoother, self.attributes = None, attributes

    def snapshot(self) -> Track:
        """What is known now, as a record."""
        state = CONFIRMED if self.confirmed else TENTATIVE
        return Track(self.track_id, COASTING if self.misses else state,
                     self.stamp_s - self.first_s, self.observations, self.face, self.attributes,
                     self.raw, self._smoother is not None)


class Tracker:
    """Gives the faces of one camera their ids: `prefix` and a number that is never used twice."""

    def __init__(self, *, prefix: str = 'f'):
        self.prefix = prefix
        self.tracks: list[FaceTrack] = []
        self._count = 0
        self._stamp_s: float | None = None
        self._interval_s: float | None = None

    def reset(self) -> None:
        """Forgets every track; numbers go on."""
        self.tracks, self._stamp_s, self._interval_s = [], None, None

    def update(self, faces: Sequence[Face], stamp_s: float, settings: Settings = DEFAULTS,
               size: tuple[int, int] | None = None) -> list[FaceTrack]:
        """The live tracks after a frame of `size` (width, height) with `faces` (maybe none) taken
        at `stamp_s`."""
        stamp_s = self._in_order(stamp_s, settings)
        patience_s = self._patience_s(stamp_s, settings)
        self.tracks = [track for track in self.tracks if stamp_s - track.seen_s <= patience_s]
        for track in self.tracks:
            track.predict(stamp_s)
        unmatched = self._match(faces, settings.tracking_iou, size)
        alive = [track for track in self.tracks if _alive(track)]
        self.tracks = _newest(alive, 2 * settings.detector_max_faces)
        self.tracks += [self._new(faces[i], stamp_s) for i in unmatched]
        for track in self.tracks:
            track.confirmed |= track.observations >= settings.tracking_confirm_hits
        return self.tracks

    def _in_order(self, stamp_s: float, settings: Settings) -> float:
        # A stamp that goes back a little stands for the last one; one that goes back far begins
        # anew.
        if self._stamp_s is None or stamp_s >= self._stamp_s:
            return stamp_s
        if self._stamp_s - stamp_s <= max(settings.tracking_max_coast, JITTER_S):
            return self._stamp_s
        self.reset()
        return stamp_s

    def _patience_s(self, stamp_s: float, settings: Settings) -> float:
        # How long a face may be unseen. The camera's interval is that of the images before: the
        # gap at hand may be a pause.
        gap_s = None if self._stamp_s is None else stamp_s - self._stamp_s
        self._stamp_s = stamp_s
        if gap_s is None:
            return settings.tracking_max_coast
        first = self._interval_s is None
        usual_s = min(gap_s, SLOWEST_START_S) if self._interval_s is None else self._interval_s
        if gap_s > 0:
            step_s = min(gap_s, SLOWEST_S, 2 * usual_s)
            self._interval_s = step_s if first else .8 * usual_s + .2 * step_s
        return max(settings.tracking_max_coast, SLOW_CAMERA_IMAGES * usual_s)

    def _match(self, faces: Sequence[Face], iou: float,
               size: tuple[int, int] | None) -> list[int]:
        found = np.array([face.box_xyxy for face in faces]).reshape(-1, 4)
        left_tracks, left_faces = list(range(len(self.tracks))), list(range(len(faces)))
        expected = np.array([track.box for track in self.tracks]).reshape(-1, 4)
        for affinity in (partial(_overlap, threshold=iou), _nearness):
            if left_tracks and left_faces:
                for t, f in _greedy(affinity(expected, found), left_tracks, left_faces):
                    self.tracks[t].observe(faces[f])
        for t in left_tracks:
            self.tracks[t].miss(size)
        return left_faces

    def _new(self, face: Face, stamp_s: float) -> FaceTrack:
        self._count += 1
        return FaceTrack(f'{self.prefix}{self._count}', face, stamp_s)


def _alive(track: FaceTrack) -> bool:
    if track.gone:
        return False
    # A false alarm rarely comes back: what is not confirmed may be missed once.
    return track.misses <= (MAX_COAST_FRAMES if track.confirmed else 1)


def _newest(tracks: list[FaceTrack], most: int) -> list[FaceTrack]:
    # Those that were seen last, in the old order: matching takes time with the number of tracks.
    if len(tracks) <= most:
        return tracks
    keep = {id(track) for track in sorted(tracks, key=lambda track: -track.seen_s)[:most]}
    return [track for track in tracks if id(track) in keep]


def _overlap(expected: np.ndarray, found: np.ndarray, threshold: float) -> np.ndarray:
    overlap = boxes.iou(expected, found)
    return np.where(overlap >= threshold, overlap, 0)


def _nearness(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    # For low frame rates, where a face leaves its own box between two frames: same size and within
    # reach.
    sides, other = (np.maximum((b[:, 2:] - b[:, :2]).max(1), 1) for b in (expected, found))
    centres = [(b[:, :2] + b[:, 2:]) / 2 for b in (expected, found)]
    apart = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=2)
    ratio = sides[:, None] / other[None]
    alike = (ratio < SIZE_RATIO) & (ratio > 1 / SIZE_RATIO)
    nearness: np.ndarray = np.where(alike, np.clip(1 - apart / sides[:, None] / REACH, 0, None), 0)
    return nearness


def _greedy(affinity: np.ndarray, left_rows: list[int],
            left_columns: list[int]) -> Iterator[tuple[int, int]]:
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
