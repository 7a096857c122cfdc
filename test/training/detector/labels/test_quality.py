# SPDX-License-Identifier: Apache-2.0
import argparse
import json

import pytest
from detector_rig import write_yolo_folder

from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels import quality


def write_votes(folder, samples, spare=()):
    folder.mkdir(parents=True)
    with (folder / 'votes.jsonl').open('w') as file:
        for sample in samples:
            boxes = [*sample.boxes.tolist(), *spare]
            record = {'name': sample.name, 'origin': sample.name, 'width': 960, 'height': 640}
            record |= {'boxes': boxes, 'scores': [[.9, .9, .9]] * len(boxes), 'marks': []}
            file.write(json.dumps(record) + '\n')


def test_labels_like_the_humans_are_all_right_and_spare_ones_are_not(tmp_path):
    human = write_yolo_folder(tmp_path / 'pack', count=24)
    for split, folder in (('train', 'human'), ('val', 'val')):
        spare = [[.0, .0, .03, .04]] if split == 'val' else []
        write_votes(tmp_path / 'votes' / folder, read_samples(human, split), spare)
    path = tmp_path / 'out' / 'labels.json'
    args = argparse.Namespace(human=human, votes=tmp_path / 'votes', framing=['train'], json=path)
    assert quality.run(args) == 0
    written = json.loads(path.read_text())
    assert list(written) == ['voters', 'train']
    found = written['train']
    assert found['ap50'] == pytest.approx(.5, abs=.02)     # as many spare ones, as sure
    assert found['from 5%'] == {'precision': 1.0, 'recall': 1.0, 'median_iou': 1.0, 'faces': 24}
    assert found['from 2%']['precision'] == round(24 / 49, 3) and found['from 2%']['recall'] == 1
