# SPDX-License-Identifier: Apache-2.0
"""The peer that most people write: ultralytics' predict() for the faces, then a torch network once a face."""

import importlib.machinery
import sys
import tempfile
import types
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from face_attributes_ros.networks.compact import VARIANTS, CompactNet
from face_attributes_ros.networks.yolov3 import build_yolov3, load_ultralytics


def torchvision_stand_in():
    """Puts a module `torchvision` with ultralytics' own suppression in place where torchvision cannot be imported."""
    try:
        import torchvision.ops  # noqa: F401
        return
    except (ImportError, RuntimeError):
        pass
    load_ultralytics()
    from ultralytics.utils.nms import TorchNMS

    module, ops = types.ModuleType('torchvision'), types.ModuleType('torchvision.ops')
    module.__spec__ = importlib.machinery.ModuleSpec('torchvision', None)
    module.__version__, module.ops, ops.nms = '0.0.0', ops, TorchNMS.nms
    sys.modules.update({'torchvision': module, 'torchvision.ops': ops})


class Naive:
    """`Naive(config)(image_bgr, boxes_xyxy)`: predict() on the image, then one forward pass for each given box.

    The architectures are the shipped ones with fresh weights: speed does not depend on them.
    """

    def __init__(self, detector_config, crop_px):
        torchvision_stand_in()
        load_ultralytics()
        from ultralytics import YOLO

        folder = Path(tempfile.mkdtemp(prefix='face_attributes_bench_'))
        path = folder / 'yolov3-tiny-face.yaml'
        path.write_text(yaml.safe_dump(dict(detector_config)))
        self.yolo = YOLO(str(path), task='detect', verbose=False)
        self.yolo.model = build_yolov3(detector_config).eval()
        self.yolo.model.model[-1].xyxy = False
        self.yolo.model.names = {0: 'face'}
        self.attributes, self.crop_px = CompactNet(VARIANTS['m']).eval(), crop_px

    def __call__(self, image_bgr, boxes_xyxy):
        self.yolo.predict(image_bgr, imgsz=448, device='cpu', verbose=False)
        with torch.inference_mode():
            return [self._look(image_bgr, box) for box in boxes_xyxy]

    def _look(self, image_bgr, box):
        x0, y0, x1, y1 = (int(v) for v in box)
        crop = cv2.cvtColor(cv2.resize(image_bgr[y0:y1, x0:x1], (self.crop_px, self.crop_px)), cv2.COLOR_BGR2RGB)
        batch = torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        return {name: head.numpy() for name, head in self.attributes(batch).items()}
