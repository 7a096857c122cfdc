# SPDX-License-Identifier: Apache-2.0
"""How far the values of a network go, and where to cut them off for 256 levels: histograms over
calibration batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto

BINS = 2048
LEVELS = 255
_FRACTIONS = np.linspace(.1, 1, 46)


def session(model: ModelProto, extra_outputs: Sequence[str] = (), optimise: bool = True) -> Any:
    """An ONNX Runtime session on one thread that also gives `extra_outputs`; without `optimise`
    every node runs as written."""
    import onnx
    import onnxruntime

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {output.name for output in copy.graph.output}
    copy.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name)
        for name in extra_outputs
        if name not in given)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(copy.SerializeToString(), options,
                                        providers=['CPUExecutionProvider'])


def histograms(model: ModelProto, names: Sequence[str],
               batches: Sequence[np.ndarray]) -> dict[str, tuple[np.ndarray, float, float]]:
    """{tensor: (counts (BINS,), lowest, highest)} of the tensors over all batches; zero is always
    in the range."""
    running = session(model, names)
    low, high = dict.fromkeys(names, 0.), dict.fromkeys(names, 0.)
    for batch in batches:
        for name, values in zip(names, running.run(names, {'image': batch}), strict=True):
            low[name], high[name] = min(low[name],
                                        float(values.min())), max(high[name], float(values.max()),
                                                                  1e-6)
    counts = {name: np.zeros(BINS, np.int64) for name in names}
    for batch in batches:
        for name, values in zip(names, running.run(names, {'image': batch}), strict=True):
            counts[name] += np.histogram(values, BINS, (low[name], high[name]))[0]
    return {name: (counts[name], low[name], high[name]) for name in names}


def best_range(counts: np.ndarray, low: float, high: float,
               negative_weight: float = 1.) -> tuple[float, float]:
    """(low, high) of 256 levels with the least squared error over a histogram; values outside are
    clipped.

    `negative_weight` counts the error of negative values less, where a leaky activation is about
    to shrink them.
    """
    values = low + (np.arange(BINS) + .5) * (high - low) / BINS
    weights = counts * np.where(values < 0, negative_weight, 1.)
    best = (low, high)
    for _ in range(2):
        best = best[0], min(high * _FRACTIONS,
                            key=lambda end: _error(values, weights, best[0], end))
        if low < 0:
            best = min(low * _FRACTIONS,
                       key=lambda end: _error(values, weights, end, best[1])), best[1]
    return float(best[0]), float(best[1])


def _error(values: np.ndarray, weights: np.ndarray, low: float, high: float) -> float:
    scale = max(high - low, 1e-9) / LEVELS
    zero = np.round(-low / scale)
    levels = np.clip(np.round(values / scale) + zero, 0, LEVELS)
    return float((weights * ((levels - zero) * scale - values) ** 2).sum())
