# SPDX-License-Identifier: Apache-2.0
"""Nothing of ours looks up a host or writes a file that nobody asked for, seen from outside of the
process; and the watch sees who does."""

import importlib.util
import os
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from bench.measure import traced

pytestmark = pytest.mark.skipif(shutil.which('strace') is None,
                                reason='strace is not installed: apt-get install strace')


@pytest.fixture(autouse=True)
def unmeasured(monkeypatch):
    """What is watched does not write how much of it ran, as `make check` has others do."""
    for name in [name for name in os.environ if name.startswith('COVERAGE')]:
        monkeypatch.delenv(name)


def seen(folder, code, allowed=()):
    log = folder / 'log'
    done = subprocess.run([*traced.strace(log), sys.executable, '-c', code], cwd=folder,
                          capture_output=True, text=True, timeout=60)
    if 'ptrace' in done.stderr:
        pytest.skip('this machine does not let strace trace')
    return traced.report(log, allowed)


@pytest.mark.parametrize('code, kind, what', [
    ('import socket\ntry: socket.getaddrinfo("nowhere.invalid", 80)\nexcept OSError: pass',
     'looked_up', '/etc/hosts'),
    ('import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))',
     'hosts', '192.0.2.1'),
    ('open("FOLDER/secret", "w").write("x")', 'files', 'FOLDER/secret'),
    ('import os\nos.makedirs("FOLDER/cache")', 'files', 'FOLDER/cache'),
])
def test_the_watch_sees_who_leaves(tmp_path, code, kind, what):
    found = seen(tmp_path, code.replace('FOLDER', str(tmp_path)))
    assert what.replace('FOLDER', str(tmp_path)) in found[kind], found


def test_the_watch_is_quiet_about_what_is_allowed(tmp_path):
    found = seen(tmp_path, f'open("{tmp_path}/asked", "w"); open("/dev/null", "w")\n'
                 'import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)'
                 '.connect(("127.0.0.1", 9))', [tmp_path])
    assert (found['looked_up'], found['hosts'], found['files']) == ([], [], [])


MEASURED = """
import numpy as np
from face_attributes_ros.engines.fastest import fastest, key_of
from face_attributes_ros.engines.request import Measuring
sample = np.zeros((1, 8, 8, 3), np.uint8)
networks = {'a fp32': lambda: lambda batch: batch.sum(), 'b int8': lambda: np.sin}
fastest(networks, sample, key_of(sample, 0, ('0' * 64, )), Measuring(KEEP, 100.))
"""


@pytest.mark.parametrize('keep', [True, False])
def test_what_auto_measures_is_the_one_file_and_none_where_that_is_switched_off(
        tmp_path, monkeypatch, keep):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    (tmp_path / 'cache').mkdir()
    ours = tmp_path / 'cache' / 'face_attributes_ros'
    found = seen(tmp_path, MEASURED.replace('KEEP', str(keep)))
    written = sorted({'auto.part' if path.endswith('.part') else os.path.basename(path)
                      for path in found['files']})
    assert all(path.startswith(str(ours)) for path in found['files'])
    if not keep:
        assert written == [] and not ours.exists()
    elif ours.exists():  # on a machine too busy to be sure there is nothing to keep
        assert written == ['auto.json', 'auto.part', 'face_attributes_ros']
        assert [path.name for path in ours.iterdir()] == ['auto.json']
    assert (found['looked_up'], found['hosts']) == ([], [])


@pytest.mark.slow
def test_node_image_source_and_recorder_look_up_no_host_and_write_what_was_asked(tmp_path):
    """From the first instruction of each, with a picture in which there may be faces."""
    pytest.importorskip('rclpy', reason='ROS 2 is not installed')
    if importlib.util.find_spec('onnxruntime') is None:
        pytest.skip('no runtime is installed')
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), picture)
    work = tmp_path / 'work'
    work.mkdir()
    seen(tmp_path, '')
    reports = traced.run_traced(tmp_path / 'a.png', 10., work)
    assert traced.offences(reports) == []
    assert reports['recorder']['messages'] > 0, 'nothing was at work'
    assert {each['exit'] for each in reports.values()} == {0}


@pytest.mark.skipif(importlib.util.find_spec('onnxruntime') is None,
                    reason='ONNX Runtime is not installed')
def test_onnx_runtime_is_silent_wherever_of_ours_it_is_imported(tmp_path, monkeypatch):
    """Without the variable, version 1.32 looks up a host and writes to ~/.cache."""
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('PYTHONDONTWRITEBYTECODE', '1')
    monkeypatch.delenv('ORT_DISABLE_TELEMETRY', raising=False)
    found = seen(tmp_path, 'import face_attributes_ros.errors, onnxruntime, time\n'
                 'time.sleep(2)')
    assert (found['looked_up'], found['hosts'], found['files']) == ([], [], [])
