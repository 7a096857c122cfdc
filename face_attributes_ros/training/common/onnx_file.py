# SPDX-License-Identifier: Apache-2.0
"""ONNX files: traced from torch, large weights stored as fp16, notes in their metadata."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from face_attributes_ros.networks.contract import LEAST_HALVED

if TYPE_CHECKING:
    from onnx import ModelProto

RUNTIMES = ('onnxruntime', 'openvino')
"""What an exported file is checked and measured on, where installed."""
OPSET = 17


def installed() -> list[str]:
    """Those of `RUNTIMES` that are there."""
    return [backend for backend in RUNTIMES if find_spec(backend)]


def traced(module: nn.Module, example: Tensor, outputs: Sequence[str],
           axes: Mapping[str, Mapping[int, str]], half: bool = True) -> ModelProto:
    """A module that takes `image` as an ONNX model with dynamic `axes`, checked; with `half`
    large weights are stored as fp16."""
    import onnx
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')      # the tracer warns of shapes that are computed
        torch.onnx.export(module.eval(), (example,), buffer,  # type: ignore[arg-type]
                          opset_version=OPSET,
                          input_names=['image'], output_names=list(outputs),
                          dynamic_axes={name: dict(axis) for name, axis in axes.items()},
                          dynamo=False)
    model = onnx.load_from_string(buffer.getvalue())
    if half:
        store_half(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def store_half(model: ModelProto, names: Collection[str] | None = None) -> None:
    """Stores large fp32 tensors, those of `names` only where given, as fp16 followed by a Cast
    that runtimes fold away."""
    from onnx import TensorProto, helper, numpy_helper
    casts = []
    for tensor in model.graph.initializer:
        values, name = numpy_helper.to_array(tensor), tensor.name
        chosen = names is None or name in names
        if not chosen or values.dtype != np.float32 or values.size < LEAST_HALVED:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f'{name}.half'))
        casts.append(helper.make_node('Cast', [f'{name}.half'], [name], f'{name}.cast',
                                      to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)


def note(model: ModelProto, values: Mapping[str, Any]) -> None:
    """Puts JSON values into the file's metadata."""
    for key, value in values.items():
        model.metadata_props.add(key=key, value=json.dumps(value))


def notes_of(path: Path) -> dict[str, Any]:
    """A file's metadata by key; what is not JSON, and so not of `note`, is left out."""
    import onnx
    found = {}
    for prop in onnx.load(str(path), load_external_data=False).metadata_props:
        with suppress(json.JSONDecodeError):
            found[prop.key] = json.loads(prop.value)
    return found
