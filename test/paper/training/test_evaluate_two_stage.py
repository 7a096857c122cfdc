# SPDX-License-Identifier: Apache-2.0
import argparse
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is needed for training only')
pytest.importorskip('pycocotools')

from paper_fixtures import write_jaffe, write_pack, write_regions

from face_attributes_ros.build import AttributeModel
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paper.training import evaluate_two_stage as command
from face_attributes_ros.paper.two_stage import TwoStage
from face_attributes_ros.training.common.results import read_results

OUTPUTS = ('face', 'landmarks', 'age', 'gender', 'expression')


def frontal(crops):
    """Always sees a frontal face in the middle, sure of it where the crop is bright; age 30,
    female, happy."""
    count = len(crops)
    points = np.random.default_rng(0).uniform(.3, .7, (68, 2)).astype(np.float32)
    points[36:42], points[42:48], points[8] = [.35, .4], [.65, .4], [.5, .9]
    return [
        crops.reshape(count, -1).mean(1).astype(np.float32) / 255,
        np.tile(points, (count, 1, 1)),
        np.tile(np.eye(101, dtype=np.float32)[30], (count, 1)),
        np.full(count, .9, np.float32),
        np.tile(np.eye(7, dtype=np.float32)[1], (count, 1))
    ]


@pytest.fixture
def run(tmp_path, monkeypatch):
    system = AttributeModel(frontal, OUTPUTS, 32, 1.3, {})
    monkeypatch.setattr(command, 'open_paper_model', lambda name, device, heads: system)
    monkeypatch.setattr(command, 'find_model',
                        lambda *names: SimpleNamespace(path='', input_px=96, thresholds={}))
    # The labelled face, found at its place: 0.3 to 0.7 of each side of a 96 px canvas.
    monkeypatch.setattr(command, 'open_network', lambda *a, **k: lambda batch: [
        np.tile(np.float32([[[28.8, 28.8, 67.2, 67.2, .8]]]), (len(batch), 1, 1))])

    def go(*words):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return command.run(parser.parse_args([*words, '--results', str(tmp_path / 'paper.json')]))

    return go


def test_every_stage_is_measured(run, tmp_path, capsys):
    write_regions(tmp_path / 'set', pictures=1)
    assert run('--regions', str(tmp_path / 'set'), '--proposals', 'yolov3', 'sliding') == 0
    entry = read_results(tmp_path / 'paper.json')['two-stage compact_m']
    row = entry['detection_ap50']['yolov3']
    assert (row['proposals'], row['network score'], row['proposals_an_image']) == (1., 1., 1.)
    # This network's eyes are 0.3 of a crop apart wherever it looks: its square is the face's own,
    # 0.05 of a crop too low.
    assert row['iterative proposals'] == row['landmarks NMS'] == 1.
    assert entry['detection_ap50']['sliding']['proposals'] < .5
    assert 'yolov3: proposals 1.0' in capsys.readouterr().out


def test_attributes_are_measured_for_each_look(run, tmp_path):
    write_jaffe(tmp_path / 'jaffe.zip')
    write_pack(tmp_path)
    run('--data', str(tmp_path), '--jaffe', str(tmp_path / 'jaffe.zip'), '--crops', '--limit', '0')
    entry = read_results(tmp_path / 'paper.json')['two-stage compact_m']
    assert entry['expression']['upright + mirror'] == round(12 / 84, 4)  # it always says happy
    assert entry['age_gender']['faces'] == 12
    error = np.abs(np.arange(12) * 9 % 100 - 30).mean().round(3)
    assert entry['age_gender']['first look'] == {'age_mae': error, 'gender': .5}


def test_a_face_that_is_not_found_is_an_error(run, tmp_path, monkeypatch):
    monkeypatch.setattr(command, 'open_network',
                        lambda *a, **k: lambda batch: [np.zeros((len(batch), 0, 5), np.float32)])
    run('--jaffe', str(write_jaffe(tmp_path / 'jaffe.zip')))
    entry = read_results(tmp_path / 'paper.json')['two-stage compact_m']['expression']
    assert entry['faces_not_found'] == 84 and entry['first look'] == 0


@pytest.mark.parametrize('limit, count', [(0, 10), (3, 3), (4, 4), (10, 10), (99, 10)])
def test_a_limit_is_spread_over_the_set(limit, count):
    found = command.spaced(list(range(10)), limit)
    assert found[0] == 0 and len(found) <= count and len(found) >= count - 1


def test_the_box_of_a_crop_gives_back_the_whole_crop():
    seen = []
    test = TwoStage(lambda crops: seen.append(crops) or frontal(crops), OUTPUTS, size_px=32,
                    crop_scale=1.3)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    test.look(image, command.whole(image, 1.3))
    assert np.abs(seen[0][0].astype(int) - image).max() <= 1


def test_nothing_to_measure_is_an_error(run):
    with pytest.raises(ParameterError, match='--regions, --data or --jaffe'):
        run()
