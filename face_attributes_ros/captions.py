# SPDX-License-Identifier: Apache-2.0
"""A track in words: for pictures, for RViz, for the command line and for the demonstration."""

from __future__ import annotations

import math
from dataclasses import dataclass

from face_attributes_ros.faces import Track
from face_attributes_ros.heads import HEADS

_CAPTIONS = tuple((head, head.caption) for head in HEADS.values() if head.caption)


@dataclass(frozen=True)
class Words:
    """What one head says on a label: whether it is sure of it, and how far its bar is filled (0 to
    1; None has no bar)."""

    text: str
    sure: bool = True
    bar: float | None = None


def rows(track: Track) -> list[list[Words]]:
    """Short lines that say what a track shows, its id first."""
    words: dict[int, list[Words]] = {}
    for head, caption in _CAPTIONS:
        seen = head.of(track)
        if caption.short and seen:
            bar = caption.bar(seen) if caption.bar else None
            words.setdefault(caption.line, []).append(
                Words(caption.short(seen), caption.sure(seen), bar))
    return [[Words(track.track_id)], *(words[line] for line in sorted(words))]


def lines(track: Track) -> list[str]:
    """The texts of `rows`, such as ['f3', 'female 25-38', 'happy 92%']."""
    return [' '.join(words.text for words in row) for row in rows(track)]


def sentence(track: Track) -> str:
    """All that a track shows, on one line, such as 'f3 at (220, 41) 180x221 px, 0.97: female
    0.98, 31 years (25-38), happy 0.92'."""
    x0, y0, x1, y1 = (round(side) for side in track.face.box_xyxy)
    score = '' if math.isnan(track.face.score) else f', {track.face.score:.2f}'
    words = [caption.long(seen) for head, caption in _CAPTIONS if (seen := head.of(track))]
    return (f'{track.track_id} at ({x0}, {y0}) {x1 - x0}x{y1 - y0} px{score}: '
            f'{", ".join(words) or "no attributes"}')
