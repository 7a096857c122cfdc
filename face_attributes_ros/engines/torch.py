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

from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.seam import device_index
from face_attributes_ros.errors import DeviceError, ModelError
from face_attributes_ros.networks.attributes import OUTPUTS, load_shipped
from face_attributes_ros.networks.yolov3 import ContractDetector, load_detector, load_ultralytics
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


class OneClass(nn.Module):
    """An ultralytics detector of several classes, reduced to the boxes and scores of one of
    them."""

    def __init__(self, detector: ContractDetector, column: int):
        super().__init__()
        self.detector, self.column = detector, column

    def forward(self, image: Tensor) -> Tensor:
        rows: Tensor = self.detector(image)
        return torch.cat([rows[..., :4], rows[..., 4 + self.column, None]], dim=2)


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


def auto_precision(device: str, has_int8: bool) -> str:
    """fp16 on a GPU, else fp32."""
    del has_int8
    return 'fp16' if _device(device).type == 'cuda' else 'fp32'


def open_ultralytics(name: str, *, device: str = 'auto',
                     precision: str = 'auto') -> TorchNetwork:
    """A YOLO detector on torch: a manifest entry with torch weights, our .safetensors, or any .pt
    that ultralytics can load.

    A .pt is a pickle: load only files that you trust.
    """
    path = Path(name)
    module: nn.Module
    if path.suffix == '.pt':
        module = _from_pickle(path)
    elif path.suffix == '.safetensors':
        module = load_detector(path)
    else:
        module = load_detector(find_model(name, 'detector').torch_weights())
    return TorchNetwork(module, ('detections',), device, precision)


def _from_pickle(path: Path) -> OneClass:
    if not path.is_file():
        raise ModelError(f'{path}: no such file')
    load_ultralytics()
    from ultralytics.nn.tasks import load_checkpoint

    try:
        model, _ = load_checkpoint(str(path))
    except Exception as error:  # unpickling runs what the file says, which may raise anything
        raise ModelError(f'{path}: ultralytics cannot load it: {error}') from error
    names = [model.names[i] for i in sorted(model.names)]
    if len(names) > 1 and 'face' not in names:
        raise ModelError(f'{path}: its classes are {", ".join(names[:5])}..., needs one class, '
                         'or one named face')
    model.model[-1].xyxy = True
    return OneClass(ContractDetector(model), names.index('face') if len(names) > 1 else 0)
