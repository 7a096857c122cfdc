# SPDX-License-Identifier: Apache-2.0
"""Candidates for an int8 network, which keep fewer and fewer layers in int8, and the one to
measure on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from face_attributes_ros.engines.models import Model
from face_attributes_ros.training.common.files import write
from face_attributes_ros.training.common.onnx_file import installed, note, store_half
from face_attributes_ros.training.int8.centre import centre
from face_attributes_ros.training.int8.graph import (
    activation_ranges,
    convolutions,
    leads_to_conv,
    quantise,
    whole,
)
from face_attributes_ros.training.int8.measure import opened
from face_attributes_ros.training.int8.rooms import Room
from face_attributes_ros.training.int8.scores import SHARE_ON_VAL, bar_of, failures

if TYPE_CHECKING:
    from onnx import ModelProto

Drops = dict[str, dict[str, float]]
"""By runtime: the figures that dropped too much, and by how much."""


class Ingredients(NamedTuple):
    """What every candidate is made from: the float model, ranges of its tensors, and the training
    batches that they were read off."""

    source: ModelProto
    ranges: Mapping[str, tuple[float, float]]
    batches: Sequence[np.ndarray]
    note: Mapping[str, object]


def candidates(model: ModelProto) -> dict[str, Sequence[str]]:
    """{name: convolutions that stay in float}, from all in int8 to fewer."""
    names = [node.name for node in convolutions(model)]
    last = [node.name for node in convolutions(model) if not leads_to_conv(model, node)]
    return {
        'all': (), 'first float': names[:1], 'last float': last,
        'first and last float': [*names[:1], *last],
        'first quarter float': names[:len(names) // 4],
        'first quarter and last float': [*names[:len(names) // 4], *last],
        'first half float': names[:len(names) // 2]
    }


def int8_file(given: Ingredients, kept: Sequence[str]) -> bytes:
    """The int8 file in which the convolutions `kept` stay in float."""
    quantised = quantise(given.source, given.ranges, given.batches[0], kept)
    quantised = centre(quantised, given.source, given.batches)
    weights = {tensor for node in quantised.graph.node
               if node.op_type in ('Conv', 'Gemm', 'MatMul') for tensor in node.input[1:2]}
    store_half(quantised, weights)
    note(quantised, {**given.note, 'floats': list(kept)})
    data: bytes = quantised.SerializeToString()
    return data


def choose(model: Model, room: Room, out: Path, images: int,
           seed: int) -> tuple[dict[str, Drops], str | None]:
    """({candidate: its drops on val that use up more than half of their bars}, the candidate to
    measure on test or None); writes `out`.

    That is the first without such a drop; where there is none, the one whose worst drop is the
    smallest share of its bar, if it keeps all bars whole.
    """
    import onnx

    source, batches = whole(onnx.load(str(model.path))), room.batches(images, seed)
    about = {'int8_made_from': model.sha256, 'images': images, 'seed': seed}
    given = Ingredients(source, activation_ranges(source, batches), batches, about)
    floats = room.figures(opened(model.path, 'fp32', 'onnxruntime'), 'val')
    tried: dict[str, Drops] = {}
    for name, kept in candidates(source).items():
        write(out, int8_file(given, kept))
        tried[name] = {backend: drops(room, floats, out, backend) for backend in installed()}
        print(f'{name}: {tried[name]}', flush=True)
        if not any(tried[name].values()):
            return tried, name
    nearest = min(tried, key=lambda name: worst(tried[name]))
    if worst(tried[nearest]) >= 1:
        return tried, None
    write(out, int8_file(given, candidates(source)[nearest]))
    return tried, nearest


def worst(tried: Drops) -> float:
    """The largest share of its bar that a figure drops by, on any runtime."""
    return max(abs(change) / abs(bar_of(key))
               for figures in tried.values() for key, change in figures.items())


def drops(room: Room, floats: Mapping[str, float], path: Path, backend: str) -> dict[str, float]:
    """{figure: change} of those that use up too much of their bars on val."""
    figures = room.figures(opened(path, 'int8', backend), 'val')
    return {key: round(figures[key] - floats[key], 5)
            for key in failures(floats, figures, SHARE_ON_VAL)}
