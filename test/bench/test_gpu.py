# SPDX-License-Identifier: Apache-2.0
"""bench/measure/gpu.py runs; without a GPU it says that it measured nothing and leaves no result
behind."""
import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from places import ROOT

RESULTS = ROOT / 'bench' / 'results'


@pytest.mark.slow
@pytest.mark.skipif(not (find_spec('torch') and find_spec('ultralytics')),
                    reason='torch and ultralytics are needed')
def test_on_a_cpu_it_is_a_smoke_test_and_writes_nothing():
    before = sorted(RESULTS.glob('gpu_*'))
    command = [
        sys.executable, '-m', 'bench.measure.gpu', '--device', 'cpu', '--detectors', 'tiny',
        '--rounds', '1'
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True,
                          cwd=ROOT)
    report = json.loads(done.stdout[done.stdout.index('{'):])
    assert 'nothing about speed' in report['smoke_test'] and report['faces'] == 4
    tiny = report['detectors']['tiny']
    assert {'ours', 'naive'} <= set(tiny['ms']) and set(tiny['ms']) | set(tiny['skipped']) == {
        'ours', 'naive', 'onnxruntime', 'openvino'}
    assert report['auto']['detector'] == 'detector_tiny'
    assert tiny['floor']['gflop'] > 1 and tiny['ratios']['ours_over_floor'] > 1
    assert sorted(RESULTS.glob('gpu_*')) == before
