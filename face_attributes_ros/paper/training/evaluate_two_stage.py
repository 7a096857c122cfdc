# SPDX-License-Identifier: Apache-2.0
"""What each step of the paper's two-stage test (section 6.3) is worth.

    face-attributes evaluate two-stage --regions DIR --data DIR --jaffe DIR --limit 100

Detection: average precision at IoU 0.5 of the proposals as they come, scored by the attribute
network, refined by iterative region proposals, and merged by landmarks. Attributes: apparent age
and gender on the packs' validation faces, expression on JAFFE (which no shipped network has seen),
of the first look, its mirror image, the upright crop, and both.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from face_attributes_ros.boxes import nms
from face_attributes_ros.build import PAPER_MODELS
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.paper.models import open_paper_model
from face_attributes_ros.paper.proposals import PROPOSERS, open_proposer
from face_attributes_ros.paper.training.jaffe import (
    Portrait,
    best_box,
    grey_pictures,
    labels,
    read_portraits,
    whole,
)
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.paper.two_stage import TwoStage, merged
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import Sample as Face
from face_attributes_ros.training.detector.data import Sample, read_samples
from face_attributes_ros.training.detector.predict import labels as face_labels
from face_attributes_ros.training.detector.score import Result, average_precision, judge

T = TypeVar('T')
Proposer = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(boxes (N, 4), scores (N,)) of a picture."""

STAGES = ('proposals', 'network score', 'iterative proposals', 'landmarks NMS')
LOOKS = {
    'first look': (False, False), '+ mirror': (False, True), 'upright': (True, False),
    'upright + mirror': (True, True)
}
"""Name: (upright, mirror)."""

LOWEST_SCORE, NMS_IOU = .05, .45


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `evaluate two-stage`."""
    parser.add_argument('--regions', type=Path,
                        help='YOLO-format detection set, for the detection table')
    parser.add_argument('--split', default='val', help='its split (default: %(default)s)')
    parser.add_argument('--data', type=Path,
                        help='folder of labels.csv and its zips, for age and gender')
    parser.add_argument('--jaffe', type=Path, help='JAFFE, for expression')
    parser.add_argument('--crops', action='store_true', help='its pictures are face crops already')
    parser.add_argument('--model', choices=[name for name in PAPER_MODELS if '+' not in name],
                        default='compact_m', help='second network (default: %(default)s)')
    parser.add_argument('--detector', default='detector_tiny',
                        help='detector in the manifest (default: %(default)s)')
    parser.add_argument('--proposals', nargs='+', choices=PROPOSERS, default=['yolov3'],
                        metavar='NAME', help=f'some of {", ".join(PROPOSERS)} (default: yolov3)')
    parser.add_argument('--limit', type=int, default=200,
                        help='pictures for detection, evenly spaced; 0: all')
    parser.add_argument('--faces', type=int, default=600,
                        help='faces of each other set, evenly spaced; 0: all')
    parser.add_argument('--results', type=Path, default=Path('bench/results/paper.json'))


def run(args: argparse.Namespace) -> int:
    """Prints the tables and writes them to the JSON file; returns the exit status."""
    if not (args.regions or args.data or args.jaffe):
        raise ParameterError(
            'evaluate two-stage: give --regions, --data or --jaffe; none was given')
    system = open_paper_model(args.model, 'cpu', heads=None)
    test = TwoStage(system.network, system.outputs, size_px=system.size_px,
                    crop_scale=system.crop_scale, keep=LOWEST_SCORE, accept=LOWEST_SCORE)
    result = {'model': args.model, 'detector': args.detector, 'rounds': test.rounds}
    model = find_model(args.detector, 'detector')
    network = open_network(model.path, device='cpu', threads=1)
    if args.regions:
        samples = spaced(read_samples(args.regions, args.split), args.limit)
        result |= {'images': len(samples), 'split': args.split, 'detection_ap50': {}}
        for kind in args.proposals:
            result['detection_ap50'][kind] = detection(
                test, open_proposer(kind, network, model.input_px), samples)
    if args.data:
        result['age_gender'] = age_gender(
            test, spaced(read_pack(args.data, ('val', ), ('utkface', )), args.faces))
    if args.jaffe and 'expression' in system.outputs:
        threshold = model.thresholds.get('score', .5)
        detector = None if args.crops else FaceDetector(network, imgsz_px=model.input_px,
                                                        threshold=threshold)
        result['expression'] = expression(test, detector, spaced(read_portraits(args.jaffe),
                                                                 args.faces))
    record(args.results, f'two-stage {args.model}', result)
    print_tables(result)
    return 0


def spaced(items: list[T], limit: int) -> list[T]:
    """Every n-th item, at most `limit` of them."""
    return items[::-(-len(items) // limit)] if limit else items


def detection(test: TwoStage, propose: Proposer, samples: Sequence[Sample]) -> dict[str, float]:
    """{stage: AP}, and the proposals a picture."""
    results: dict[str, list[Result]] = {stage: [] for stage in STAGES}
    count = 0
    for sample in tqdm(samples, unit='picture', disable=None):
        image = sample.image()
        faces, ignore = face_labels(sample, image)
        boxes, scores = propose(image)
        count += len(boxes)
        for stage, (found, weights) in zip(STAGES, stages(test, image, boxes, scores)):
            results[stage].append(Result(found, weights, faces, ignore, max(image.shape[:2])))
    rows = {stage: round(average_precision(judge(some)), 4) for stage, some in results.items()}
    return {**rows, 'proposals_an_image': round(count / len(samples), 1)}


def stages(test: TwoStage, image: np.ndarray, boxes: np.ndarray,
           scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(boxes, scores) after each of STAGES."""
    yield suppressed(boxes, scores)
    looks = test.look(image, boxes)
    yield suppressed(looks.boxes, looks.scores)
    looks = test.propose(image, boxes)
    yield suppressed(looks.boxes, looks.scores)
    faces = merged(looks, test.overlap, test.top)
    yield faces.boxes, faces.scores


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes and scores after ordinary suppression."""
    kept = nms(boxes, scores, NMS_IOU)
    return boxes[kept], scores[kept]


def age_gender(test: TwoStage, samples: Sequence[Face]) -> dict[str, Any]:
    """{look: {'age_mae', 'gender'}} on pictures that are one face crop each."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in LOOKS}
    for sample in tqdm(samples, unit='face', disable=None):
        image = read_picture(sample.image)
        for name, heads in looks_at(test, image, whole(image, test.crop_scale)):
            rows[name].append((heads['age'][0] @ np.arange(101),
                               heads['gender'][0] if 'gender' in heads else np.nan))
    age = np.array([sample.age_low for sample in samples])
    female = np.array([sample.p_female for sample in samples]) > .5
    found = {}
    for name, seen in rows.items():
        years, p_female = np.array(seen).T
        found[name] = {'age_mae': round(float(np.abs(years - age).mean()), 3),
                       'gender': round(float(((p_female > .5) == female).mean()), 4)}
    return {'faces': len(samples), **found}


def looks_at(test: TwoStage, image: np.ndarray,
             box: np.ndarray) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """(name, heads) of each of LOOKS at one box."""
    first = test.look(image, box)
    for name, (upright, mirror) in LOOKS.items():
        yield name, test.second(image, first, upright, mirror)


def expression(test: TwoStage, detector: FaceDetector | None,
               portraits: Sequence[Portrait]) -> dict[str, Any]:
    """{look: accuracy} on portraits, through the detector (None: they are crops); a face that is
    not found is an error."""
    truth, _ = labels(portraits)
    hits, missed = dict.fromkeys(LOOKS, 0), 0
    for picture, label in zip(
            tqdm(grey_pictures(portraits), total=len(portraits), unit='face', disable=None),
            truth):
        box = best_box(picture, detector) if detector else whole(picture, test.crop_scale)
        missed += box is None
        for name, heads in looks_at(test, picture, box) if box is not None else ():
            hits[name] += int(heads['expression'][0].argmax() == label)
    return {'faces': len(portraits), 'faces_not_found': missed, 'classes': len(EXPRESSIONS),
            **{name: round(count / len(portraits), 4) for name, count in hits.items()}}


def print_tables(result: Mapping[str, Any]) -> None:
    """The three tables as text."""
    for kind, row in result.get('detection_ap50', {}).items():
        print(f'{kind}: ' + ', '.join(f'{stage} {value}' for stage, value in row.items()))
    for part in ('age_gender', 'expression'):
        for name, value in result.get(part, {}).items():
            print(f'{part} {name}: {value}')
