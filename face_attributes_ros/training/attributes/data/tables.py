# SPDX-License-Identifier: Apache-2.0
"""Partial labels of face crops: one `Sample` a face, and a `LabelTable` of them as arrays in which
NaN is "no label".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS

WIDTHS = {
    'age_low': (), 'age_high': (), 'p_female': (), 'expression': (len(EXPRESSIONS), ), 'smile': (),
    'pose': (3, ), 'landmarks': (68, 2), 'face': ()
}


@dataclass(frozen=True)
class Sample:
    """One picture of one face and what is known of it; None where there is no label.

    `image` names the picture: a path, or `archive.zip!member`. `box_fraction` is the part of it to
    cut out, x0 y0 x1 y1 as fractions of its width and height (all of it where None). Ages are
    whole years with both ends included, equal for an exact age. `expression` are shares over
    EXPRESSIONS, `pose` is yaw, pitch, roll in radians, `landmarks` are 68 fractions of the crop,
    `face` is 0 for a picture without a face. `group` is the person or the cluster of
    near-duplicates.
    """

    image: str
    source: str
    age_low: float | None = None
    age_high: float | None = None
    p_female: float | None = None
    expression: tuple[float, ...] | None = None
    smile: float | None = None
    pose: tuple[float, ...] | None = None
    landmarks: np.ndarray | None = None
    face: float = 1.0
    group: str = ''
    box_fraction: tuple[float, ...] | None = None


@dataclass(frozen=True)
class LabelTable:
    """The same as arrays: `images`, `sources`, `groups`, `boxes` of N, and `labels[name]` (N, ...)
    float32 with NaN.
    """

    images: tuple[str, ...]
    sources: np.ndarray
    groups: tuple[str, ...]
    boxes: tuple[tuple | None, ...]
    labels: dict[str, np.ndarray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def rows_of(self, source: str) -> np.ndarray:
        """Row numbers of one source."""
        return np.flatnonzero(self.sources == source)

    def subset(self, rows: np.ndarray | Sequence[int]) -> LabelTable:
        """The table of some rows."""
        return LabelTable(tuple(self.images[row] for row in rows), self.sources[rows],
                          tuple(self.groups[row] for row in rows),
                          tuple(self.boxes[row] for row in rows),
                          {name: column[rows] for name, column in self.labels.items()})

    def digest(self) -> str:
        """A hash over pictures and labels, for the checkpoint."""
        state = hashlib.sha256('\n'.join(self.images).encode())
        for name in sorted(self.labels):
            state.update(np.nan_to_num(self.labels[name], nan=-9).tobytes())
        return state.hexdigest()


def table_of(samples: Sequence[Sample]) -> LabelTable:
    """The `LabelTable` of a list of samples."""
    labels = {
        name: np.full((len(samples), *width), np.nan, np.float32)
        for name, width in WIDTHS.items()
    }
    for row, sample in enumerate(samples):
        for name, column in labels.items():
            value = getattr(sample, name)
            if value is not None:
                column[row] = value
    return LabelTable(tuple(sample.image for sample in samples),
                      np.array([sample.source for sample in samples]),
                      tuple(sample.group for sample in samples),
                      tuple(sample.box_fraction for sample in samples), labels)


def one_hot(expression: str) -> tuple[float, ...]:
    """Shares over EXPRESSIONS with all mass on one name. Raises `DataError` on a name that is not
    among them.
    """
    if expression not in EXPRESSIONS:
        raise DataError(f'expression {expression!r} is not one of {", ".join(EXPRESSIONS)}')
    return tuple(float(name == expression) for name in EXPRESSIONS)


def shares(votes: Sequence[float], least: float = 3) -> tuple[float, ...] | None:
    """Votes over EXPRESSIONS as shares, or None where fewer than `least` annotators chose one of
    them."""
    total = sum(votes)
    return tuple(vote / total for vote in votes) if total >= least else None


def smile_of(expression: Sequence[float] | None) -> float | None:
    """Whether annotators saw a smile, from expression shares: 1 at 80 % happy, 0 where nobody said
    happy, else None.
    """
    if expression is None:
        return None
    happy = expression[EXPRESSIONS.index('happy')]
    return 1.0 if happy >= 0.8 else 0.0 if happy == 0 else None
