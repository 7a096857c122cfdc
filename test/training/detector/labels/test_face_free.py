# SPDX-License-Identifier: Apache-2.0
import json
from argparse import ArgumentParser

import cv2
import numpy as np
import pytest

pytest.importorskip('torch')
from detector_rig import write_yolo_folder

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels import face_free


def noise(seed):
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return cv2.resize(coarse, (144, 108), interpolation=cv2.INTER_LINEAR)


def vote(folder, seen):
    """A folder of labels.vote: {name: (picture, whether a voter saw something)}."""
    (folder / 'images').mkdir(parents=True)
    lines = []
    for name, (picture, face) in seen.items():
        cv2.imwrite(str(folder / 'images' / f'{name}.jpg'), picture)
        boxes = [[.1, .1, .4, .4]] if face else []
        lines.append(json.dumps({'name': name, 'origin': name, 'boxes': boxes}))
    (folder / 'votes.jsonl').write_text('\n'.join(lines) + '\n')
    return folder


def made(tmp_path, *more):
    parser = ArgumentParser()
    face_free.add_arguments(parser)
    words = ['--votes', tmp_path / 'votes', '--set', tmp_path / 'set', '--out', tmp_path / 'out']
    assert face_free.run(parser.parse_args([str(word) for word in (*words, *more)])) == 0
    return [sample.name for sample in read_samples(tmp_path / 'out', 'val')]


@pytest.fixture
def folders(tmp_path):
    data = write_yolo_folder(tmp_path / 'set')
    cv2.imwrite(str(data / 'images' / 'train_0.png'), noise(1))
    vote(tmp_path / 'votes', {
        'street': (noise(0), False), 'known': (noise(1)[:, ::-1], False), 'man': (noise(2), True),
        'dog': (noise(3), True), 'again': (noise(0), False)})
    return tmp_path


def test_kept_is_what_nobody_saw_a_face_in_and_no_set_has(folders, capsys):
    assert made(folders) == ['street']
    assert '1 pictures without a face; 1 resemble the set, 1 each other' in capsys.readouterr().out
    (sample,) = read_samples(folders / 'out', 'val')
    assert not len(sample.boxes) and not len(sample.ignore)


def test_animals_that_somebody_looked_at_are_kept(folders):
    (folders / 'animals.txt').write_text('dog\n')
    assert made(folders, '--animals', folders / 'animals.txt') == ['street', 'dog']


def test_faces_everywhere_are_an_error(tmp_path):
    vote(tmp_path / 'votes', {'man': (noise(0), True)})
    write_yolo_folder(tmp_path / 'set')
    with pytest.raises(DataError, match='every picture'):
        made(tmp_path)
