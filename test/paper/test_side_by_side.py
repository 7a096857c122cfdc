# SPDX-License-Identifier: Apache-2.0
import argparse
import itertools

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import CONFIRMED, Face, Track
from face_attributes_ros.paper import side_by_side
from face_attributes_ros.paper.models import WEIGHTS_FOLDER
from face_attributes_ros.training.common.results import read_results

PICTURE = np.full((60, 120, 3), 90, np.uint8)


def one_face(image):
    return [Track('f1', CONFIRMED, 0., 1, Face((40., 10., 70., 50.), .9), None, None)]


def test_times_are_medians_of_looks_after_the_first():
    ticks = itertools.accumulate([0, .001, 0, .009, 0, .002])
    seen, = side_by_side.looked(one_face, [PICTURE], 3, lambda: next(ticks))
    assert len(seen.tracks) == 1 and seen.ms == pytest.approx(2)


def test_no_picture_no_look():
    assert side_by_side.looked(one_face, [], 3) == []


def test_a_sheet_has_a_row_a_picture_and_a_column_a_system():
    seen = [side_by_side.Seen(one_face(PICTURE), 12.)] * 2
    found = side_by_side.sheet([PICTURE, PICTURE], {'all_in_one': seen, 'ours': seen})
    assert found.shape == (2 * (320 + 34), 2 * 640, 3)
    assert (found[:34] > 200).any() and (found[34:, :640] != 90).any()      # words, a box
    assert np.array_equal(found[34:354, :640], found[34:354, 640:])


def test_without_weights_of_the_papers_it_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv(WEIGHTS_FOLDER, str(tmp_path))
    with pytest.raises(ModelError, match='none of the paper.s systems has weights here: all_in_one'
                       ' needs weights of yours'):
        side_by_side.at_hand()
    (tmp_path / 'vgg_age.safetensors').touch()
    (tmp_path / 'pool5_svm.safetensors').touch()
    assert side_by_side.at_hand() == ['vgg_age+pool5_svm', 'ours']


def test_the_papers_column_sees_the_papers_square():
    settings = side_by_side.settings_of('all_in_one', 1)
    assert (settings.detector_square, settings.detector_imgsz) == (True, 448)
    assert settings.attributes_model == 'all_in_one'
    assert not side_by_side.settings_of('ours', 1).detector_square


def test_the_command_leaves_one_picture_and_the_times(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(side_by_side, 'Analyzer', lambda settings: one_face)
    cv2.imwrite(str(tmp_path / 'a.png'), PICTURE)
    parser = argparse.ArgumentParser()
    side_by_side.add_arguments(parser)
    assert side_by_side.run(parser.parse_args([
        str(tmp_path / 'a.png'), '--out', str(tmp_path / 'out'), '--system', 'all_in_one', 'ours',
        '--results', str(tmp_path / 'r.json'), '--repeats', '1'])) == 0
    assert cv2.imread(str(tmp_path / 'out' / 'side_by_side.png')).shape == (354, 1280, 3)
    entry = read_results(tmp_path / 'r.json')['side by side']
    assert entry['pictures'] == 1 and entry['ms'].keys() == {'all_in_one', 'ours'}
    assert '1 faces in 1 pictures' in capsys.readouterr().out
