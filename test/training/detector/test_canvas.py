# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import numpy as np
import pytest

pytest.importorskip('pycocotools')
pytest.importorskip('torch')
from detector_rig import write_yolo_folder

from face_attributes_ros.training.detector import canvas
from face_attributes_ros.training.detector.predict import make_detect


def test_every_canvas_gets_its_accuracy_and_time(monkeypatch, tmp_path):
    sizes = []

    def network(batch):
        return [np.tile(np.array([[0, 0, 9, 9, .3]], np.float32), (len(batch), 1, 1))]

    def open_detector(name, options):
        sizes.append(options.input_px)
        return make_detect(network, options.input_px)

    monkeypatch.setattr(canvas, 'open_detector', open_detector)
    monkeypatch.setattr(canvas, 'REPEATS', 3)
    path = tmp_path / 'out' / 'sizes.json'
    data = write_yolo_folder(tmp_path / 'pack')
    args = argparse.Namespace(data=data, model=['runs/a.onnx'], backend='onnxruntime', json=path)
    assert canvas.run(args) == 0
    rows = json.loads(path.read_text())['detectors']['a']
    assert sizes == list(canvas.CANVASES_PX) and list(rows) == [str(px) for px in sizes]
    assert all(row['ap50'] == 0 and row['cpu_ms'] >= 0 for row in rows.values())
