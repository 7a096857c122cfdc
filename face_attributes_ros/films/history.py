# SPDX-License-Identifier: Apache-2.0
"""What is kept of a video's tracks: small numbers, no pixels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from face_attributes_ros.faces import COASTING, CONFIRMED, UNKNOWN, Attributes, Track
from face_attributes_ros.films.watch import Seen


@dataclass
class Life:
    """One track's life: time, apparent age with its interval, smile and expression of each frame
    that it was in; NaN and None where the model says nothing."""

    track_id: str
    times_s: list[float] = field(default_factory=list)
    ages: list[tuple[float, float, float]] = field(default_factory=list)
    smiles: list[float] = field(default_factory=list)
    expressions: list[str | None] = field(default_factory=list)
    last: Track | None = None
    confirmed: bool = False

    def add(self, time_s: float, track: Track) -> None:
        """One more frame."""
        seen = track.attributes or Attributes()
        self.confirmed |= track.state == CONFIRMED
        self.times_s.append(time_s)
        self.ages.append((_number(seen.age_years), _number(seen.age_low), _number(seen.age_high)))
        self.smiles.append(_number(seen.smile))
        self.expressions.append(seen.expression)
        if track.state != COASTING or self.last is None:
            self.last = track

    @property
    def usual_expression(self) -> tuple[str, float] | None:
        """The expression that was certain in at least half of the frames, and in which share of
        them; None if none was."""
        (name, count), = Counter(self.expressions).most_common(1)
        share = count / len(self.expressions)
        return (name, share) if name and name != UNKNOWN and share >= .5 else None


def _number(value: float | None) -> float:
    return math.nan if value is None else value


class History:
    """The lives of a video's tracks, those that were never confirmed left out."""

    def __init__(self) -> None:
        self._lives: dict[str, Life] = {}
        self.frames, self.seconds = 0, 0.

    def add(self, seen: Seen) -> None:
        """One more frame."""
        self.frames += 1
        self.seconds = seen.frame.time_s
        for track in seen.tracks:
            life = self._lives.setdefault(track.track_id, Life(track.track_id))
            life.add(seen.frame.time_s, track)

    @property
    def lives(self) -> list[Life]:
        """In the order in which they began."""
        return [life for life in self._lives.values() if life.confirmed]

    def sentences(self) -> Iterable[str]:
        """A line a track."""
        for life in self.lives:
            yield _sentence(life)


def _sentence(life: Life) -> str:
    words = [f'{life.track_id} from {life.times_s[0]:.1f} to {life.times_s[-1]:.1f} s']
    seen = life.last.attributes if life.last else None
    if seen is not None and seen.gender is not None:
        words.append(seen.gender + (' gender' if seen.gender == UNKNOWN else ''))
    if seen is not None and seen.age_years is not None:
        words.append(f'{seen.age_years:.0f} years ({seen.age_low:.0f}-{seen.age_high:.0f})')
    if life.usual_expression:
        name, share = life.usual_expression
        words.append(f'mostly {name} ({100 * share:.0f} %)')
    return ', '.join(words)
