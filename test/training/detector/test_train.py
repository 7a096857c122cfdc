# SPDX-License-Identifier: Apache-2.0
import csv
import os
import socket
import subprocess
import sys
from argparse import ArgumentParser

import numpy as np
import pytest
from places import RECIPES

torch = pytest.importorskip('torch')
pytest.importorskip('safetensors')
from detector_rig import MICRO, write_config, write_yolo_folder

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.yolov3 import build_yolov3, load_detector
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.run import Run
from face_attributes_ros.training.detector import train as train_detector
from face_attributes_ros.training.detector.augment import Augment
from face_attributes_ros.training.detector.batches import Batches, PictureBank
from face_attributes_ros.training.detector.config import DetectorConfig, Recipe
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.losses import OUR_LOSS

CONFIGS = RECIPES


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_yolo_folder(tmp_path_factory.mktemp('data') / 'pack')


def arguments(data, config, out, *more):
    parser = ArgumentParser()
    train_detector.add_arguments(parser)
    return parser.parse_args(
        ['--data',
         str(data), '--config',
         str(config), '--out',
         str(out), '--threads', '1', *more])


def rows(out):
    with (out / 'log.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def test_a_killed_run_that_resumes_equals_an_uninterrupted_one(data, tmp_path, monkeypatch):
    config = write_config(tmp_path / 'micro.yaml')
    whole = arguments(data, config, tmp_path / 'whole', '--steps', '8')
    assert train_detector.run(whole) == 0

    class Killed(BaseException):
        pass

    one_step = Run.step

    def save_at_three_die_at_six(run):
        if run.step_number == 3:
            run.save()
        if run.step_number == 6:
            raise Killed
        one_step(run)

    monkeypatch.setattr(Run, 'step', save_at_three_die_at_six)
    with pytest.raises(Killed):
        train_detector.run(arguments(data, config, tmp_path / 'cut', '--steps', '8'))
    monkeypatch.undo()
    assert load_tensors(tmp_path / 'cut' / 'last.safetensors')[1]['step'] == 3
    assert train_detector.run(arguments(data, config, tmp_path / 'cut', '--steps', '8', '--ahead',
                                        '--resume')) == 0
    for name in ('last', 'detector'):
        a, b = (load_tensors(tmp_path / run / f'{name}.safetensors')[0]
                for run in ('whole', 'cut'))
        assert a.keys() == b.keys()
        assert [key for key in a if not torch.equal(a[key], b[key])] == []
    assert load_detector(tmp_path / 'cut' / 'detector.safetensors')(torch.zeros(
        1, 64, 64, 3, dtype=torch.uint8)).ndim == 3


def test_the_loss_falls_on_four_pictures_and_they_are_found(data, tmp_path):
    config = write_config(tmp_path / 'micro.yaml', batch=4, sizes_px=[64])
    args = arguments(data, config, tmp_path / 'run', '--steps', '150', '--validate-images', '99')
    task = train_detector.DetectorTask(args, read_config(config, DetectorConfig))
    run = Run(args, task)
    while run.progress < 1:
        run.step()
    losses = torch.stack(run.sums)[:, 0].numpy()
    assert np.mean(losses[-10:]) < .6 * np.mean(losses[:10])
    task.held_out = read_samples(data, 'train')
    assert task.validate(run.trained().eval(), 150)['ap50'] > .5


def test_a_run_logs_and_resumes_only_on_its_own_data(data, tmp_path):
    config = write_config(tmp_path / 'micro.yaml')
    train_detector.run(arguments(data, config, tmp_path / 'run', '--steps', '2'))
    assert load_tensors(tmp_path / 'run' / 'detector.safetensors')[1]['loss'] == OUR_LOSS
    last = rows(tmp_path / 'run')[-1]
    assert (last['step'], float(last['progress'])) == ('2', 1.0)
    assert 0 <= float(last['val_ap50']) <= 1 and float(last['box']) > 0
    assert (tmp_path / 'run' / 'curve.png').stat().st_size > 1000
    other = write_yolo_folder(tmp_path / 'other', seed=5)
    with pytest.raises(DataError, match='data_hash is'):
        train_detector.run(arguments(other, config, tmp_path / 'run', '--steps', '4', '--resume'))
    with pytest.raises(DataError, match='seed is 0, this run has 9'):
        train_detector.run(
            arguments(data, config, tmp_path / 'run', '--steps', '4', '--resume', '--seed', '9'))


def test_processes_share_each_epoch_without_overlap(data):
    bank = PictureBank(read_samples(data, 'train'))
    recipe = Recipe(1, (64,), (64,))
    seen = [index for step in range(2) for rank in range(2)
            for index in Batches(bank, recipe, Augment(), 0, rank, 2)._indices(step)]
    whole = [index for step in range(4)
             for index in Batches(bank, recipe, Augment(), 0)._indices(step)]
    assert seen == whole and len(set(seen)) == 4


def test_batches_are_pictures_and_the_faces_on_them(data):
    train = Recipe(3, (64, 96), (32,))
    batches = Batches(PictureBank(read_samples(data, 'train')), train, Augment(), seed=2)
    for step in range(4):
        images, targets = batches(step)
        assert images.dtype == torch.uint8 and images.shape[:2] == (3,
                                                                    3) and images.shape[2] in (64,
                                                                                               96)
        assert images.is_contiguous(memory_format=torch.channels_last)
        boxes = targets.boxes_xyxy
        assert ((boxes >= 0) & (boxes <= images.shape[2])).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all() and boxes.dtype == torch.float32
        assert len(boxes) == len(targets.owners) and set(targets.owners.tolist()) <= {0, 1, 2}
    assert batches(0, calm=True)[0].shape[2] == 32
    torch.testing.assert_close(batches(1)[0], batches(1)[0], atol=0, rtol=0)


def test_pictures_that_may_hold_unlabelled_faces_are_left_out(tmp_path):
    root = write_yolo_folder(tmp_path / 'pack')
    (root / 'manifest.csv').write_text('name,maybe_unlabelled\ntrain_2,1\n')
    assert len(PictureBank(read_samples(root, 'train'))) == 4


def test_a_run_may_start_from_weights_that_partly_fit(data, tmp_path):
    config = write_config(tmp_path / 'micro.yaml')
    train_detector.run(arguments(data, config, tmp_path / 'first', '--steps', '1'))
    given = load_tensors(tmp_path / 'first' / 'detector.safetensors')[0]
    save_tensors(
        tmp_path / 'part.safetensors', {
            'model.0.conv.weight': given['model.0.conv.weight'] + 1,
            'model.1.conv.weight': torch.zeros(3), 'stranger': torch.ones(1)
        }, {})
    network = build_yolov3(MICRO)
    assert train_detector.take_what_fits(network, tmp_path / 'part.safetensors') == 1
    torch.testing.assert_close(network.model[0].conv.weight.data, given['model.0.conv.weight'] + 1)


def test_a_grown_network_starts_with_what_the_smaller_one_knew(tmp_path):
    """The shipped `small` from `tiny`, its added shortcut blocks passing on what they get until
    they learn."""
    tiny, small = (read_config(CONFIGS / f'detector_{size}.yaml', DetectorConfig)
                   for size in ('tiny', 'small'))
    torch.manual_seed(0)
    teacher, grown = (build_yolov3(config.model).eval() for config in (tiny, small))
    save_tensors(tmp_path / 'tiny.safetensors', teacher.state_dict(), {})
    taken = train_detector.take_what_fits(grown, tmp_path / 'tiny.safetensors',
                                          small.train.grown_layers)
    assert taken == len(teacher.state_dict()) < len(grown.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(grown(image).boxes, teacher(image).boxes)
    grown.train()(image).scores.sum().backward()
    blocks = [
        block for layer in grown.model for block in layer.modules()
        if getattr(block, 'add', False)
    ]
    assert len(blocks) == 13 and all(block.cv2.bn.weight.grad.abs().sum() > 0 for block in blocks)


def test_a_run_of_before_goes_on_and_says_so(data, tmp_path):
    """Checkpoints and weights that ultralytics' loss made say nothing of the loss."""
    config = write_config(tmp_path / 'micro.yaml')
    out = tmp_path / 'run'
    train_detector.run(arguments(data, config, out, '--steps', '2'))
    for name in ('last', 'detector'):
        tensors, about = load_tensors(out / f'{name}.safetensors')
        del about['loss']
        save_tensors(out / f'{name}.safetensors', tensors, about)
    before = tmp_path / 'before.safetensors'
    before.write_bytes((out / 'detector.safetensors').read_bytes())
    train_detector.run(arguments(data, config, out, '--steps', '4', '--resume'))
    train_detector.run(arguments(data, config, tmp_path / 'next', '--steps', '1', '--init',
                                 str(before)))
    for folder in (out, tmp_path / 'next'):
        about = load_tensors(folder / 'detector.safetensors')[1]
        assert about['loss'] == f'ultralytics, then {OUR_LOSS}'
    assert rows(out)[-1]['step'] == '4'


@pytest.mark.slow
def test_two_processes_train_together(data, tmp_path):
    config = write_config(tmp_path / 'micro.yaml')
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, '-m', 'face_attributes_ros.training.detector.train', '--config',
        str(config), '--data',
        str(data), '--out',
        str(tmp_path / 'run'), '--steps', '3', '--threads', '1', '--device', 'cpu'
    ]
    common = os.environ | {'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    processes = [
        subprocess.Popen(command, env=common | {'RANK': str(rank), 'LOCAL_RANK': str(rank)},
                         stderr=subprocess.PIPE, text=True) for rank in range(2)
    ]
    errors = [process.communicate(timeout=180)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert rows(tmp_path / 'run')[-1]['step'] == '3'
