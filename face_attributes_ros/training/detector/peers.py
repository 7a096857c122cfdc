# SPDX-License-Identifier: Apache-2.0
"""Other people's detectors, run through a folder's `detectors.py`; never part of the product."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.training.common.adapters import load_module
from face_attributes_ros.training.detector.predict import Detect


def load_peers(folder: Path) -> dict[str, Detect]:
    """`detect(image_bgr) -> (boxes, scores)` of each peer by name."""
    adapters = load_module(folder, 'detectors')
    root = f'{folder}/'
    makers = {
        'YuNet-n': lambda: adapters.yunet(f'{root}yunet/yunet_n_dynamic.onnx'),
        'SCRFD-500M': adapters.scrfd, 'RetinaFace-mnet0.25': adapters.retina,
        'RFB-320': lambda: adapters.ultra(f'{root}ultralight/version-RFB-320.onnx', 320, 240)
    }
    return {name: _as_detect(make()) for name, make in makers.items()}


def _as_detect(run: Callable[[np.ndarray], Any]) -> Detect:
    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = np.asarray(run(image), np.float32).reshape(-1, 5)
        return found[:, :4], found[:, 4]
    return detect
