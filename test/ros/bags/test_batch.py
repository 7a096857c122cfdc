# SPDX-License-Identifier: Apache-2.0
"""Many bags and videos on two real worker processes, of which one is killed."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip('rclpy', reason='ROS 2 is not installed')

import bag_rig
import film_rig
from distributed import Client, LocalCluster

from face_attributes_ros import cli
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros.bags import batch
from face_attributes_ros.ros.bags.annotate import Wish
from face_attributes_ros.ros.bags.batch import Outcome, jobs_of, run_jobs, work
from face_attributes_ros.settings import Settings

PATIENCE_S = 240.


@contextmanager
def two_workers():
    """A client of two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, \
            Client(cluster, timeout='120s') as client:
        yield client


def wait_for(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(.02)
    return found


def jobs(paths, out, **wish):
    return jobs_of(paths, out, Settings(), Wish(**wish))


# --- what is to be done --------------------------------------------------------------------------


def test_bags_and_videos_of_folders_are_found_once(tmp_path):
    folder = tmp_path / 'in'
    bag_rig.write(folder / 'b' / 'drive', frames=1)
    film_rig.write(folder / 'a.avi', frames=1)
    film_rig.write(folder / 'b' / 'a.avi', frames=1)
    (folder / 'notes.txt').touch()
    found = jobs([folder, folder / 'a.avi'], tmp_path / 'out')
    assert [(job.source.relative_to(folder).as_posix(), job.target.name) for job in found] == \
        [('a.avi', 'a'), ('b/a.avi', 'a_2'), ('b/drive', 'drive')]


def test_nothing_to_do_is_an_error(tmp_path):
    with pytest.raises(ParameterError, match='no bag and no video'):
        jobs([tmp_path], tmp_path / 'out')


def test_a_video_becomes_a_folder_and_is_not_done_twice(tmp_path):
    pytest.importorskip('matplotlib', reason='the timeline is drawn with it')
    out = tmp_path / 'out'
    (out / 'a.part').mkdir(parents=True)
    (out / 'a.part' / 'a.csv').write_text('of a worker that was killed')
    job, = jobs([film_rig.write(tmp_path / 'a.avi', frames=4)], out)
    assert work(job, film_rig.make_pipeline) == Outcome(job.source, '4 frames, 1 tracks')
    assert {path.name for path in (out / 'a').iterdir()} == {
        'a.csv', 'a.jsonl', 'a.mp4', 'a.png'}
    assert work(job, None) == Outcome(job.source, 'done before')


def test_what_is_wrong_with_an_input_is_its_outcome(tmp_path):
    (tmp_path / 'a.mp4').write_text('no video')
    job, = jobs([tmp_path / 'a.mp4'], tmp_path / 'out')
    outcome = work(job, film_rig.make_pipeline)
    assert not outcome.good and 'no video that OpenCV can read' in outcome.words


# --- on processes --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')  # Dask's own, of ports and of busy machines
def test_a_worker_that_is_killed_costs_nothing(tmp_path):
    pytest.importorskip('matplotlib', reason='the timeline is drawn with it')
    for name in 'abcd':
        bag_rig.write(tmp_path / 'in' / name, frames=55)
    film_rig.write(tmp_path / 'in' / 'e.avi', frames=10)
    out = tmp_path / 'out'
    out.mkdir()
    outcomes, gone = [], []
    with two_workers() as client:
        todo = jobs([tmp_path / 'in'], out)
        thread = threading.Thread(target=lambda: outcomes.extend(
            run_jobs(client, todo, film_rig.make_slow_pipeline)))
        thread.start()

        def begun():
            return [path for path in out.glob('*.journal')
                    if len(path.read_bytes().splitlines()) > 10]

        journal, = wait_for(begun)[:1]
        # Whoever has the journal open is the worker that is at it.
        inode = journal.stat().st_ino
        pids = client.run(os.getpid).values()
        gone = [pid for pid in pids if any(
            os.stat(file).st_ino == inode for file in Path(f'/proc/{pid}/fd').iterdir()
            if file.exists())]
        os.kill(gone[0], signal.SIGKILL)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert sorted(outcome.source.name for outcome in outcomes) == ['a', 'b', 'c', 'd', 'e.avi']
    assert all(outcome.good for outcome in outcomes), outcomes
    killed, = (outcome for outcome in outcomes if outcome.source.name == journal.stem)
    assert 'of them looked at by a run before' in killed.words
    for name in 'abcd':
        messages = bag_rig.faces(out / name)
        assert len(messages) == 55
        assert {face.track_id for message in messages for face in message.faces} == {'f1'}
    assert sorted(path.name for path in out.iterdir()) == ['a', 'b', 'c', 'd', 'e']


def test_the_command_tells_each_outcome(tmp_path, capsys, monkeypatch):
    @contextmanager
    def nobody(scheduler, workers):
        assert (scheduler, workers) == ('', 2)
        yield None

    monkeypatch.setattr(batch, 'connected', nobody)
    monkeypatch.setattr(batch, 'run_jobs', lambda client, todo: iter(
        [Outcome(todo[0].source, '3 frames'), Outcome(todo[1].source, 'broken', False)]))
    for name in 'ab':
        film_rig.write(tmp_path / f'{name}.avi', frames=1)
    assert cli.main(['batch', str(tmp_path), '--out', str(tmp_path / 'out'),
                     '--workers', '5']) == 1
    told = capsys.readouterr()
    assert 'a.avi: 3 frames' in told.out and 'b.avi: broken' in told.err


@pytest.mark.parametrize('arguments, words', [
    (['--workers', '0'], '--workers is 0'),
    (['--scheduler', 'tcp://127.0.0.1:1'], 'cannot be reached')])
def test_workers_that_cannot_be_are_one_line(tmp_path, capsys, monkeypatch, arguments, words):
    film_rig.write(tmp_path / 'a.avi', frames=1)
    if '--scheduler' in arguments:
        def refused(*_, **__):
            raise OSError('timed out')

        monkeypatch.setattr(batch, 'Client', refused)
    assert cli.main(['batch', str(tmp_path), '--out', str(tmp_path / 'out'), *arguments]) == 2
    assert words in capsys.readouterr().err
