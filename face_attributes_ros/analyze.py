# SPDX-License-Identifier: Apache-2.0
"""Pictures and videos to faces without ROS: `face-attributes analyze PATH...`, or from Python

    from face_attributes_ros import Analyzer
    analyzer = Analyzer()
    tracks = analyzer(image_bgr)
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from face_attributes_ros import captions, options
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.console import say
from face_attributes_ros.detector import check_image
from face_attributes_ros.drawing import annotate
from face_attributes_ros.errors import FaceAttributesError, OutputError, ParameterError
from face_attributes_ros.faces import CONFIRMED, Face, Track
from face_attributes_ros.films import run as films
from face_attributes_ros.films.watch import Watcher
from face_attributes_ros.paths import expanded, printable
from face_attributes_ros.pictures import reader
from face_attributes_ros.pictures.folders import pictures_in
from face_attributes_ros.pictures.video import is_video
from face_attributes_ros.pictures.writer import NewPictures
from face_attributes_ros.pipeline import Pipeline, shown
from face_attributes_ros.records import to_json
from face_attributes_ros.settings import Settings

FLAGS = {
    '--threshold': 'detector_confidence', '--imgsz': 'detector_imgsz',
    '--max-megapixels': 'max_image_megapixels', '--rotate': 'image_rotation',
    '--detector': 'detector_model', '--attributes': 'attributes_model',
    '--aligned': 'attributes_aligned', '--device': 'device', '--precision': 'precision',
}
"""The settings that have a flag of their own; `--set` takes the others."""


class Analyzer:
    """Loads the models once; then maps one BGR image (H, W, 3) uint8 to its faces, best score
    first.

    Each picture stands alone: ids start at f1 in every one, and nothing is averaged over time.
    Otherwise it goes through the same stages as in the node, and the same settings hold. May be
    called from several threads: they take turns.
    """

    def __init__(self, settings: Settings | None = None, pipeline: Pipeline | None = None):
        settings = replace(settings or Settings(), smoothing_enable=False, tracking_confirm_hits=1)
        self.pipeline = pipeline or build_pipeline(settings)
        self.pipeline.update(settings)
        self._turn = threading.Lock()

    def __call__(self, image_bgr: np.ndarray) -> list[Track]:
        """The faces of one picture as tracks; ImageError for what is not a picture."""
        with self._turn:
            self.pipeline.reset()
            found = self.pipeline.process({'': (image_bgr, 0.)})['']
        return [replace(track, track_id=f'f{number}') for number, track in enumerate(found, 1)]

    def crop(self, image_bgr: np.ndarray) -> list[Track]:
        """The attributes of a picture that is one face crop, as a track whose box is the whole
        picture (score nan)."""
        check_image(image_bgr)
        height, width = image_bgr.shape[:2]
        with self._turn:
            seen = self.pipeline.crop(image_bgr)
        face = Face((0., 0., float(width), float(height)), math.nan)
        return list(shown([Track('f1', CONFIRMED, 0., 1, face, seen, seen)],
                          self.pipeline.settings))


def read_image(path: str | os.PathLike[str],
               max_megapixels: float = reader.MAX_MEGAPIXELS) -> np.ndarray:
    """The picture in a file as (H, W, 3) uint8 BGR, turned as its EXIF says; ImageError if it
    cannot be read, is cut short or larger than allowed."""
    return reader.read(path, max_megapixels)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `face-attributes analyze`."""
    parser.add_argument('paths', nargs='+', metavar='PATH', type=Path,
                        help='pictures, folders of pictures (with those below them), or videos')
    parser.add_argument('--json', action='store_true',
                        help='one JSON object a picture, or a frame of a video, on standard '
                        'output, and nothing else')
    parser.add_argument('--out', type=Path, metavar='DIR',
                        help='write annotated PNGs there, each under a name that is free; of a '
                        'video an annotated one, JSON lines, a CSV table and a timeline')
    parser.add_argument('--crops', action='store_true',
                        help='each picture is one face crop: skip detection')
    options.add_arguments(parser, Settings, FLAGS)


def run(args: argparse.Namespace) -> int:
    """Analyzes what the arguments name; 1 if something could not be read or written, else 0."""
    settings = options.from_arguments(Settings, args, FLAGS)
    out = NewPictures(args.out) if args.out else None
    failures = _Failures()
    paths = list(_paths(args.paths, failures.say))
    films_ = [path for path in paths if is_video(path)]
    pictures = [path for path in paths if not is_video(path)]
    if pictures:
        analyzer = Analyzer(settings)
        for path in _with_progress(pictures):
            _analyze_one(analyzer, path, out, args, failures)
    if films_:
        _analyze_films(films_, settings, args, failures)
    return 1 if failures.count else 0


def _analyze_films(paths: Sequence[Path], settings: Settings, args: argparse.Namespace,
                   failures: _Failures) -> None:
    if args.crops:
        raise ParameterError('--crops is for pictures; a video is no face crop')
    watcher, told = Watcher.of(settings), films.Told(args.json, args.out)
    for path in paths:
        try:
            films.tell(watcher, path, told, failures.say)
        except FaceAttributesError as error:
            failures.say(error)


class _Failures:
    """Says what went wrong on standard error; that pictures cannot be written, once."""

    def __init__(self) -> None:
        self.count, self._no_output = 0, False

    def say(self, error: FaceAttributesError | str) -> None:
        """Counts an error, and says it."""
        self.count += 1
        if not (self._no_output and isinstance(error, OutputError)):
            print(f'face-attributes: {error}', file=sys.stderr)
        self._no_output |= isinstance(error, OutputError)


def _paths(paths: list[Path],
           on_error: Callable[[FaceAttributesError], object]) -> Iterator[Path]:
    for path in map(expanded, paths):
        if os.path.isdir(path):
            yield from pictures_in(path, on_error)
        else:
            yield path


def _with_progress(paths: list[Path]) -> Iterable[Path]:
    if len(paths) < 10:
        return paths
    from tqdm import tqdm

    shown_paths: Iterable[Path] = tqdm(paths, unit='picture', file=sys.stderr)
    return shown_paths


def _analyze_one(analyzer: Analyzer, path: Path, out: NewPictures | None,
                 args: argparse.Namespace, failures: _Failures) -> None:
    try:
        image = read_image(path, args.max_image_megapixels)
        tracks = (analyzer.crop if args.crops else analyzer)(image)
    except FaceAttributesError as error:
        failures.say(error)
        return
    except MemoryError:  # one picture never ends the others
        failures.say(f'{printable(path)}: not enough memory')
        return
    drawn: Path | None = None
    try:
        drawn = None if out is None else out.write(path.stem, annotate(image, tracks))
    except FaceAttributesError as error:
        failures.say(error)
    (_print_json if args.json else _print_table)(path, image, tracks, drawn)


def _print_json(path: Path, image: np.ndarray, tracks: list[Track], drawn: Path | None) -> None:
    height, width = image.shape[:2]
    record = {'path': str(path), 'width': width, 'height': height,
              'faces': [to_json(track) for track in tracks]}
    say(json.dumps({**record, 'annotated': str(drawn)} if drawn else record))


def _print_table(path: Path, _image: np.ndarray, tracks: Sequence[Track],
                 drawn: Path | None) -> None:
    faces = f'{len(tracks)} face{"" if len(tracks) == 1 else "s"}'
    say(f'{printable(path)}: {faces}' + (f', drawn in {printable(drawn)}' if drawn else ''))
    for track in tracks:
        say('  ' + captions.sentence(track))
