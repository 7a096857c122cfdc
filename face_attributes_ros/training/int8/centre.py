# SPDX-License-Identifier: Apache-2.0
"""Takes the mean error of an int8 trunk off the fully connected layers that read it, which stay in
float.

Bias correction (Nagel et al., 2019, arXiv 1906.04721, section 4.2, with the means measured on
calibration pictures), only where the trunk ends: a shift there moves every answer the same way,
which rounding alone does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from face_attributes_ros.training.int8.ranges import session

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def trunk_readers(model: ModelProto) -> list[NodeProto]:
    """Fully connected layers with a bias and no other one before them."""
    behind: set[str] = set()
    found = []
    for node in model.graph.node:
        follows = not behind.isdisjoint(node.input)
        if node.op_type == 'Gemm' and not follows and len(node.input) == 3:
            found.append(node)
        if node.op_type == 'Gemm' or follows:
            behind.update(node.output)
    return found


def means(model: ModelProto, names: Sequence[str],
          batches: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """{tensor (B, C): mean (C,)} over all rows of all batches."""
    running = session(model, names)
    parts = [running.run(names, {'image': batch}) for batch in batches]
    return {
        name: np.concatenate(column).mean(0, dtype=np.float64)
        for name, column in zip(names, zip(*parts), strict=True)
    }


def centre(quantised: ModelProto, floats: ModelProto, batches: Sequence[np.ndarray]) -> ModelProto:
    """Shifts biases of `quantised`, in place, so that its trunk readers give the means that they
    give in `floats`."""
    from onnx import numpy_helper

    readers = trunk_readers(floats)
    if not readers:
        return quantised
    names = [node.output[0] for node in readers]
    wanted, found = means(floats, names, batches), means(quantised, names, batches)
    tensors = {tensor.name: tensor for tensor in quantised.graph.initializer}
    for node in readers:
        shift = wanted[node.output[0]] - found[node.output[0]]
        bias = numpy_helper.to_array(tensors[node.input[2]]) + shift
        tensors[node.input[2]].CopyFrom(
            numpy_helper.from_array(bias.astype(np.float32), node.input[2]))
    return quantised
