# SPDX-License-Identifier: Apache-2.0
"""Other people's detectors, run through a folder's `detectors.py`; never part of the product."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from face_attributes_ros.errors import DataError


def load_peers(folder):
    """`detect(image_bgr) -> (boxes, scores)` of each peer by name."""
    adapters = _adapters(Path(folder) / 'detectors.py')
    root = f'{folder}/'
    makers = {
        'YuNet-n': lambda: adapters.yunet(f'{root}yunet/yunet_n_dynamic.onnx'),
        'SCRFD-500M': adapters.scrfd, 'RetinaFace-mnet0.25': adapters.retina,
        'RFB-320': lambda: adapters.ultra(f'{root}ultralight/version-RFB-320.onnx', 320, 240)
    }
    return {name: _as_detect(make()) for name, make in makers.items()}


def _adapters(path):
    if not path.is_file():
        raise DataError(
            f'{path} does not exist: --peers needs the peers\' folder with detectors.py')
    spec = importlib.util.spec_from_file_location('peer_detectors', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _as_detect(run):
    def detect(image):
        found = np.asarray(run(image), np.float32).reshape(-1, 5)
        return found[:, :4], found[:, 4]
    return detect
