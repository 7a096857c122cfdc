# SPDX-License-Identifier: Apache-2.0
"""Pictures to faces without ROS: `face-attributes analyze PATH...`, or from Python

    from face_attributes_ros import Analyzer
    analyzer = Analyzer()
    tracks = analyzer(image_bgr)
"""

from __future__ import annotations

import json
import math
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_attributes_ros import captions
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.detector import check_image
from face_attributes_ros.drawing import annotate
from face_attributes_ros.errors import FaceAttributesError, ImageError
from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track
from face_attributes_ros.head import rounded
from face_attributes_ros.heads import HEADS
from face_attributes_ros.pipeline import Pipeline, shown
from face_attributes_ros.settings import Settings

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')


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


def read_image(path):
    """The picture in a file as (H, W, 3) uint8 BGR, turned as its EXIF says; ImageError if it
    cannot be read."""
    if not os.path.isfile(path):
        raise ImageError(f'{path}: no such file')
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(
            f'{path}: not a picture that OpenCV can read ({os.path.getsize(path)} bytes)')
    return image


def to_json(track: Track) -> dict[str, Any]:
    """One face as plain numbers and strings; what the model does not have is None. Angles are
    radians, boxes pixels."""
    seen = track.attributes or Attributes()
    out = {'box_xyxy': rounded(track.face.box_xyxy, 2), 'score': rounded(track.face.score)}
    for head in HEADS.values():
        out.update({key: value(seen) for key, value in head.json.items()})
    return out


def add_arguments(parser):
    """Declares the arguments of `face-attributes analyze`."""
    parser.add_argument('paths', nargs='+', metavar='PATH', type=Path,
                        help='pictures, or folders of pictures')
    parser.add_argument('--json', action='store_true',
                        help='one JSON object a picture on standard output, and nothing else')
    parser.add_argument('--out', type=Path, metavar='DIR', help='write annotated PNGs there')
    parser.add_argument('--threshold', type=_unit, metavar='T',
                        help='least detector score, 0 to 1 (default: the model\'s own)')
    parser.add_argument('--crops', action='store_true',
                        help='each picture is one face crop: skip detection')
    parser.add_argument('--detector', default=Settings.detector_model,
                        help='detector model (default: %(default)s)')
    parser.add_argument('--attributes', default=Settings.attributes_model,
                        help='attribute model (default: %(default)s)')
    parser.add_argument('--aligned', action='store_true',
                        help='second pass on the aligned crop and its mirror')
    parser.add_argument('--device', default='auto',
                        help='auto, cpu or cuda:N (default: %(default)s)')


def _unit(text):
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def run(args):
    """Analyzes what the arguments name; 1 if a picture could not be read, else 0."""
    analyzer = Analyzer(Settings(
        device=args.device, detector_model=args.detector, attributes_model=args.attributes,
        detector_confidence=_confidence(args.threshold), attributes_aligned=args.aligned))
    paths = list(_pictures(args.paths))
    failed = sum(not _analyze_one(analyzer, path, args) for path in _with_progress(paths))
    return 1 if failed or not paths else 0


def _confidence(threshold):
    # 0 in Settings stands for the model's own threshold; whoever asks for 0 here wants every box.
    return 0. if threshold is None else max(threshold, 1e-6)


def _pictures(paths):
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob('*') if p.suffix.lower() in SUFFIXES)
        else:
            yield path


def _with_progress(paths):
    if len(paths) < 10:
        return paths
    from tqdm import tqdm

    return tqdm(paths, unit='picture', file=sys.stderr)


def _analyze_one(analyzer, path, args):
    try:
        image = read_image(path)
        tracks = (analyzer.crop if args.crops else analyzer)(image)
    except FaceAttributesError as error:
        print(f'face-attributes: {error}', file=sys.stderr)
        return False
    height, width = image.shape[:2]
    if args.json:
        faces = [to_json(track) for track in tracks]
        print(json.dumps({'path': str(path), 'width': width, 'height': height, 'faces': faces}),
              flush=True)
    else:
        _print_table(path, tracks)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(args.out / f'{path.stem}.png'), annotate(image, tracks))
    return True


def _print_table(path: Path, tracks: Sequence[Track]) -> None:
    print(f'{path}: {len(tracks)} face{"" if len(tracks) == 1 else "s"}')
    for track in tracks:
        print('  ' + captions.sentence(track))
