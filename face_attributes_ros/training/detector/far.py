# SPDX-License-Identifier: Apache-2.0
"""What tiles give and cost in pictures as a 4K camera takes them, with faces far away.

    python -m face_attributes_ros.training.detector.far --data DIR --model detector_tiny \\
        --json bench/results/detector_tiles.json

No labelled 4K pictures are to be had here, so they are made: 3840 x 2160 mosaics of val, each
picture in a cell of its own, shrunk by a random factor, on an enlarged picture without faces.
Every picture comes twice. AP@.5 by the faces' size over the longer side of the mosaic; beside
tiles a larger canvas (`detector.imgsz`) of about the same work. The time is CPU time of the
process on one thread, the ways taking turns; what counts is its ratio to the whole picture's.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from face_attributes_ros.training.detector.augment import log_uniform
from face_attributes_ros.training.detector.coco import coco_metrics
from face_attributes_ros.training.detector.data import Sample, read_samples
from face_attributes_ros.training.detector.evaluate import open_detector
from face_attributes_ros.training.detector.predict import Detect, labels
from face_attributes_ros.training.detector.score import Result

WIDTH, HEIGHT = 3840, 2160
COLUMNS, ROWS = 6, 4
ROUNDS, SEED = 2, 0
LEAST_SHRUNK = .3
LEAST_PX = 8.
"""A face: smaller ones are regions to ignore."""
SIZES = {'all': (0., 9.), 'under .5 %': (0., .005), '.5 to 1 %': (.005, .01),
         '1 to 2 %': (.01, .02), '2 to 4 %': (.02, .04), 'over 4 %': (.04, 9.)}
"""sqrt(w h) of a face over the mosaic's longer side."""
REPEATS = 7


class Way(NamedTuple):
    """How a large picture is looked at: tiles along each side, and the canvas (0: the model's)."""

    tiles: int
    input_px: int = 0


WAYS = {'whole': Way(0), '2 x 2 tiles': Way(2), '3 x 3 tiles': Way(3), '4 x 4 tiles': Way(4),
        'canvas 896 px': Way(0, 896), 'canvas 1344 px': Way(0, 1344)}


class Scene(NamedTuple):
    """A mosaic (H, W, 3) uint8 BGR with its faces and regions to ignore, (N, 4) px each."""

    image: np.ndarray
    faces: np.ndarray
    ignore: np.ndarray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `detector.far`."""
    parser.add_argument('--data', type=Path, required=True, help='YOLO-format folder; its val')
    parser.add_argument('--model', action='append', required=True, help='as in evaluate detector')
    parser.add_argument('--backend', default='onnxruntime', help='runtime for ONNX files')
    parser.add_argument('--json', type=Path, required=True, help='the file to write')


def run(args: argparse.Namespace) -> int:
    """Measures, prints and writes every model in every way; returns the exit status."""
    samples = [s for s in read_samples(args.data, 'val') if not s.maybe_unlabelled]
    report: dict[str, Any] = {
        'command': 'python -m face_attributes_ros.training.detector.far --data DIR --model NAME',
        'size': [WIDTH, HEIGHT], 'detectors': {}}
    for name in args.model:
        ways = {way: opened(name, how, args.backend) for way, how in WAYS.items()}
        scenes = list(mosaics(samples))
        rows = {way: coco_metrics(found(detect, scenes), SIZES) for way, detect in ways.items()}
        spent = cpu_ms(ways, scenes[0].image)
        report |= {'mosaics': len(scenes), 'faces': sum(len(scene.faces) for scene in scenes)}
        report['detectors'][Path(name).stem if '/' in name else name] = {
            way: row | {'cpu_ms': round(spent[way], 1),
                        'times_whole': round(spent[way] / spent['whole'], 1)}
            for way, row in rows.items()}
        print(name, json.dumps(rows), json.dumps(spent), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1) + '\n')
    return 0


def opened(name: str, way: Way, backend: str) -> Detect:
    """A model, looking at pictures in one way."""
    return open_detector(name, argparse.Namespace(
        input_px=way.input_px, tiles=way.tiles, backend=backend, threads=1))


def mosaics(samples: Sequence[Sample]) -> Iterator[Scene]:
    """Every picture `ROUNDS` times, in mosaics; the last one of a round may have empty cells."""
    rng = np.random.default_rng(SEED)
    empty = [sample for sample in samples if not len(sample.boxes) and not len(sample.ignore)]
    for _ in range(ROUNDS):
        order = rng.permutation(len(samples))
        for start in range(0, len(order), COLUMNS * ROWS):
            some = [samples[index] for index in order[start:start + COLUMNS * ROWS]]
            yield mosaic(some, empty[int(rng.integers(len(empty)))] if empty else None, rng)


def mosaic(samples: Sequence[Sample], behind: Sample | None, rng: np.random.Generator) -> Scene:
    """The pictures in the cells of one large picture, each shrunk and at a random place of its
    cell."""
    canvas: np.ndarray = np.full((HEIGHT, WIDTH, 3), 114, np.uint8)
    if behind:
        canvas = cv2.resize(behind.image(), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    faces, ignore = [np.zeros((0, 4), np.float32)], [np.zeros((0, 4), np.float32)]
    cell = np.array([WIDTH // COLUMNS, HEIGHT // ROWS])
    for index, sample in enumerate(samples):
        image = shrunk(sample.image(), cell, rng)
        corner = np.array([index % COLUMNS, index // COLUMNS]) * cell
        corner += (rng.random(2) * (cell - image.shape[1::-1])).astype(int)
        x, y = (int(value) for value in corner)
        canvas[y:y + image.shape[0], x:x + image.shape[1]] = image
        own, neutral = labels(sample, image)
        tiny = np.sqrt((own[:, 2:] - own[:, :2]).prod(1)) < LEAST_PX
        place = np.array([x, y] * 2, np.float32)
        faces.append(own[~tiny] + place)
        ignore += [neutral + place, own[tiny] + place]
    return Scene(canvas, np.concatenate(faces), np.concatenate(ignore))


def shrunk(image: np.ndarray, cell: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture at a random factor, at most as large as the cell and as itself."""
    size = np.array(image.shape[1::-1])
    factor = min(1., float((cell / size).min())) * log_uniform(rng, LEAST_SHRUNK, 1.)
    width, height = (max(1, int(side)) for side in size * factor)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)


def found(detect: Detect, scenes: Sequence[Scene]) -> list[Result]:
    """What a detector finds in each scene, beside what is there."""
    return [Result(*detect(scene.image), scene.faces, scene.ignore, WIDTH) for scene in scenes]


def cpu_ms(ways: Mapping[str, Detect], image: np.ndarray) -> dict[str, float]:
    """{way: median CPU milliseconds of one picture}, letterboxes and suppression too."""
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(REPEATS):
        for way, detect in ways.items():
            start = time.process_time()
            detect(image)
            spent[way].append(1000 * (time.process_time() - start))
    return {way: float(np.median(times)) for way, times in spent.items()}


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
