# SPDX-License-Identifier: Apache-2.0
"""Networks on torch, for CUDA and as reference: the same seam as `engines`, numpy in and out.

The CUDA path (half precision, channels-last) could not be run where this was written; on the CPU
it is tested for equality with the ONNX files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from face_attributes_ros.engines.seam import device_index
from face_attributes_ros.errors import DeviceError
from face_attributes_ros.networks.attributes import OUTPUTS, load_shipped
from face_attributes_ros.networks.contract import ContractDetector, face_columns
from face_attributes_ros.networks.darknet import load_darknet
from face_attributes_ros.networks.yolov3 import load_detector
from face_attributes_ros.weights import read_weights

PRECISIONS = {'fp32': torch.float32, 'fp16': torch.float16, 'bf16': torch.bfloat16}


class TorchNetwork:
    """A module that takes uint8 (B, H, W, 3) BGR, as a callable from numpy to numpy."""

    def __init__(self, module: nn.Module, outputs: Sequence[str], device: str = 'auto',
                 precision: str = 'auto'):
        self.device = _device(device)
        on_gpu = self.device.type == 'cuda'
        precision = ('fp16' if on_gpu else 'fp32') if precision == 'auto' else precision
        if precision not in PRECISIONS or (precision == 'fp16' and not on_gpu):
            raise DeviceError(f'{precision!r} is not offered by torch on {self.device}')
        if on_gpu and precision == 'fp32':
            # Else torch rounds what convolutions take to ten bits, and calls that fp32.
            torch.backends.cudnn.allow_tf32 = False
        self.module: nn.Module = module.to(  # type: ignore[call-overload]  # torch forgot it
            self.device, PRECISIONS[precision], memory_format=torch.channels_last).eval()
        self.outputs = tuple(outputs)
        self.description = f'torch {torch.__version__}, {self.device}, {precision}'

    @torch.inference_mode()
    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        given = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device, non_blocking=True)
        found = self.module(given)
        found = (found,) if isinstance(found, Tensor) else found
        return [array.float().cpu().numpy() for array in found]


def _device(device: str) -> torch.device:
    if device == 'auto':
        device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    if device != 'cpu' and device_index(device) >= torch.cuda.device_count():
        raise DeviceError(f'device {device}: torch finds {torch.cuda.device_count()} CUDA devices')
    return torch.device(device)


def open_file(path: str | Path, device: str = 'auto', precision: str = 'auto',
              threads: int = 0) -> TorchNetwork:
    """A safetensors file of ours on torch: an attribute network or a detector, whichever its
    metadata describes."""
    path = Path(path)
    _, about = read_weights(path)
    if threads:
        torch.set_num_threads(threads)
    if 'network' in about:
        return TorchNetwork(load_shipped(path), OUTPUTS, device, precision)
    return TorchNetwork(load_detector(path), ('detections',), device, precision)


def offers(device: str) -> tuple[str, ...]:
    """On a GPU all three; CPUs have no arithmetic in fp16 worth the name."""
    return ('fp32', 'bf16') if device == 'cpu' else ('fp16', 'bf16', 'fp32')


def open_darknet(path: str | Path, *, face_classes: Sequence[str] = ('face',),
                 device: str = 'auto', precision: str = 'auto',
                 threads: int = 0) -> tuple[TorchNetwork, int]:
    """A user's YOLOv3 in Darknet's files, and the longer side of its pictures in pixels; `path`
    names the .cfg or the .weights, the other lies beside it under the same name."""
    if threads:
        torch.set_num_threads(threads)
    darknet = load_darknet(path)
    columns = face_columns(darknet.names, face_classes, path)
    detector = ContractDetector(darknet.network, columns)
    return TorchNetwork(detector, ('detections',), device, precision), darknet.input_px
