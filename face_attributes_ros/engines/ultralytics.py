# SPDX-License-Identifier: Apache-2.0
"""Any detector that ultralytics can load, on torch: the one place where ultralytics is imported.

ultralytics is AGPL-3.0. It is imported when `detector.backend: ultralytics` asks for it, never
else; telemetry, update checks, downloads and automatic installs are switched off before.
"""
from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.torch import TorchNetwork
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import (
    ContractDetector,
    Grid,
    Raw,
    cell_grid,
    decode,
    face_columns,
)
from face_attributes_ros.networks.yolov3 import build_yolov3
from face_attributes_ros.weights import read_weights

PICKLE = '.pt'
_QUIET = {'YOLO_OFFLINE': 'true', 'YOLO_AUTOINSTALL': 'false', 'YOLO_VERBOSE': 'false'}


@contextlib.contextmanager
def _torchvision_may_be_missing() -> Iterator[None]:
    """ultralytics reads torchvision's version when imported; where there is none it gets 0.0.0
    then."""
    real = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return real(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name == 'torchvision':
                return '0.0.0'
            raise

    importlib.metadata.version = version
    try:
        yield
    finally:
        importlib.metadata.version = real


@contextlib.contextmanager
def _settings_of_its_own() -> Iterator[None]:
    """Lets ultralytics write its settings file, without telemetry, to a folder that is gone
    afterwards."""
    before = os.environ.get('YOLO_CONFIG_DIR')
    with tempfile.TemporaryDirectory(prefix='face_attributes_') as folder:
        os.environ['YOLO_CONFIG_DIR'] = folder
        try:
            yield
            from ultralytics.utils import SETTINGS
            SETTINGS.update(sync=False)
        finally:
            os.environ.pop('YOLO_CONFIG_DIR')
            if before is not None:
                os.environ['YOLO_CONFIG_DIR'] = before


def load_ultralytics() -> SimpleNamespace:
    """ultralytics' DetectionModel, Conv and load_checkpoint, imported without network access,
    telemetry or installs; ModelError where it is not installed."""
    if sys.modules.get('ultralytics') is None:
        os.environ.update(_QUIET)
        threads = torch.get_num_threads()
        try:
            with _settings_of_its_own(), _torchvision_may_be_missing():
                importlib.import_module('ultralytics.nn.tasks')
        except ImportError as error:
            raise ModelError('detector.backend ultralytics: pip install '
                             f'"face_attributes_ros[ultralytics]" ({error})') from error
        torch.set_num_threads(threads)
    from ultralytics.nn.modules.conv import Conv
    from ultralytics.nn.tasks import DetectionModel, load_checkpoint
    return SimpleNamespace(DetectionModel=DetectionModel, Conv=Conv,
                           load_checkpoint=load_checkpoint)


def detection_model(table: Mapping[str, Any]) -> Any:
    """ultralytics' DetectionModel, of its own types, with fresh weights from one of our model
    tables, whose syntax is theirs. They evaluate its activation, and call what its layers name:
    ModelError for one of which we would not build a network of ours."""
    with torch.random.fork_rng(devices=[]):       # who seeded gets the weights of that seed
        build_yolov3(table)
    ultralytics = load_ultralytics()
    activation = ultralytics.Conv.default_act     # a table's own would stay for the next build
    try:
        return ultralytics.DetectionModel(dict(table), ch=3, nc=table['nc'], verbose=False)
    finally:
        ultralytics.Conv.default_act = activation


class Theirs(nn.Module):
    """An ultralytics detector as `ContractDetector` needs it."""

    def __init__(self, model: Any):
        super().__init__()
        head = model.model[-1]
        if not hasattr(head, 'cv3') or getattr(head, 'one2one_cv2', None) is not None:
            raise ModelError('this network has an end-to-end head or none, needs a YOLOv3 head '
                             '(one score a class and cell)')
        self.model, self.reg_max = model, head.reg_max
        self.strides = [int(stride) for stride in head.stride]

    def forward(self, image: Tensor) -> Raw:
        found = self.model(image)
        raw = found if isinstance(found, dict) else found[1]       # in evaluation it decodes, too
        return raw['boxes'], raw['scores']

    def grid(self, height: int, width: int, device: torch.device) -> Grid:
        """As `YOLOv3.grid`."""
        return cell_grid(height, width, self.strides, device)

    def decode(self, raw: Raw, grid: Grid) -> Tensor:
        """As `YOLOv3.decode`."""
        return decode(raw, self.reg_max, grid)

    def folded(self) -> nn.Conv2d:
        """As `YOLOv3.folded`."""
        self.model = self.model.fuse(verbose=False)
        first: nn.Conv2d = self.model.model[0].conv
        return first


def open_ultralytics(name: str, *, face_classes: Sequence[str] = ('face',), device: str = 'auto',
                     precision: str = 'auto') -> TorchNetwork:
    """A detector on ultralytics: any .pt that it can load, a manifest entry with torch weights, or
    our .safetensors.

    A .pt is a pickle, which runs what its author put in: whoever calls this has asked for it.
    """
    path = Path(name)
    if path.suffix == PICKLE:
        detector = _from_pickle(path, face_classes)
    elif path.suffix == '.safetensors':
        detector = ContractDetector(Theirs(shipped_model(path)))
    else:
        weights = find_model(name, 'detector').torch_weights()
        detector = ContractDetector(Theirs(shipped_model(weights)))
    return TorchNetwork(detector, ('detections',), device, precision)


def shipped_model(path: Path) -> Any:
    """ultralytics' DetectionModel with the weights in a safetensors file of ours."""
    tensors, about = read_weights(path)
    if 'model' not in about:
        raise ModelError(f'{path} lacks the `model` table that the training command writes')
    model = detection_model(about['model'])
    # It counts batches, which not every file of ours does.
    model.load_state_dict({key: value.float() for key, value in tensors.items()}, strict=False)
    return model


def _from_pickle(path: Path, face_classes: Sequence[str]) -> ContractDetector:
    if not path.is_file():
        raise ModelError(f'{path}: no such file')
    load_checkpoint = load_ultralytics().load_checkpoint
    try:
        model, _ = load_checkpoint(str(path))
    except Exception as error:  # unpickling runs what the file says, which may raise anything
        raise ModelError(f'{path}: ultralytics cannot load it: {error}') from error
    names = [str(model.names[i]) for i in sorted(model.names)]
    return ContractDetector(Theirs(model), face_columns(names, face_classes, path))
