# SPDX-License-Identifier: Apache-2.0
"""One row a head: everything that the package knows of what an attribute network may give.

Estimator, smoother, switches, captions, JSON and messages loop over HEADS; none of them names a
head. What only one head needs stands here as a function of its row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from face_attributes_ros import ages, alignment
from face_attributes_ros.faces import (
    EMOTIONS,
    EXPRESSIONS,
    GENDER_CODES,
    GENDERS,
    UNKNOWN,
    Attributes,
)
from face_attributes_ros.head import Caption, Head, Label, Mean, Wire, copied, rounded, to_json
from face_attributes_ros.settings import Settings


def as_they_are(rows: np.ndarray) -> Sequence[Sequence[Any]]:
    """The one column of a head with one number a face."""
    return [rows.tolist()]


# --- gender --------------------------------------------------------------------------------------


def _choose_gender(p_female: float, held: int | None, settings: Settings) -> tuple[str, int]:
    best = 0 if p_female >= .5 else 1
    sure = max(p_female, 1 - p_female) >= settings.attributes_gender_threshold
    return GENDERS[best] if sure else UNKNOWN, best


def _gender_prob(seen: Attributes) -> float:
    # Of the gender that is named, else of the likelier one.
    p_female = seen.p_female or 0.
    if seen.gender in GENDERS:
        return p_female if seen.gender == GENDERS[0] else 1 - p_female
    return max(p_female, 1 - p_female)


def _gender_words(seen: Attributes) -> str:
    unknown = ' gender' if seen.gender == UNKNOWN else ''
    return f'{seen.gender}{unknown} {_gender_prob(seen):.2f}'


def _knows_gender(seen: Attributes) -> bool:
    return seen.gender in GENDERS


def _gender_caption(seen: Attributes) -> str:
    return str(seen.gender) if _knows_gender(seen) else 'gender?'


def _write_gender(seen: Attributes) -> dict[str, Any] | None:
    if seen.gender not in GENDER_CODES:
        return None
    return {'gender': GENDER_CODES[seen.gender], 'gender_confidence': _gender_prob(seen)}


def _read_gender(face: Mapping[str, Any]) -> dict[str, Any]:
    words = {code: word for word, code in GENDER_CODES.items()}
    return {'gender': words[face['gender']]}


# --- age -----------------------------------------------------------------------------------------


def _write_age(seen: Attributes) -> dict[str, Any]:
    low, high = seen.age_low or 0., seen.age_high or 0.
    return {'age': seen.age_years, 'age_stddev': seen.age_std_years,
            'age_min': min(max(math.floor(low), 0), 255),
            'age_max': min(max(math.ceil(high), 0), 255),
            'age_confidence': ages.INTERVAL}


def _read_age(face: Mapping[str, Any]) -> dict[str, Any]:
    return {'age_years': face['age'], 'age_std_years': face['age_stddev'],
            'age_low': float(face['age_min']), 'age_high': float(face['age_max'])}


# --- expression ----------------------------------------------------------------------------------


def _likeliest(probs: Sequence[float]) -> int:
    return max(range(len(probs)), key=probs.__getitem__)  # on seven floats quicker than numpy


def _choose_expression(probs: Sequence[float], held: int | None,
                       settings: Settings) -> tuple[str, int]:
    best = _likeliest(probs)
    if held is not None and probs[best] <= probs[held] + settings.smoothing_expression_hysteresis:
        best = held
    sure = probs[best] >= settings.attributes_expression_threshold
    return EXPRESSIONS[best] if sure else UNKNOWN, best


def _mood(seen: Attributes) -> tuple[str, float]:
    # Below its threshold the likeliest expression is shown with a question mark: its percentage
    # would mean nothing alone.
    probs = seen.expression_probs or ()
    if seen.expression in EXPRESSIONS:
        return seen.expression, probs[EXPRESSIONS.index(seen.expression)]
    best = _likeliest(probs)
    return f'{EXPRESSIONS[best]}?', probs[best]


def _mood_words(seen: Attributes) -> str:
    name, prob = _mood(seen)
    return f'{name} {prob:.2f}'


def _mood_caption(seen: Attributes) -> str:
    name, prob = _mood(seen)
    return f'{name} {100 * prob:.0f}%'


def _expression_json(seen: Attributes) -> str | None:
    # The likeliest label always; whether it is sure enough to be shown is for the reader of the
    # probabilities.
    probs = seen.expression_probs
    return None if probs is None else EXPRESSIONS[_likeliest(probs)]


def _probs_json(seen: Attributes) -> dict[str, Any] | None:
    probs = seen.expression_probs
    return None if probs is None else dict(zip(EXPRESSIONS, rounded(probs)))


def _write_emotion(seen: Attributes) -> dict[str, Any] | None:
    if seen.expression not in EMOTIONS:
        return None
    return {'emotion': EMOTIONS[seen.expression], 'emotion_confidence': _mood(seen)[1]}


def _read_emotion(face: Mapping[str, Any]) -> dict[str, Any]:
    words = {emotion: word for word, emotion in EMOTIONS.items()}
    return {'expression': words[face['emotion']]}


# --- pose ----------------------------------------------------------------------------------------


def _upright_pose(rows: np.ndarray, transforms: np.ndarray, size_px: int) -> np.ndarray:
    # A crop that was turned upright shows that much less roll than the picture.
    rows = rows.copy()
    rows[:, 2] -= np.arctan2(transforms[:, 1, 0], transforms[:, 0, 0])
    return rows


def _unmirrored_pose(rows: np.ndarray) -> np.ndarray:
    signs = np.array([-1, 1, -1], rows.dtype)  # yaw and roll change theirs
    back: np.ndarray = rows * signs
    return back


def _frontality(seen: Attributes) -> float:
    return max(.1, math.cos(seen.yaw_rad or 0.))


def _pose_words(seen: Attributes) -> str:
    yaw, pitch, roll = (math.degrees(angle or 0.)
                        for angle in (seen.yaw_rad, seen.pitch_rad, seen.roll_rad))
    return f'yaw {yaw:+.0f} pitch {pitch:+.0f} roll {roll:+.0f} deg'


# --- landmarks -----------------------------------------------------------------------------------


def _points_to_source(rows: np.ndarray, transforms: np.ndarray, size_px: int) -> np.ndarray:
    # Crop fractions (N, P, 2) through the inverses of (N, 2, 3) transforms.
    inverse = np.linalg.inv(transforms[:, :, :2]).swapaxes(1, 2)
    found: np.ndarray = (rows * size_px - transforms[:, None, :, 2]) @ inverse
    return found


def _unmirrored_points(rows: np.ndarray) -> np.ndarray:
    back: np.ndarray = rows[:, alignment.FLIP_68] * [-1, 1] + [1, 0]
    return back


HEADS: Mapping[str, Head] = {
    'gender': Head(
        shape=(), reads=('p_female', ), columns=as_they_are, mean=Mean.LIFE,
        label=Label('gender', 'p_female', _choose_gender), switch='attributes_enable_gender',
        caption=Caption(_gender_words, short=_gender_caption, line=0, sure=_knows_gender),
        json={'gender': attrgetter('gender'), **to_json('p_female')},
        wires=(Wire('HAS_GENDER', _write_gender, _read_gender),
               copied('HAS_GENDER_PROBABILITY', probability_female='p_female'))),
    'age': Head(
        shape=(101, ), reads=('age_years', 'age_std_years', 'age_low', 'age_high'),
        columns=ages.columns, mean=Mean.LIFE, switch='attributes_enable_age',
        caption=Caption(
            lambda seen: f'{seen.age_years:.0f} years ({seen.age_low:.0f}-{seen.age_high:.0f})',
            short=lambda seen: f'{seen.age_low:.0f}-{seen.age_high:.0f}',
            line=0),
        json=to_json('age_years', 'age_low', 'age_high'),
        wires=(Wire('HAS_AGE', _write_age, _read_age), )),
    'expression': Head(
        shape=(len(EXPRESSIONS), ), reads=('expression_probs', ),
        columns=lambda rows: [list(map(tuple, rows.tolist()))], mean=Mean.MOMENT,
        label=Label('expression', 'expression_probs', _choose_expression),
        switch='attributes_enable_expression',
        caption=Caption(_mood_words, short=_mood_caption, line=1,
                        sure=lambda seen: seen.expression in EXPRESSIONS,
                        bar=lambda seen: _mood(seen)[1]),
        json={'expression': _expression_json, 'expression_probs': _probs_json},
        wires=(Wire('HAS_EMOTION', _write_emotion, _read_emotion),
               copied('HAS_EMOTION_PROBABILITIES', emotion_probabilities='expression_probs'))),
    'smile': Head(
        shape=(), reads=('smile', ), columns=as_they_are, mean=Mean.MOMENT,
        switch='attributes_enable_expression',
        caption=Caption(lambda seen: f'smile {seen.smile:.2f}'), json=to_json('smile'),
        wires=(copied('HAS_SMILE', smile='smile'), )),
    'pose': Head(
        shape=(3, ), reads=('yaw_rad', 'pitch_rad', 'roll_rad'),
        columns=lambda rows: rows.T.tolist(), switch='attributes_enable_pose',
        weight=_frontality, to_picture=_upright_pose, unmirrored=_unmirrored_pose,
        caption=Caption(_pose_words), json=to_json('yaw_rad', 'pitch_rad', 'roll_rad'),
        wires=(copied('HAS_POSE', yaw='yaw_rad', pitch='pitch_rad', roll='roll_rad'), )),
    'landmarks': Head(
        shape=(68, 2), reads=('landmarks_xy', ),
        columns=lambda rows: [[tuple(zip(x, y)) for x, y in rows.swapaxes(1, 2).tolist()]],
        switch='attributes_enable_landmarks', to_picture=_points_to_source,
        unmirrored=_unmirrored_points, json=to_json('landmarks_xy', digits=2),
        wires=(copied('HAS_LANDMARKS', {'landmark_scheme': 68}, landmarks='landmarks_xy'), )),
    'face': Head(shape=(), reads=('face_prob', ), columns=as_they_are),
    'quality': Head(
        shape=(), reads=('quality', ), columns=as_they_are,
        weight=lambda seen: seen.quality or 0.,
        wires=(copied('HAS_QUALITY', quality='quality'), )),
}
"""By the name of the network's output, in the order in which captions, tables and JSON show
them."""


def in_picture(heads: Mapping[str, np.ndarray], transforms: np.ndarray,
               size_px: int) -> dict[str, np.ndarray]:
    """Heads of crops as the picture has them: through the crops' transforms (N, 2, 3), landmarks
    are source pixels and roll is against the picture's upright."""
    shifted = {name: head.to_picture(heads[name], transforms, size_px)
               for name, head in HEADS.items() if name in heads and head.to_picture}
    return {**heads, **shifted}


def unmirrored(heads: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Heads of mirrored crops as if the crops had not been mirrored: landmarks swapped sides, yaw
    and roll changed sign. Heads that are not ours stay as they are."""
    back = {name: head.unmirrored(heads[name])
            for name, head in HEADS.items() if name in heads and head.unmirrored}
    return {**heads, **back}
