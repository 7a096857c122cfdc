# SPDX-License-Identifier: Apache-2.0
"""The paper's pipeline and ours on the same pictures, as one picture with the times.

    export FACE_ATTRIBUTES_PAPER_WEIGHTS=~/paper_weights
    face-attributes report side-by-side photographs/ --out build/paper_demo
    make paper-demo IMAGES=photographs/

One row a picture. The columns: each of the paper's systems whose weights are at hand, behind the
paper's 448 x 448 square, and what this package ships. Times are medians of whole pictures, from
pixels to attributes, after one that warms up. The picture shows people: it is for its maker's
eyes, as the pictures are that went in.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from face_attributes_ros.analyze import Analyzer, read_image
from face_attributes_ros.console import say
from face_attributes_ros.drawing import annotate
from face_attributes_ros.engines import cpu
from face_attributes_ros.errors import ImageError, ModelError
from face_attributes_ros.faces import Track
from face_attributes_ros.paper.models import weights_path
from face_attributes_ros.pictures.folders import pictures_in
from face_attributes_ros.pictures.writer import NewPictures
from face_attributes_ros.settings import Settings

OURS = 'ours'
SYSTEMS = {'all_in_one': 'the paper: all-in-one', 'vgg_age+pool5_svm': 'the paper: VGG age, POOL5',
           OURS: 'ours'}
"""Columns by name, in their order."""

PAPER_PX = 448
"""Side of the square that the paper's detector sees."""

PANEL_PX, _BAR_PX, _INK_BGR = 640, 34, (240, 240, 240)

Analyse = Callable[[np.ndarray], list[Track]]


class Seen(NamedTuple):
    """What one system said of one picture, and its milliseconds."""

    tracks: list[Track]
    ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `report side-by-side`."""
    parser.add_argument('paths', nargs='+', type=Path, metavar='PATH',
                        help='pictures, or folders of them')
    parser.add_argument('--system', nargs='+', choices=SYSTEMS, metavar='NAME',
                        help=f'some of {", ".join(SYSTEMS)} (default: ours, and those of the '
                        'paper whose weights are at hand)')
    parser.add_argument('--out', type=Path, default=Path('build/paper_demo'),
                        help='folder of side_by_side.png (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=5,
                        help='timed looks at each picture (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=1,
                        help='CPU threads of each network (default: %(default)s)')
    parser.add_argument('--results', type=Path,
                        help='JSON of figures to enter the times into (bench/results/paper.json)')


def run(args: argparse.Namespace) -> int:
    """Writes the picture, prints a line a system; returns the exit status."""
    names = args.system or at_hand()
    paths = [path for given in args.paths
             for path in (pictures_in(given, refuse) if given.is_dir() else [given])]
    images = [read_image(path) for path in paths]
    found = {name: looked(Analyzer(settings_of(name, args.threads)), images, args.repeats)
             for name in names}
    path = NewPictures(args.out).write('side_by_side', sheet(images, found))
    times = {name: round(statistics.median(one.ms for one in seen), 1)
             for name, seen in found.items()}
    for name, seen in found.items():
        say(f'{SYSTEMS[name]}: {times[name]} ms a picture, '
            f'{sum(len(one.tracks) for one in seen)} faces in {len(images)} pictures')
    say(str(path))
    if args.results:
        enter(args.results, images, times, args.threads)
    return 0


def refuse(error: ImageError) -> None:
    """Raises what a folder has to say against being shown."""
    raise error


def at_hand() -> list[str]:
    """The systems that can run here. Raises ModelError, which says what to do, where the paper has
    none of them."""
    found, missing = [], ''
    for name in SYSTEMS:
        try:
            for part in name.split('+') if name != OURS else ():
                weights_path(part)
            found.append(name)
        except ModelError as error:
            missing = missing or str(error)
    if found == [OURS]:
        raise ModelError(f'none of the paper\'s systems has weights here: {missing}')
    return found


def settings_of(name: str, threads: int) -> Settings:
    """The settings of a column, on the CPU."""
    if name == OURS:
        return Settings(device='cpu', threads=threads)
    return Settings(device='cpu', threads=threads, detector_square=True, detector_imgsz=PAPER_PX,
                    attributes_model=name)


def looked(analyse: Analyse, images: Sequence[np.ndarray], repeats: int,
           clock: Callable[[], float] = time.perf_counter) -> list[Seen]:
    """What a system sees in each picture, with the median time of `repeats` looks."""
    seen = []
    for image in images:
        tracks, times = analyse(image), []
        for _ in range(repeats):
            start = clock()
            analyse(image)
            times.append(1e3 * (clock() - start))
        seen.append(Seen(tracks, statistics.median(times)))
    return seen


def sheet(images: Sequence[np.ndarray], found: Mapping[str, Sequence[Seen]]) -> np.ndarray:
    """One picture (H, W, 3) uint8 BGR: a row an image, a column a system, a bar above each."""
    rows = [np.hstack([panel(image, SYSTEMS[name], seen[number]) for name, seen in found.items()])
            for number, image in enumerate(images)]
    return np.vstack(rows)


def panel(image: np.ndarray, title: str, seen: Seen) -> np.ndarray:
    """What a system saw, PANEL_PX wide, under a bar with its name and time."""
    height = max(1, round(image.shape[0] * PANEL_PX / image.shape[1]))
    shown = cv2.resize(annotate(image, seen.tracks), (PANEL_PX, height),
                       interpolation=cv2.INTER_AREA)
    bar = np.zeros((_BAR_PX, PANEL_PX, 3), np.uint8)
    cv2.putText(bar, f'{title}: {seen.ms:.0f} ms', (8, _BAR_PX - 11), cv2.FONT_HERSHEY_SIMPLEX,
                .6, _INK_BGR, 1, cv2.LINE_AA)
    return np.vstack([bar, shown])


def enter(path: Path, images: Sequence[np.ndarray], times: Mapping[str, float],
          threads: int) -> None:
    """The entry `side by side` of a JSON file of figures."""
    from face_attributes_ros.paper.training.results import record

    about: dict[str, Any] = {
        'cpu': cpu.model(), 'features': list(cpu.features()), 'threads': threads,
        'load_1min': round(os.getloadavg()[0], 1), 'pictures': len(images),
        'longer_side_px': max(max(image.shape[:2]) for image in images)}
    record(path, 'side by side', {**about, 'ms': dict(times)})
