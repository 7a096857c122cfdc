# SPDX-License-Identifier: Apache-2.0
"""How good labels made from votes are: against human boxes of pictures that are not trained on.

    python -m face_attributes_ros.training.detector.labels.quality --human PACK --votes VOTED \\
        --framing jol:3,kag:2

VOTED/val holds the votes on PACK's val pictures, VOTED/human those on its train pictures, on which
the framing is measured. Prints precision, recall and overlap as JSON, for faces of 2 % and of 5 %
of the picture's longer side and more. What humans left out counts as wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from face_attributes_ros.boxes import iou
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels.ensemble import labels_of
from face_attributes_ros.training.detector.labels.framing import DETECTORS, blended, reframed
from face_attributes_ros.training.detector.labels.sources import measure_sources, votes_by_name
from face_attributes_ros.training.detector.labels.vote import read_votes, votes_of
from face_attributes_ros.training.detector.score import match

SHARES = (0.02, 0.05)


def add_arguments(parser):
    """The command line of `labels.quality`."""
    parser.add_argument('--human', type=Path, required=True, help='YOLO-format folder')
    parser.add_argument('--votes', type=Path, required=True, help='with folders human and val')
    parser.add_argument('--framing', required=True, help='as in labels.assemble')


def run(args):
    """Prints the figures; returns the exit status."""
    train = read_samples(args.human, 'train')
    framings = measure_sources(train, votes_by_name(args.votes / 'human'))
    wanted = blended(framings, args.framing)
    samples = {sample.name: sample for sample in read_samples(args.human, 'val')}
    records = [record for record in read_votes(args.votes / 'val') if record['name'] in samples]
    print(json.dumps({f'from {share:.0%}': judged(records, samples, wanted, share)
                      for share in SHARES}))
    return 0


def judged(records, samples, wanted, share):
    """Precision, recall, median overlap of the labels of `share` of the longer side and more."""
    right, made, there, overlaps = 0, 0, 0, []
    for record in records:
        size = np.array([record['width'], record['height']] * 2, np.float32)
        faces, ignore = labels_of(votes_of(record)[0], max(size))
        faces = reframed(faces, DETECTORS, wanted)
        human = samples[record['name']].boxes * size
        faces, human = (boxes[_side(boxes) >= share * max(size)] for boxes in (faces, human))
        verdict = match(faces, human, ignore)
        right, made, there = right + (verdict == 1).sum(), made + len(faces), there + len(human)
        if len(faces) and len(human):
            overlaps += iou(faces, human).max(1)[verdict == 1].tolist()
    figures = {'precision': right / max(made, 1), 'recall': right / max(there, 1),
               'median_iou': float(np.median(overlaps)) if overlaps else 0.0}
    return {key: round(float(value), 3) for key, value in figures.items()} | {'faces': there}


def _side(boxes):
    return np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
