# SPDX-License-Identifier: Apache-2.0
"""Tracks over time as one picture: who was there, what they expressed, how old they looked."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from face_attributes_ros.errors import OutputError
from face_attributes_ros.faces import EXPRESSIONS, UNKNOWN
from face_attributes_ros.films.history import History, Life

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LIVES = 12
"""Tracks that one picture can show; of more, those that lasted longest."""

_COLOURS = dict(zip((*EXPRESSIONS, UNKNOWN, None),
                    ('#7f8c8d', '#f2b705', '#3b6fb6', '#e67e22', '#7d3c98', '#5b8c3a', '#c0392b',
                     '#d5d8dc', '#ecf0f1')))


def draw(history: History, title: str) -> bytes:
    """A PNG with a lane a track in the colours of its expressions, and below it ages and smiles
    over the same seconds. OutputError where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise OutputError('a timeline needs matplotlib: pip install matplotlib') from error
    lives = _longest(history.lives)
    heights = [.5 + .35 * max(1, len(lives)), 1.9, 1.5]
    figure = Figure(figsize=(9., 1.2 + sum(heights)), dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    lanes, ages, smiles = figure.subplots(3, sharex=True, height_ratios=heights)
    left_out = len(history.lives) - len(lives)
    figure.suptitle(title + (f' (the longest {len(lives)} of {len(history.lives)} tracks)'
                             if left_out else ''), fontsize='medium')
    _draw_lanes(lanes, lives, history)
    _draw_ages(ages, lives)
    _draw_smiles(smiles, lives)
    figure.align_ylabels()
    out = io.BytesIO()
    figure.savefig(out, format='png')
    return out.getvalue()


def _longest(lives: Sequence[Life]) -> list[Life]:
    kept = sorted(lives, key=lambda life: -len(life.times_s))[:MOST_LIVES]
    return [life for life in lives if life in kept]


def _draw_lanes(axes: Axes, lives: Sequence[Life], history: History) -> None:
    frame_s = history.seconds / max(1, history.frames - 1)
    shown: dict[str | None, Any] = {}
    for row, life in enumerate(lives):
        for expression, start_s, end_s in spells(life, frame_s):
            shown[expression] = axes.barh(row, end_s - start_s, left=start_s, height=.7,
                                          color=_COLOURS[expression])
    axes.set(yticks=range(len(lives)), yticklabels=[life.track_id for life in lives],
             ylabel='track', xlim=(0., max(history.seconds + frame_s, 1e-3)))
    axes.invert_yaxis()
    names = [name for name in _COLOURS if name in shown]
    words = {UNKNOWN: 'not sure', None: 'no expression'}
    if names:
        axes.legend([shown[name] for name in names],
                    [words.get(name, str(name)) for name in names], fontsize='small',
                    ncols=len(names), loc='lower center', bbox_to_anchor=(.5, 1.),
                    frameon=False, handlelength=1., columnspacing=1.)
    else:
        axes.text(.5, .5, 'no face', transform=axes.transAxes, ha='center', va='center')


def spells(life: Life, frame_s: float) -> Iterator[tuple[str | None, float, float]]:
    """Expression, begin and end in seconds of each spell of one expression; a gap in which the
    track was not there begins a new one. A frame lasts `frame_s`."""
    rows = list(zip(life.times_s, life.expressions))
    breaks = np.cumsum([0, *(later - sooner > 1.5 * frame_s + 1e-9
                             for sooner, later in zip(life.times_s, life.times_s[1:]))])
    for (_, expression), part in groupby(zip(breaks, rows), key=lambda one: (one[0], one[1][1])):
        times_s = [time_s for _, (time_s, _) in part]
        yield expression, times_s[0], times_s[-1] + frame_s


def _draw_ages(axes: Axes, lives: Sequence[Life]) -> None:
    for life in lives:
        age, low, high = np.array(life.ages).T
        line, = axes.plot(life.times_s, age, lw=1.4, label=life.track_id)
        axes.fill_between(life.times_s, low, high, alpha=.12, color=line.get_color(), lw=0)
    axes.set(ylabel='apparent age,\nyears')
    axes.grid(alpha=.3)
    if lives:
        axes.legend(fontsize='x-small', ncols=6, loc='lower right')


def _draw_smiles(axes: Axes, lives: Sequence[Life]) -> None:
    for life in lives:
        axes.plot(life.times_s, life.smiles, lw=1.2)
    axes.set(ylabel='smile', ylim=(-.03, 1.03), xlabel='seconds')
    axes.grid(alpha=.3)
