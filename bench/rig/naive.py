# SPDX-License-Identifier: Apache-2.0
"""The peer that most people write: ultralytics' predict() for the faces, then a torch network once
a face. And the shipped weights as ultralytics and torch take them, for all peers."""

import importlib.machinery
import json
import sys
import tempfile
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from safetensors import safe_open

from bench.rig.frames import Boxes
from face_attributes_ros.engines.models import find_model, shipped
from face_attributes_ros.engines.ultralytics import load_ultralytics, shipped_model
from face_attributes_ros.networks.bodies import build, config_of
from face_attributes_ros.networks.compact import folded
from face_attributes_ros.settings import Settings


def torchvision_stand_in() -> None:
    """Puts a module `torchvision` with ultralytics' own suppression in place where torchvision
    cannot be imported."""
    try:
        import torchvision.ops  # noqa: F401
        return
    except (ImportError, RuntimeError):
        pass
    load_ultralytics()
    from ultralytics.utils.nms import TorchNMS

    module: Any = types.ModuleType('torchvision')
    ops: Any = types.ModuleType('torchvision.ops')
    module.__spec__ = importlib.machinery.ModuleSpec('torchvision', None)
    module.__version__, module.ops, ops.nms = '0.0.0', ops, TorchNMS.nms
    sys.modules.update({'torchvision': module, 'torchvision.ops': ops})


def detector_network(name: str) -> tuple[Any, Path]:
    """ultralytics' DetectionModel with the shipped weights of a detector, and a YAML file of its
    architecture."""
    torchvision_stand_in()
    weights = find_model(name, 'detector').torch_weights()
    _, about = _read(weights)
    network = shipped_model(weights)
    network.names, network.task = {0: 'face'}, 'detect'
    path = Path(tempfile.mkdtemp(prefix='face_attributes_bench_')) / 'yolov3-tiny-face.yaml'
    path.write_text(yaml.safe_dump(dict(about['model'])))
    return network.eval(), path


def attribute_network(fold: bool = False) -> Any:
    """The attribute network with the shipped weights, in torch."""
    state, about = _read(find_model(Settings.attributes_model, 'attributes').torch_weights())
    network = build(config_of(about['network']))
    network.load_state_dict(state)
    return (folded(network) if fold else network).eval().requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    with safe_open(str(path), framework='pt') as file:
        about = {key: _parsed(value) for key, value in (file.metadata() or {}).items()}
        return {key: file.get_tensor(key).float() for key in file.keys()}, about


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Naive:
    """`Naive(threads)(image_bgr, boxes_xyxy)`: predict() on the image, then one forward pass for
    each given box."""

    def __init__(self, threads: int = 1, detector: str = 'detector_tiny') -> None:
        network, path = detector_network(detector)
        from ultralytics import YOLO

        self.yolo: Any = YOLO(str(path), task='detect', verbose=False)
        self.yolo.model = network
        self.attributes, self.crop_px = attribute_network(), shipped()[
            Settings.attributes_model].input_px
        self.about = {
            'detector_engine': 'ultralytics predict(), torch',
            'attributes_engine': 'torch, one face a call'
        }
        self.found, self.confidence = 0, shipped()[detector].thresholds['score']
        self.imgsz = shipped()[detector].input_px
        self.yolo.predict(np.zeros((720, 1280, 3), np.uint8), imgsz=self.imgsz, device='cpu',
                          verbose=False)
        torch.set_num_threads(threads)  # the first predict() has set its own

    def __call__(self, image_bgr: np.ndarray, boxes_xyxy: Boxes) -> list[dict[str, np.ndarray]]:
        found = self.yolo.predict(image_bgr, imgsz=self.imgsz, device='cpu', conf=self.confidence,
                                  iou=.45, verbose=False)
        self.found = len(found[0].boxes)
        with torch.inference_mode():
            return [self._look(image_bgr, box) for box in boxes_xyxy]

    def _look(self, image_bgr: np.ndarray, box: Sequence[float]) -> dict[str, np.ndarray]:
        x0, y0, x1, y1 = (int(v) for v in box)
        crop = cv2.cvtColor(cv2.resize(image_bgr[y0:y1, x0:x1], (self.crop_px, self.crop_px)),
                            cv2.COLOR_BGR2RGB)
        batch = torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32) * (2 / 255) - 1)
        return {name: head.numpy() for name, head in self.attributes(batch).items()}
