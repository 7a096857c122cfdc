# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import shutil

import numpy as np
import pytest
from detector_rig import write_yolo_folder

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels import assemble, sources
from face_attributes_ros.training.detector.labels.ensemble import Votes
from face_attributes_ros.training.detector.labels.framing import DETECTORS, Framing, reframed

LOOSE = Framing(-0.1, -0.2, 0.1, 0.0)
FACES = 24


def write_votes(folder, samples, framing=DETECTORS, extra=(), scores=(0.9, 0.9, 0.9)):
    """A votes.jsonl in which the voters see the samples' faces where `framing` puts them, and
    `extra` boxes.
    """
    folder.mkdir(parents=True)
    with (folder / 'votes.jsonl').open('w') as file:
        for sample in samples:
            boxes = [*reframed(sample.boxes, framing, DETECTORS).tolist(), *extra]
            file.write(
                json.dumps(
                    {
                        'name': sample.name,
                        'origin': sample.path.name,
                        'width': 96,
                        'height': 64,
                        'boxes': boxes,
                        'scores': [list(scores)] * len(boxes),
                        'marks': [],
                    }
                )
                + '\n'
            )


@pytest.fixture
def human(tmp_path):
    root = write_yolo_folder(tmp_path / 'pack', count=FACES)
    write_votes(tmp_path / 'votes' / 'human', read_samples(root, 'train'), LOOSE)
    return root


def test_a_human_source_keeps_its_own_framing(human, tmp_path):
    pictures, framings, wanted = sources.human_pictures(
        human, tmp_path / 'votes' / 'human', 'train'
    )
    np.testing.assert_allclose(framings['train'].offsets, LOOSE.offsets, atol=1e-3)
    assert framings['train'].faces == FACES
    np.testing.assert_allclose(wanted.offsets, LOOSE.offsets, atol=1e-3)
    for picture, sample in zip(pictures, read_samples(human, 'train'), strict=True):
        np.testing.assert_allclose(picture.faces, sample.boxes, atol=1e-4)


def test_an_unknown_framing_is_an_error(human, tmp_path):
    with pytest.raises(ParameterError, match='framing jol: needs some of train'):
        sources.human_pictures(human, tmp_path / 'votes' / 'human', 'jol')
    with pytest.raises(DataError, match=r'run labels\.vote first'):
        sources.human_pictures(human, tmp_path / 'nowhere', 'train')


def test_a_face_that_nobody_labelled_becomes_a_region_to_ignore(human):
    sample = read_samples(human, 'train')[1]
    votes = Votes(
        np.concatenate([sample.boxes, [[0.0, 0.0, 0.1, 0.1]]]).astype(np.float32),
        np.array([[0.9, 0.9, 0.9], [0.4, 0.0, 0.0]], np.float32),
    )
    assert len(sources.missed_faces(sample, votes, suspicious=False)) == 0
    assert len(sources.missed_faces(sample, votes, suspicious=True)) == 1
    assert len(sources.missed_faces(sample, None, suspicious=True)) == 0


def test_voted_pictures_get_the_wanted_framing(human, tmp_path):
    samples = read_samples(human, 'train')
    write_votes(tmp_path / 'votes' / 'web', samples)
    for picture, sample in zip(
        sources.voted_pictures(tmp_path / 'votes' / 'web', LOOSE), samples, strict=True
    ):
        np.testing.assert_allclose(
            picture.faces, reframed(sample.boxes, DETECTORS, LOOSE).clip(0, 1), atol=1e-3
        )


def test_pictures_with_nothing_but_doubt_are_left_out(human, tmp_path):
    write_votes(tmp_path / 'votes' / 'web', read_samples(human, 'train'), scores=(0.4, 0, 0))
    kept = list(sources.voted_pictures(tmp_path / 'votes' / 'web', LOOSE))
    assert [len(picture.faces) for picture in kept] == [0]  # the one without a candidate


def test_the_set_is_a_folder_to_train_on_without_what_is_held_out(human, tmp_path):
    web = tmp_path / 'votes' / 'web'
    other = write_yolo_folder(tmp_path / 'other', count=3, seed=5)
    write_votes(web, read_samples(other, 'train'))
    shutil.copytree(other / 'images', web / 'images')
    for name in ('train_1', 'train_2'):  # the copies of labels.vote are JPEG
        (web / 'images' / f'{name}.png').rename(web / 'images' / f'{name}.jpg')
    shutil.copyfile(human / 'images' / 'test_1.png', web / 'images' / 'train_3.jpg')
    shutil.copyfile(human / 'images' / 'train_0.png', web / 'images' / 'train_0.jpg')
    text = (web / 'votes.jsonl').read_text().replace('"train_', '"web_')
    (web / 'votes.jsonl').write_text(text)
    for index in range(4):
        (web / 'images' / f'train_{index}.jpg').rename(web / 'images' / f'web_{index}.jpg')
    args = argparse.Namespace(
        human=human,
        votes=tmp_path / 'votes',
        machine=[],
        voted=['web'],
        framing='train',
        most_empty=5,
        without=None,
        animals=tmp_path / 'animals.txt',
        out=tmp_path / 'set',
    )
    args.animals.write_text('web_2\n')
    assert assemble.run(args) == 0
    report = json.loads((tmp_path / 'set' / 'report.json').read_text())
    assert report['left out as near-duplicates'] == {'held out': 1, 'earlier': 1}
    names = [sample.name for sample in read_samples(tmp_path / 'set', 'train')]
    assert [name for name in names if name.startswith('web')] == ['web_1', 'web_2']
    assert len(read_samples(tmp_path / 'set', 'val')) == len(read_samples(human, 'val'))
    assert report['sources']['web'] == {'pictures': 2, 'faces': 1, 'ignore': 0, 'empty': 1}
