# SPDX-License-Identifier: Apache-2.0
"""The shipped detector keeps its measured quality, on a few labelled pictures where the data is at
hand."""
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from places import ROOT

pytest.importorskip('onnxruntime')
pytest.importorskip('torch')

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import shipped
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.predict import make_detect, predict
from face_attributes_ros.training.detector.score import average_precision, judge

DATA = Path(os.environ.get('FACE_ATTRIBUTES_DATA', ROOT.parent / 'shared' / 'data'))
EVERY, MARGIN = 8, 0.08       # a small sample of test; its AP scatters by about this


@pytest.fixture(scope='module',
                params=[name for name, model in shipped().items() if model.task == 'detector'])
def model(request):
    return shipped()[request.param].checked()


def test_both_detectors_are_shipped():
    assert {'detector_tiny', 'detector_small'} <= set(shipped())


@pytest.fixture(scope='module')
def detect(model):
    return make_detect(open_network(model.path, backend='onnxruntime', device='cpu', threads=1),
                       model.input_px)


@pytest.fixture(scope='module')
def samples(tmp_path_factory):
    if not (DATA / 'face_detection.zip').is_file():
        pytest.skip(
            f'{DATA}/face_detection.zip is not there; FACE_ATTRIBUTES_DATA names its folder')
    root = tmp_path_factory.mktemp('pack')
    with zipfile.ZipFile(DATA / 'face_detection.zip') as pack:
        top = next(name for name in pack.namelist()
                   if name.endswith('test.txt'))[:-len('test.txt')]
        lines = pack.read(f'{top}test.txt').decode().split()[::EVERY]
        names = [Path(line).stem for line in lines]
        wanted = {f'{top}{line}' for line in lines
                  } | {f'{top}{f}/{n}.txt' for f in ('labels', 'ignore') for n in names}
        pack.extractall(root, [name for name in pack.namelist() if name in wanted])
    (root / top / 'test.txt').write_text('\n'.join(lines))
    return read_samples(root / top, 'test')


def test_size_and_budget(model):
    megabytes, gflops = {'detector_tiny': (6, 2.5), 'detector_small': (20, 20)}[model.name]
    assert model.path.stat().st_size < megabytes * 1e6 and model.metrics['gflops_448'] < gflops
    assert 0 < model.thresholds['score'] < 1


def test_average_precision_is_as_recorded(model, detect, samples):
    found = average_precision(judge(predict(detect, samples)))
    assert found > model.metrics['test_all_ap50'] - MARGIN


def test_no_face_in_flat_pictures(model, detect):
    for level in (0, 114, 255):
        _, scores = detect(np.full((480, 640, 3), level, np.uint8))
        assert (scores < model.thresholds['score']).all()
