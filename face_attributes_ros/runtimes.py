# SPDX-License-Identifier: Apache-2.0
"""Which runtimes there are, one row each; `engines/` has a file for each row. Imports none of
them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """One row: the file below `engines/`, the Python package that has to be installed, and
    whether it runs the manifest's safetensors file in place of the ONNX one.

    The file has `open_file(path, device, precision, threads)`, which gives a Network, and
    `auto_precision(device, has_int8)`, what `precision: auto` stands for.
    """

    name: str
    module: str
    package: str
    torch_weights: bool = False


RUNTIMES = (
    Runtime('onnxruntime', 'onnxruntime', 'onnxruntime'),
    Runtime('openvino', 'openvino', 'openvino'),
    Runtime('tensorrt', 'tensorrt', 'onnxruntime'),
    Runtime('torch', 'torch', 'torch', torch_weights=True),
)
BY_NAME = {runtime.name: runtime for runtime in RUNTIMES}
BACKENDS = ('auto', *BY_NAME)
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')
