# SPDX-License-Identifier: Apache-2.0
"""How good labels made from votes are: against human boxes of pictures that are not trained on.

    python -m face_attributes_ros.training.detector.labels.quality --human PACK --votes VOTED \\
        --framing jol --framing jol:3,kag:2 --json bench/results/detector_labels.json

VOTED/val holds the votes on PACK's val pictures, VOTED/human those on its train pictures, on which
framings are measured. For each framing, and for the voters' own (`voters`): the average precision
of the voters' boxes as detections; precision, recall and overlap of the labels, for faces of 2 %
and of 5 % of the picture's longer side and more. What humans left out counts as wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from face_attributes_ros.boxes import iou
from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.data import Sample, read_samples, split_small
from face_attributes_ros.training.detector.labels.ensemble import STRONG, labels_of
from face_attributes_ros.training.detector.labels.framing import (
    DETECTORS,
    Framing,
    blended,
    reframed,
)
from face_attributes_ros.training.detector.labels.sources import measure_sources, votes_by_name
from face_attributes_ros.training.detector.labels.vote import read_votes, votes_of
from face_attributes_ros.training.detector.score import Result, match

SHARES = (0.02, 0.05)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `labels.quality`."""
    parser.add_argument('--human', type=Path, required=True, help='YOLO-format folder')
    parser.add_argument('--votes', type=Path, required=True, help='with folders human and val')
    parser.add_argument('--framing', action='append', required=True, help='as in labels.assemble')
    parser.add_argument('--json', type=Path, required=True, help='the file to write')


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes the figures; returns the exit status."""
    train = read_samples(args.human, 'train')
    framings = measure_sources(train, votes_by_name(args.votes / 'human'))
    samples = {sample.name: sample for sample in read_samples(args.human, 'val')}
    records = [record for record in read_votes(args.votes / 'val') if record['name'] in samples]
    wanted = {'voters': DETECTORS} | {name: blended(framings, name) for name in args.framing}
    found: dict[str, dict[str, Any]] = {}
    for name, framing in wanted.items():
        found[name] = detections_judged(records, samples, framing)
        for share in SHARES:
            found[name][f'from {share:.0%}'] = judged(records, samples, framing, share)
        print(name, json.dumps(found[name]))
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + '\n')
    return 0


def detections_judged(records: Sequence[dict[str, Any]], samples: Mapping[str, Sample],
                      framing: Framing) -> dict[str, Any]:
    """AP at IoU .5 and .5:.95 of all candidates, moved, by the mean of their voters' scores."""
    results = []
    for record in records:
        votes, size = votes_of(record)[0], (record['width'], record['height'])
        boxes = reframed(votes.boxes, DETECTORS, framing)
        pixels = np.array(size * 2, np.float32)
        faces, small = split_small(samples[record['name']].boxes, *size)
        scores = (votes.scores / STRONG).mean(1)
        results.append(Result(boxes, scores, faces * pixels, small * pixels, max(size)))
    figures = coco_metrics(results)
    return {key: figures[key] for key in ('ap50', 'ap50_95')}


def judged(records: Sequence[dict[str, Any]], samples: Mapping[str, Sample], wanted: Framing,
           share: float) -> dict[str, Any]:
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


def _side(boxes: np.ndarray) -> np.ndarray:
    return np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
