# SPDX-License-Identifier: Apache-2.0
"""What a row of `heads.HEADS` is made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import prod
from operator import attrgetter
from typing import Any

import numpy as np

from face_attributes_ros.faces import Attributes, Track
from face_attributes_ros.settings import Settings


class Mean(Enum):
    """How a track averages a head."""

    LIFE = 'what does not change: over the life of the track, by the weight of each look'
    MOMENT = 'what changes: exponentially, with smoothing.time_constant'
    NONE = 'what is of use only now: messages and drawings show this image or nothing'


_NONE = Mean.NONE  # a look-up in an Enum takes as long as the rest of `Head.of`


@dataclass(frozen=True)
class Label:
    """A word that follows from numbers of the same head.

    `field` of Attributes takes the word, `of` is the one with the numbers. `choose` gives the word
    and its index, from the numbers, the index that the track held before (None for a single look)
    and the settings.
    """

    field: str
    of: str
    choose: Callable[[Any, int | None, Settings], tuple[str, int]]


@dataclass(frozen=True)
class Caption:
    """A head in words. `long` stands in a sentence about the face; `short`, where there is one,
    on that `line` of the label beside its box, grey unless `sure`, above a bar that is filled so
    far (0 to 1) as `bar` says."""

    long: Callable[[Attributes], str]
    short: Callable[[Attributes], str] | None = None
    line: int = 0
    sure: Callable[[Attributes], bool] = lambda seen: True
    bar: Callable[[Attributes], float] | None = None


@dataclass(frozen=True)
class Wire:
    """Fields of FaceAttributes that hold where one bit of its `valid` is set.

    `write` gives them by name, plain numbers and tuples, or None where they do not hold; `read`
    gives fields of Attributes from those of a message as a mapping.
    """

    bit: str
    write: Callable[[Attributes], Mapping[str, Any] | None]
    read: Callable[[Mapping[str, Any]], Mapping[str, Any]]


@dataclass(frozen=True)
class Head:
    """One output of an attribute network and what becomes of it.

    `shape` is that of one face's row. `columns` turns rows (N, *shape) into N values for each
    field of Attributes in `reads`; `label` adds one more field. `switch` is the field of Settings
    that shows it. `weight` (0 to 1) is how much a look counts by what this head said.
    `to_picture` undoes what a crop's transform (N, 2, 3) and side did, `unmirrored` what mirroring
    the crop did. `json` has the values of the command line's JSON by key.
    """

    shape: tuple[int, ...]
    reads: tuple[str, ...]
    columns: Callable[[np.ndarray], Sequence[Sequence[Any]]]
    mean: Mean = Mean.NONE
    label: Label | None = None
    switch: str | None = None
    weight: Callable[[Attributes], float] | None = None
    to_picture: Callable[[np.ndarray, np.ndarray, int], np.ndarray] | None = None
    unmirrored: Callable[[np.ndarray], np.ndarray] | None = None
    caption: Caption | None = None
    json: Mapping[str, Callable[[Attributes], Any]] = field(default_factory=dict)
    wires: tuple[Wire, ...] = ()

    @property
    def size(self) -> int:
        """Numbers a face."""
        return prod(self.shape)

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field of Attributes that it fills."""
        return (*self.reads, self.label.field) if self.label else self.reads

    def said(self, attributes: Attributes | None) -> bool:
        """Whether these attributes come with this head."""
        return getattr(attributes, self.reads[0], None) is not None

    def of(self, track: Track) -> Attributes | None:
        """The attributes of a track in which this head is shown: those of its life, or of this
        image where it is not averaged. None where it says nothing."""
        seen = track.raw if self.mean is _NONE else track.attributes
        if seen is None or getattr(seen, self.reads[0]) is None:
            return None
        return seen


def copied(bit: str, constants: Mapping[str, Any] | None = None, **fields: str) -> Wire:
    """A wire whose message fields hold fields of Attributes (`message='attribute'`) as they are,
    or constants."""
    always, pairs = dict(constants or {}), tuple(fields.items())

    def write(seen: Attributes) -> Mapping[str, Any]:
        values = always.copy()
        for name, own in pairs:
            values[name] = getattr(seen, own)
        return values

    return Wire(bit, write, lambda face: {own: face[name] for name, own in pairs})


def to_json(*fields: str, digits: int = 4) -> dict[str, Callable[[Attributes], Any]]:
    """JSON keys of the same name as fields of Attributes, with numbers rounded."""
    return {name: _rounded_field(name, digits) for name in fields}


def _rounded_field(name: str, digits: int) -> Callable[[Attributes], Any]:
    value = attrgetter(name)
    return lambda seen: rounded(value(seen), digits)


def rounded(value: Any, digits: int = 4) -> Any:
    """Numbers of any nesting rounded and tuples as lists, ready for JSON: not-a-number is None."""
    if isinstance(value, tuple):
        return [rounded(each, digits) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, digits)
    return value
