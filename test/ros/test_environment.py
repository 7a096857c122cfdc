# SPDX-License-Identifier: Apache-2.0
"""Machines on which ROS would not start, or not without a word: no home, no shared memory; and who
may read the shared memory there is."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from places import CONFIG

from face_attributes_ros.ros import environment

RUN = ('-m', 'face_attributes_ros.ros.run')
MIB = 1 << 20
UDP_ONLY = '''<dds xmlns="http://www.eprosima.com"><profiles><transport_descriptors>
<transport_descriptor><transport_id>u</transport_id><type>UDPv4</type></transport_descriptor>
</transport_descriptors><participant profile_name="p"><rtps>
<useBuiltinTransports>false</useBuiltinTransports></rtps></participant></profiles></dds>'''


@pytest.fixture
def clean(monkeypatch):
    for name in (*environment.TRANSPORTS, 'RMW_IMPLEMENTATION', 'ROS_LOG_DIR', 'ROS_HOME'):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def free(clean):
    """free(mib) says that so much of /dev/shm is free."""
    def free_(mib):
        clean.setattr(environment, 'free_shared_memory',
                      lambda: None if mib is None else int(mib * MIB))

    return free_


@pytest.mark.parametrize('mib, name', [(None, 'large_images'), (24_000, 'large_images'),
                                       (280, 'large_images'), (200, 'small_memory'),
                                       (64, 'small_memory'), (0, 'small_memory')])
def test_the_profile_is_one_for_which_there_is_room(free, mib, name, capsys):
    free(mib)
    assert environment.dds_profile() == CONFIG / f'fastdds_{name}.xml'
    said = capsys.readouterr().err
    assert said.startswith(f'/dev/shm has {mib} MiB free') == (name == 'small_memory')


@pytest.mark.parametrize('mib', [0, 1, 9])
def test_too_little_shared_memory_is_an_error_that_says_what_to_do(free, mib):
    free(mib)
    with pytest.raises(environment.SharedMemoryError, match='/dev/shm has') as error:
        environment.prepare_environment()
    assert 'needs 9.4: remove' in str(error.value) and '--shm-size' in str(error.value)


@pytest.mark.parametrize('name, value', [('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp'),
                                         ('FASTDDS_BUILTIN_TRANSPORTS', 'UDPv4')])
def test_who_uses_no_shared_memory_needs_none(free, name, value, monkeypatch):
    free(0)
    monkeypatch.setenv(name, value)
    environment.check_shared_memory()


@pytest.mark.parametrize('text, expected', [
    ('', environment.DEFAULT_SEGMENT), ('<dds', environment.DEFAULT_SEGMENT), (UDP_ONLY, 0),
    ('<dds xmlns="http://www.eprosima.com"/>', environment.DEFAULT_SEGMENT),
    ((CONFIG / 'fastdds_large_images.xml').read_text(), 64 * MIB),
    ((CONFIG / 'fastdds_small_memory.xml').read_text(), 8 * MIB),
])
def test_segments_are_as_large_as_the_profile_says(text, expected, tmp_path):
    (tmp_path / 'p.xml').write_text(text)
    assert environment.segment_bytes(tmp_path / 'p.xml') == expected
    assert environment.segment_bytes(tmp_path / 'none.xml') == environment.DEFAULT_SEGMENT


def test_the_segment_holds_two_images_of_4k():
    large = environment.segment_bytes(CONFIG / 'fastdds_large_images.xml')
    assert large >= 2 * 3840 * 2160 * 3


@pytest.mark.parametrize('given, moves', [
    ({'HOME': None}, True), ({'HOME': '/dev/null'}, True), ({'HOME': '/dev/null/there'}, True),
    ({'HOME': '/proc'}, True), ({'HOME': 'TMP'}, False),
    ({'HOME': '/dev/null', 'ROS_HOME': 'TMP'}, False),
    ({'HOME': None, 'ROS_HOME': '/dev/null'}, True),
    ({'HOME': '/dev/null', 'ROS_LOG_DIR': '/somewhere'}, False),
])
def test_logs_go_where_they_can_be_written(clean, given, moves, tmp_path, capsys):
    for name, value in given.items():
        clean.delenv(name, raising=False)
        if value is not None:
            clean.setenv(name, str(tmp_path) if value == 'TMP' else value)
    environment._choose_log_folder()
    assert ('ROS logs go to ' in capsys.readouterr().err) == moves
    if moves:
        folder = Path(os.environ['ROS_LOG_DIR'])
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        folder.rmdir()
    else:
        assert os.environ.get('ROS_LOG_DIR') == given.get('ROS_LOG_DIR')


@pytest.mark.parametrize('home', [None, '/dev/null'])
def test_a_process_starts_without_a_home(child, home, tmp_path):
    env = {'ROS_LOG_DIR': '', 'ROS_HOME': '', 'HOME': home or '', 'TMPDIR': str(tmp_path)}
    process = child(*RUN, 'recorder', '--ros-args', '-p', f'folder:={tmp_path}/r', env=env)
    process.wait_for('writes to')
    code, _ = process.end(signal.SIGINT)
    assert code == 0 and 'Traceback' not in process.output, process.output
    assert len(list(tmp_path.glob('ros-log-*/*'))) == 1


def test_a_full_dev_shm_is_one_line_not_a_bus_error(tmp_path):
    apart = ('unshare', '-m', 'sh', '-c',
             'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"', 'sh')
    if shutil.which('unshare') is None or subprocess.run([*apart, 'true'],
                                                         capture_output=True).returncode:
        pytest.skip('this machine does not let us mount a small /dev/shm')
    done = subprocess.run([*apart, sys.executable, *RUN, 'recorder', '--ros-args', '-p',
                           f'folder:={tmp_path}'], capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'FASTDDS_DEFAULT_PROFILES_FILE': ''})
    assert done.returncode == 1, done
    assert done.stderr.splitlines()[-1].startswith(
        'recorder: /dev/shm has 1.0 MiB free, Fast DDS needs')


def test_shared_memory_is_closed_to_other_users(child, tmp_path):
    """Rows of images pass through it; Fast DDS makes it readable for all, whatever the umask."""
    process = child(*RUN, 'recorder', '--ros-args', '-p', f'folder:={tmp_path}')
    process.wait_for('writes to')
    maps = Path(f'/proc/{process.process.pid}/maps').read_text()
    segments = {Path(name) for name in re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}$', maps,
                                                  re.MULTILINE)}
    own = [path for path in segments if path.exists()]
    assert own, maps
    assert {stat.S_IMODE(path.stat().st_mode) for path in own} == {0o600}


def test_the_process_has_its_name(child, tmp_path):
    process = child(*RUN, 'recorder', '--ros-args', '-p', f'folder:={tmp_path}')
    process.wait_for('writes to')
    assert Path(f'/proc/{process.process.pid}/comm').read_text().strip() == 'recorder'


def test_the_old_name_starts_and_says_the_new_one(child):
    process = child(*RUN, 'node', '--help')
    assert process.process.wait(30) == 0
    process._reader.join(5)
    assert 'node is now called face_attributes_node' in process.lines[0]


@pytest.mark.parametrize('parameter', ['start_type_description_service:=5', 'use_sim_time:=maybe'])
def test_a_wrong_value_of_rclpys_own_parameters_is_one_line(child, parameter, tmp_path):
    process = child(*RUN, 'recorder', '--ros-args', '-p', parameter, '-p', f'folder:={tmp_path}')
    assert process.process.wait(30) == 1
    process._reader.join(5)
    assert 'Traceback' not in process.output and len(process.lines) <= 2, process.output
    assert parameter.partition(':')[0] in process.lines[-1]
    assert "expecting type 'BOOL'" in process.output or 'needs true or false' in process.output


def segments_of(pid):
    """What a process has made in shared memory: it holds a lock on each."""
    links = [os.readlink(path) for path in Path(f'/proc/{pid}/fd').glob('*')]
    return [Path(link.removesuffix('_el')) for link in links
            if re.fullmatch(r'/dev/shm/fastdds_[0-9a-f]{16}_el', link)]


def test_an_end_in_the_middle_of_loading_leaves_no_segment_behind(child):
    process = child('-c', 'import time\n'
                    'from face_attributes_ros.ros import node, run\n'
                    'def load(settings):\n    print("loading", flush=True)\n    time.sleep(60)\n'
                    'node.make_node = lambda **kwargs: node.FaceAttributesNode(load, **kwargs)\n'
                    'run.start("face_attributes_node", [])')
    process.wait_for('loading')
    made = segments_of(process.process.pid)
    assert made and all(path.exists() for path in made)
    assert process.end(signal.SIGTERM)[0] == 0
    locks = [path.with_name(f'{path.name}_el') for path in made]
    assert [path for path in (*made, *locks) if path.exists()] == []


def test_no_segment_is_left_behind(child, tmp_path):
    process = child(*RUN, 'recorder', '--ros-args', '-p', f'folder:={tmp_path}')
    process.wait_for('writes to')
    pid = process.process.pid
    maps = Path(f'/proc/{pid}/maps').read_text()
    names = set(re.findall(r'/dev/shm/fastdds_[0-9a-f]{16}$', maps, re.MULTILINE))
    inodes = {name: Path(name).stat().st_ino for name in names if Path(name).exists()}
    code, took_s = process.end(signal.SIGTERM)
    left = [name for name, inode in inodes.items()
            if Path(name).exists() and Path(name).stat().st_ino == inode]
    others = {name for path in Path('/proc').glob('[0-9]*/maps') for name in left
              if name in read(path)}
    assert (code, sorted(set(left) - others)) == (0, []) and took_s < 2


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ''
