# SPDX-License-Identifier: Apache-2.0
import json
from argparse import ArgumentParser

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('pycocotools')
from detector_rig import write_yolo_folder

from face_attributes_ros.training.detector import far
from face_attributes_ros.training.detector.data import read_samples


@pytest.fixture
def samples(tmp_path):
    return read_samples(write_yolo_folder(tmp_path / 'pack', count=30, width=300, height=200),
                        'val')


def test_every_picture_comes_as_often_as_there_are_rounds_and_faces_lie_where_they_are(samples):
    scenes = list(far.mosaics(samples))
    assert len(scenes) == far.ROUNDS * 2                   # 31 pictures, 24 cells
    assert sum(len(s.faces) + len(s.ignore) for s in scenes) == far.ROUNDS * 30
    for scene in scenes:
        assert scene.image.shape == (far.HEIGHT, far.WIDTH, 3)
        for x0, y0, x1, y1 in scene.faces:
            middle = scene.image[int(y0 + .45 * (y1 - y0)), int((x0 + x1) / 2)]
            assert middle[2] > 160                 # skin: nothing else is so bright
            assert (x1 - x0) * (y1 - y0) >= far.LEAST_PX ** 2


def test_the_command_writes_accuracy_by_size_and_the_ratio_of_work(monkeypatch, tmp_path):
    data = write_yolo_folder(tmp_path / 'pack', count=2)
    calls = []

    def opened(name, way, backend):
        def detect(image):
            calls.append(way)
            for _ in range(1 + way.tiles ** 2):
                np.sort(image[:200].ravel())
            return np.float32([[0, 0, 9, 9]]), np.float32([.5])
        return detect

    monkeypatch.setattr(far, 'opened', opened)
    parser = ArgumentParser()
    far.add_arguments(parser)
    assert far.run(parser.parse_args(['--data', str(data), '--model', 'x', '--json',
                                      str(tmp_path / 'f.json')])) == 0
    report = json.loads((tmp_path / 'f.json').read_text())
    rows = report['detectors']['x']
    assert list(rows) == list(far.WAYS) and report['mosaics'] == far.ROUNDS
    assert rows['whole']['times_whole'] == 1 and rows['4 x 4 tiles']['times_whole'] > 4
    assert set(rows['whole']) == {'ap50', 'ap50_95', 'cpu_ms', 'times_whole',
                                  *(f'ap50_{name}' for name in far.SIZES if name != 'all')}
    assert {way.tiles for way in calls} == {0, 2, 3, 4}
