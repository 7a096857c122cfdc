# SPDX-License-Identifier: Apache-2.0
"""Which runtimes there are, one row each; `engines/` has a file for each row. Imports none of
them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Runtime:
    """One row: the file below `engines/`, the Python package that has to be installed, whether
    it runs the manifest's safetensors file in place of the ONNX one, and whether it runs int8
    files on a CPU.

    The file has `open_file(path, device, precision, threads)`, which gives a Network, and
    `offers(device)`, the precisions that it computes in there, the one to take by itself first.
    `engines.choose.WAYS` says on which devices, and what that needs.
    """

    name: str
    module: str
    package: str
    torch_weights: bool = False
    int8: bool = False


RUNTIMES = (
    Runtime('onnxruntime', 'onnxruntime', 'onnxruntime', int8=True),
    Runtime('openvino', 'openvino', 'openvino', int8=True),
    Runtime('tensorrt', 'tensorrt', 'onnxruntime'),
    Runtime('torch', 'torch', 'torch', torch_weights=True),
)
BY_NAME = {runtime.name: runtime for runtime in RUNTIMES}
BACKENDS = ('auto', *BY_NAME)
PRECISIONS = ('auto', 'fp32', 'fp16', 'bf16', 'int8')
