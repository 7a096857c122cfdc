# SPDX-License-Identifier: Apache-2.0
import json

import cv2
import numpy as np
import pytest

from face_attributes_ros import analyze, cli
from face_attributes_ros.errors import ImageError
from face_attributes_ros.faces import CONFIRMED, EXPRESSIONS, Attributes, Face, Track

KEYS = [
    'box_xyxy', 'score', 'age_years', 'age_low', 'age_high', 'gender', 'p_female', 'expression',
    'expression_probs', 'smile', 'yaw_rad', 'pitch_rad', 'roll_rad', 'landmarks_xy'
]


@pytest.fixture
def folder(tmp_path):
    """Three small pictures, one of them damaged."""
    for name in ('a.jpg', 'b.png'):
        cv2.imwrite(str(tmp_path / name),
                    np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    (tmp_path / 'broken.jpg').write_bytes((tmp_path / 'a.jpg').read_bytes()[:30])
    (tmp_path / 'notes.txt').write_text('not a picture')
    return tmp_path


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_is_one_object_a_line_and_nothing_else(folder, capsys):
    assert cli.main(['analyze', '--json', str(folder / 'a.jpg'), str(folder / 'b.png')]) == 0
    found = lines(capsys)
    assert [line['path'] for line in found] == [str(folder / 'a.jpg'), str(folder / 'b.png')]
    assert all(
        (line['width'], line['height']) == (60, 40) and line['faces'] == [] for line in found)


def test_a_broken_picture_is_named_and_the_others_go_on(folder, capsys):
    assert cli.main(['analyze', '--json', str(folder)]) == 1
    out = capsys.readouterr()
    assert len(out.out.splitlines()
               ) == 2 and 'broken.jpg: JPEG picture is cut short after 30 bytes' in out.err and 'Traceback' not in out.err


def test_crops_skip_detection(folder, capsys):
    assert cli.main(['analyze', '--json', '--crops', str(folder / 'b.png')]) == 0
    face, = lines(capsys)[0]['faces']
    assert list(face) == KEYS and face['box_xyxy'] == [0, 0, 60, 40] and face['score'] is None
    assert list(face['expression_probs']) == list(EXPRESSIONS)
    assert sum(face['expression_probs'].values()) == pytest.approx(1, abs=1e-3)
    assert face['expression'] == max(face['expression_probs'], key=face['expression_probs'].get)


def test_annotated_pictures_are_written_on_request(folder, capsys):
    out = folder / 'out'
    assert cli.main(['analyze', str(folder / 'a.jpg'), '--out', str(out)]) == 0
    assert cv2.imread(str(out / 'a.png')).shape == (40, 60, 3)
    assert 'a.jpg: 0 faces' in capsys.readouterr().out


def test_heads_that_the_model_lacks_are_null():
    face = analyze.to_json(
        Track('f1', CONFIRMED, 0., 1, Face((0., 1., 2., 3.), .5),
              Attributes(gender='male', p_female=.25)))
    assert list(face) == KEYS and face['gender'] == 'male' and face['p_female'] == .25
    assert [key for key in KEYS
            if face[key] is not None] == ['box_xyxy', 'score', 'gender', 'p_female']
    assert analyze.to_json(Track('f1', CONFIRMED, 0., 1, Face((0., 1., 2., 3.),
                                                              .5)))['landmarks_xy'] is None


def test_missing_files_are_image_errors(tmp_path):
    with pytest.raises(ImageError, match='no such file'):
        analyze.read_image(tmp_path / 'none.jpg')


@pytest.mark.parametrize(
    'argv, message', [([], 'usage'), (['fly'], 'usage'),
                      (['analyze', '--detector', 'nothing', 'x.jpg'], "detector model 'nothing'"),
                      (['analyze', '--device', 'gpu', 'x.jpg'], "device is 'gpu'")])
def test_wrong_commands_end_with_one_clear_line(argv, message, capsys):
    assert cli.main(argv) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('asked, setting', [(None, 0.), (0., 1e-6), (.4, .4), (1., 1.)])
def test_a_threshold_of_zero_is_not_the_models_own(asked, setting):
    assert analyze._confidence(asked) == setting


def test_thresholds_out_of_range_are_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(['analyze', '--threshold', '1.5', 'x.jpg'])
    assert '--threshold' in capsys.readouterr().err


@pytest.mark.parametrize('words', list(cli.COMMANDS), ids=' '.join)
def test_every_command_has_help(words, capsys):
    with pytest.raises(SystemExit) as status:
        cli.main([*words, '--help'])
    assert status.value.code == 0 and 'usage: face-attributes' in capsys.readouterr().out
