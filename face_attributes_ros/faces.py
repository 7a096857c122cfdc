# SPDX-License-Identifier: Apache-2.0
"""The nouns of the package, as frozen records of floats and tuples."""

from __future__ import annotations

from dataclasses import dataclass

EXPRESSIONS = ('neutral', 'happy', 'sad', 'surprise', 'fear', 'disgust', 'angry')
GENDERS = ('female', 'male')
UNKNOWN = 'unknown'

EMOTIONS = dict(zip(EXPRESSIONS, ('neutral', 'happy', 'sad', 'surprised', 'scared', 'disgusted',
                                  'angry')))
"""Our words -> those of messages.

Python, its JSON, the training tables and the model cards use the names that the data sets print
beside their labels, so that a figure can be compared with theirs. Messages use the words of
hri_msgs/Expression (REP 155), so that a robot that knows those needs no table. This is the one
place where they meet; a test holds the constants of FaceAttributes to it.
"""

GENDER_CODES = dict(zip(GENDERS, (1, 2)))
"""Our words -> numbers of messages: those of hri_msgs/SoftBiometrics, for the same reason."""

AGE_GROUPS_YEARS = ((0, 2), (4, 6), (8, 13), (15, 20), (25, 32), (38, 43), (48, 53), (60, 100))
"""The paper's eight age groups (those of the Adience set); ages between two groups belong to
none."""

TENTATIVE, CONFIRMED, COASTING = 'tentative', 'confirmed', 'coasting'


@dataclass(frozen=True)
class Face:
    """One detection: box corners in source pixels (x right, y down) and the detector's score, 0 to
    1."""

    box_xyxy: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class Attributes:
    """What one face looks like; a field is None where the model has no such head or its output is
    switched off.

    Ages are apparent years: `age_low` and `age_high` bound the central 80 % of the predicted
    distribution. `gender` and `expression` are 'unknown' where the model's confidence is below its
    threshold; `p_female` and `expression_probs` (order of EXPRESSIONS, sum 1) are given all the
    same. `smile`, `face_prob` and `quality` run from 0 to 1. Angles are radians: yaw is positive
    when the face turns to the image's right, pitch when it looks up, roll when it tilts clockwise
    in the image. `landmarks_xy` are 68 points (iBUG order) in source pixels.
    """

    age_years: float | None = None
    age_std_years: float | None = None
    age_low: float | None = None
    age_high: float | None = None
    p_female: float | None = None
    gender: str | None = None
    expression_probs: tuple[float, ...] | None = None
    expression: str | None = None
    smile: float | None = None
    yaw_rad: float | None = None
    pitch_rad: float | None = None
    roll_rad: float | None = None
    landmarks_xy: tuple[tuple[float, float], ...] | None = None
    face_prob: float | None = None
    quality: float | None = None


@dataclass(frozen=True)
class Track:
    """One face over time.

    `attributes` are those of the track's life, `raw` are those of this frame alone (None when
    the face was not seen or not analysed in it); `smoothed` says whether the former
    are averages at all. `age_s` is the time since the face was first
    seen, in seconds; `observations` counts the frames it was seen in.
    """

    track_id: str
    state: str
    age_s: float
    observations: int
    face: Face
    attributes: Attributes | None = None
    raw: Attributes | None = None
    smoothed: bool = False
