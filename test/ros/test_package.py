# SPDX-License-Identifier: Apache-2.0
"""The package builds with colcon and with pip, and what comes out runs."""

import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from places import ROOT

PARTS = ('CMakeLists.txt', 'LICENSE', 'README.md', 'config', 'examples', 'face_attributes_ros',
         'launch', 'models', 'msg', 'package.xml', 'pyproject.toml', 'setup.py')
SHARED = ('config/face_attributes.yaml', 'config/fastdds_large_images.xml',
          'config/fastdds_small_memory.xml', 'launch/bag.launch.py',
          'launch/face_attributes.launch.py', 'models/manifest.toml')
CHECK = '''
import face_attributes_ros, face_attributes_ros.msg as messages, sys
from face_attributes_ros.share import share_file
from face_attributes_ros.engines.models import models_directory
assert messages.FaceAttributes(age=3.).age == 3
for name in sys.argv[2:]:
    assert str(share_file(name)).startswith(sys.argv[1]), share_file(name)
assert str(models_directory()).startswith(sys.argv[1])
for module in (face_attributes_ros, messages):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
'''


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of what git would give, away from the checkout."""
    folder = tmp_path_factory.mktemp('workspace') / 'src' / 'face_attributes_ros'
    folder.mkdir(parents=True)
    for part in PARTS:
        path = ROOT / part
        if path.is_dir():
            shutil.copytree(path, folder / part, ignore=shutil.ignore_patterns('__pycache__'))
        elif path.exists():
            shutil.copyfile(path, folder / part)
    return folder


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=500, **options)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def environment(**more):
    """This environment as a user's shell has it: the venv's programs on the path."""
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
    return {
        **os.environ, 'PATH': path, 'AMENT_PREFIX_PATH': sys.prefix,
        'CMAKE_PREFIX_PATH': sys.prefix, **more
    }


def check_runs(child, prefix, site, cwd, env):
    run(sys.executable, '-c', CHECK, prefix, *SHARED, cwd=cwd, env=env)
    assert (site / 'py.typed').is_file()
    for name in ('face_attributes_node', 'node', 'image_source', 'recorder', 'dashboard'):
        assert os.access(prefix / 'lib' / 'face_attributes_ros' / name, os.X_OK)
    process = child('--ros-args', '-p', f'folder:={cwd}/recording',
                    program=[prefix / 'lib' / 'face_attributes_ros' / 'recorder'], env=env,
                    cwd=cwd)
    process.wait_for('writes to')
    code, _ = process.end(signal.SIGINT)
    assert code == 0 and 'Traceback' not in process.output, process.output


def test_colcon_builds_it(source, child, tmp_path):
    if shutil.which('colcon', path=environment()['PATH']) is None:
        pytest.skip('colcon is not installed')
    workspace = source.parent.parent
    run('colcon', 'build', '--symlink-install', '--cmake-args',
        f'-DPython3_EXECUTABLE={sys.executable}', '-DBUILD_TESTING=OFF', cwd=workspace,
        env=environment())
    prefix = workspace / 'install' / 'face_attributes_ros'
    sourced = run('bash', '-c', f'. {workspace}/install/local_setup.bash && env -0',
                  env=environment())
    env = dict(line.split('=', 1) for line in sourced.split('\0') if '=' in line)
    site, = prefix.glob('lib/python*/site-packages/face_attributes_ros')
    # A symlink install links single files; the messages lie beside them, so the modules are those
    # of the prefix.
    check_runs(child, prefix, site, tmp_path, env)


def test_pip_builds_a_wheel_that_runs(source, child, tmp_path):
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w',
        tmp_path, source, env=environment())
    wheel, = tmp_path.glob('*.whl')
    prefix = tmp_path / 'prefix'
    run(sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--ignore-installed',
        '--prefix', prefix, wheel)
    site, = prefix.glob('lib/python*/site-packages')
    env = environment(PYTHONPATH=str(site),
                      LD_LIBRARY_PATH=f'{prefix}/lib:{os.environ.get("LD_LIBRARY_PATH", "")}')
    check_runs(child, prefix, site / 'face_attributes_ros', tmp_path, env)
    assert (prefix / 'bin' / 'face-attributes').exists()


def test_package_xml_names_the_ros_packages_that_are_imported():
    tree = ElementTree.parse(ROOT / 'package.xml').getroot()
    declared = {node.text for node in tree if node.tag.endswith('depend')}
    imported = set()
    for path in [*(ROOT / 'face_attributes_ros').rglob('*.py'), *(ROOT / 'launch').glob('*.py')]:
        words = [
            line.split()
            for line in path.read_text().splitlines()
            if line.lstrip().startswith(('import ', 'from '))
        ]
        imported |= {word[1].split('.')[0] for word in words if len(word) > 1}
    ros = {
        name for name in imported
        if name.endswith(('_msgs', '_srvs', '_interfaces')) or name in (
            'ament_index_python', 'rclpy', 'cv_bridge', 'launch', 'launch_ros')
    }
    assert {'rclpy', 'sensor_msgs', 'cv_bridge', 'launch_ros'} <= ros <= declared
    started = re.findall(r"Node\(\s*package='(\w+)'",
                         (ROOT / 'launch' / 'face_attributes.launch.py').read_text())
    assert set(started) - {'face_attributes_ros'} <= declared


def test_package_xml_names_the_terms_of_code_and_of_weights():
    tree = ElementTree.parse(ROOT / 'package.xml').getroot()
    licences = {node.text: node.get('file') for node in tree.findall('license')}
    assert licences == {'Apache-2.0': 'LICENSE',
                        'LicenseRef-Research-Only-Weights': 'models/README.md'}
    assert all((ROOT / file).is_file() for file in licences.values())


def test_version_is_said_once():
    assert 'version' in (ROOT /
                         'pyproject.toml').read_text().partition('dynamic = ')[2].partition(']')[0]
