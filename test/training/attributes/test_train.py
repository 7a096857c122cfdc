# SPDX-License-Identifier: Apache-2.0
import argparse
import csv
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from attributes_rig import TINY_CONFIG, make_pack
from places import ROOT

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.attributes import train as train_attributes
from face_attributes_ros.training.attributes.config import TrainConfig, at
from face_attributes_ros.training.attributes.data.batches import (
    balanced_rows,
    passing_rows,
    source_counts,
)
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.packs import read_csv
from face_attributes_ros.training.attributes.data.tables import Sample, table_of
from face_attributes_ros.training.common.checkpoint import load_tensors
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.run import Run

REPOSITORY = ROOT
DATA = Path(os.environ.get('FACE_ATTRIBUTES_DATA', REPOSITORY.parent / 'shared' / 'data'))


@pytest.fixture(autouse=True)
def one_thread():
    """Sums on several threads depend on how many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def pack(tmp_path_factory):
    return make_pack(tmp_path_factory.mktemp('data') / 'pack')


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp('config') / 'tiny.yaml'
    path.write_text(TINY_CONFIG)
    return path


def parsed(*words):
    parser = argparse.ArgumentParser()
    train_attributes.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


def task_of(args):
    return train_attributes.AttributesTask(args, read_config(args.config, TrainConfig))


def train(pack, config, out, *more):
    return train_attributes.run(
        parsed('--config', config, '--data', pack, '--cache', pack / 'cache', '--out', out,
               '--device', 'cpu', '--threads', 1, *more))


def test_losses_fall_and_everything_is_written(pack, config, tmp_path):
    assert train(pack, config, tmp_path, '--steps', 105) == 0
    rows = read_csv(tmp_path / 'log.csv')
    assert float(rows[-1]['age']) < float(rows[0]['age']) - 1
    assert [row['size'] for row in rows] == ['16', '32', '32'
                                             ] and rows[-1]['val_age_mae'] and rows[-1]['val_nme']
    _, metadata = load_tensors(tmp_path / 'attributes.safetensors')
    assert metadata['step'] == 105 and metadata['seed'] == 0 and len(
        metadata['data']['sha256']) == 64
    assert (tmp_path / 'curve.png').stat().st_size > 1000


def test_a_resumed_run_equals_the_uninterrupted_one(pack, config, tmp_path):
    train(pack, config, tmp_path / 'whole', '--steps', 6)
    args = parsed('--config', config, '--data', pack, '--cache', pack / 'cache', '--out',
                  tmp_path / 'parts', '--device', 'cpu', '--steps', 6, '--threads', 1)
    args.out.mkdir()
    work = Run(args, task_of(args))
    for _ in range(3):  # the power fails after three steps
        work.step()
    work.save()
    train(pack, config, tmp_path / 'parts', '--steps', 6, '--resume')
    whole, parts = (load_tensors(tmp_path / part / 'last.safetensors')[0]
                    for part in ('whole', 'parts'))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name


def test_a_run_may_start_from_an_earlier_ones_weights(pack, config, tmp_path):
    train(pack, config, tmp_path / 'first', '--steps', 3)
    weights = tmp_path / 'first' / 'attributes.safetensors'
    task = task_of(
        parsed('--config', config, '--data', pack, '--cache', pack / 'cache', '--out', tmp_path,
               '--steps', 1, '--device', 'cpu', '--init', weights))
    for name, value in load_tensors(weights)[0].items():
        torch.testing.assert_close(task.network.state_dict()[name], value)
    wider = tmp_path / 'wider.yaml'
    wider.write_text(TINY_CONFIG.replace('shared: 16', 'shared: 24'))
    with pytest.raises(DataError, match='other sizes'):
        train(pack, wider, tmp_path / 'second', '--steps', 1, '--init', weights)


def test_bf16_is_asked_for_only_where_the_hardware_has_it(pack, config, tmp_path, monkeypatch):
    wanting = tmp_path / 'bf16.yaml'
    wanting.write_text(TINY_CONFIG + 'bfloat16: true\n')
    args = parsed('--config', wanting, '--data', pack, '--cache', pack / 'cache', '--out',
                  tmp_path, '--steps', 1, '--device', 'cpu')
    for native in (False, True):
        monkeypatch.setattr(train_attributes, 'bf16_is_native', lambda device: native)
        assert task_of(args).bfloat16 is native


def test_resuming_on_other_data_is_refused(pack, config, tmp_path):
    train(pack, config, tmp_path, '--steps', 1)
    other = make_pack(tmp_path / 'other', per_split=5)
    with pytest.raises(DataError, match='data is'):
        train(other, config, tmp_path, '--steps', 2, '--resume')


def test_a_teacher_pulls_the_student_towards_itself(pack, config, tmp_path):
    train(pack, config, tmp_path / 'teacher', '--steps', 2)
    teacher = tmp_path / 'teacher' / 'attributes.safetensors'
    for name, more in (('alone', ()), ('taught', ('--teacher', teacher))):
        train(pack, config, tmp_path / name, '--steps', 3, '--seed', 5, *more)
    alone, taught = (load_tensors(tmp_path / name / 'last.safetensors')[0]
                     for name in ('alone', 'taught'))
    assert any(not torch.equal(alone[name], taught[name]) for name in alone)


def test_minutes_end_a_run_too(pack, config, tmp_path):
    assert train(pack, config, tmp_path, '--steps', 100000, '--minutes', 0.01) == 0
    rows = read_csv(tmp_path / 'log.csv')
    assert float(rows[-1]['progress']) == 1 and int(rows[-1]['step']) < 100000


def test_two_processes_agree(pack, config, tmp_path):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, '-m', 'face_attributes_ros.training.attributes.train', '--config', config,
        '--data', pack, '--cache', tmp_path / 'cache', '--out', tmp_path / 'out', '--steps', '2',
        '--threads', '1', '--device', 'cpu'
    ]
    environment = os.environ | {
        'PYTHONPATH': str(REPOSITORY), 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(port), 'OMP_NUM_THREADS': '1'
    }
    processes = [
        subprocess.Popen([str(word)
                          for word in command], env=environment | {'RANK': str(rank)},
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    tensors, metadata = load_tensors(tmp_path / 'out' / 'last.safetensors')
    assert metadata['step'] == 2 and all(torch.isfinite(value).all() for value in tensors.values())


def test_two_ranks_share_one_batch(pack, config):
    args = parsed('--config', config, '--data', pack, '--cache', pack / 'cache', '--out', pack,
                  '--device', 'cpu')
    whole = task_of(args).batches.rows(3)
    batches = task_of(args).batches
    halves = [replace(batches, rank=rank, world=2).rows(3) for rank in (0, 1)]
    assert sorted(np.concatenate(halves).tolist()) == sorted(whole.tolist())
    assert len(halves[0]) == len(halves[1]) == 5


@pytest.mark.parametrize('words, message', [((), '--minutes, --steps'),
                                            (('--steps', 1, '--device', 'tpu'), 'tpu')])
def test_wrong_arguments_are_named(pack, config, tmp_path, words, message):
    args = parsed('--config', config, '--data', pack, '--cache', pack / 'cache', '--out', tmp_path,
                  *words)
    with pytest.raises(ParameterError, match=message):
        train_attributes.run(args)


def test_a_source_without_pictures_is_named(pack, tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text(TINY_CONFIG.replace('ytf68: 0.1', 'celeba: 0.1'))
    with pytest.raises(DataError, match='celeba'):
        train(pack, path, tmp_path, '--steps', 1)


def test_an_unknown_setting_is_refused(tmp_path):
    path = tmp_path / 'c.yaml'
    path.write_text('network: m\nshares: {utkface: 1}\nsizes: [[0, 64]]\nlearning_speed: 3\n')
    with pytest.raises(ParameterError, match='learning_speed'):
        read_config(path, TrainConfig)


@pytest.mark.parametrize('name, sizes', [('s', (48, 80)), ('m', (48, 80)), ('l', (64, 112))])
def test_shipped_configurations_grow_the_crop(name, sizes):
    config = read_config(REPOSITORY / 'config' / 'training' / f'attributes_{name}.yaml',
                         TrainConfig)
    assert (at(0, config.sizes), at(1, config.sizes)) == sizes


def test_every_pass_shows_every_face_once():
    rows = np.arange(10, 17)
    seen = np.concatenate([passing_rows(rows, start, 3, seed=1) for start in range(0, 21, 3)])
    assert [sorted(seen[start:start + 7].tolist()) for start in (0, 7, 14)] == [rows.tolist()] * 3
    assert seen[:7].tolist() != seen[7:14].tolist()


@pytest.mark.parametrize('shares, batch, counts', [({'a': 1}, 4, {'a': 4}),
                                                   ({'a': 3, 'b': 1}, 8, {'a': 6, 'b': 2}),
                                                   ({'a': 1, 'b': 0.001}, 8, {'a': 7, 'b': 1})])
def test_batches_hold_the_shares_asked_for(shares, batch, counts):
    assert source_counts(shares, batch) == counts


def test_a_batch_too_small_for_its_sources_is_refused():
    with pytest.raises(ParameterError, match='no room'):
        source_counts({'a': 1, 'b': 1, 'c': 1}, 2)


def test_rare_expressions_come_more_often_where_no_age_is_known():
    happy, afraid = ((0, 1, 0, 0, 0, 0, 0), (0.2, 0, 0, 0, 0.8, 0, 0))
    samples = [Sample(f'{n}', 'x', expression=happy)
               for n in range(64)] + [Sample(f'f{n}', 'x', expression=afraid) for n in range(4)]
    pool = balanced_rows(table_of([*samples, Sample('nothing known', 'x')]), 'x', 0.5)
    assert np.bincount(pool).tolist() == [1] * 64 + [4] * 4 + [1]


def test_rare_ages_come_more_often_and_none_is_lost():
    ages = [25] * 64 + [5] * 16 + [75] * 1
    table = table_of([Sample(str(number), 'x', age, age)
                      for number, age in enumerate(ages)] + [Sample('none', 'x')])
    pool = balanced_rows(table, 'x', 0.5)
    assert set(pool.tolist()) == set(range(82))
    times = np.bincount(pool)
    assert (times[:64] == 1).all() and (times[64:80]
                                        == 2).all() and times[80] == 4 and times[81] == 1
    assert balanced_rows(table, 'x', 0.0).tolist() == list(range(82))


def test_a_picture_that_does_not_decode_is_named(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'not a picture')
    with pytest.raises(DataError, match='a.jpg'):
        cached_crops(table_of([Sample(str(tmp_path / 'a.jpg'), 'x')]), 16, tmp_path / 'cache')


def full_name(row):
    """How a larger pack names the picture of a row of labels.csv."""
    name = row['orig'].replace('.jpg.chip', '').replace('.png', '.jpg').replace('/', '_')
    return ('fair_face_' if row['source'] == 'fairface' else 'data_') + name


@pytest.mark.skipif(not (DATA / 'train_full.csv').is_file(),
                    reason='the data is not here: set FACE_ATTRIBUTES_DATA')
def test_no_val_or_test_row_is_among_the_training_lists():
    with open(DATA / 'train_full.csv', newline='') as file:
        full = {row['path'].replace('/', '_').replace('.jpg.chip', '').replace('.png', '.jpg')
                for row in csv.DictReader(file)}
    rows = read_csv(DATA / 'labels.csv')
    named = {split: {full_name(row) for row in rows if row['split'] == split and row['source'] in
                     ('utkface', 'fairface', 'ferplus')} for split in ('train', 'val', 'test')}
    assert len(named['train'] & full) == len(
        named['train']) > 20000  # the names do match, so the next lines mean something
    assert not (named['val'] | named['test']) & full
    groups = {split: {row['group'] for row in rows if row['split'] == split} for split in named}
    assert not groups['train'] & (groups['val'] | groups['test'])
    assert {row['split'] for row in rows if row['source'] == 'jaffe'} == {'crossval'}
