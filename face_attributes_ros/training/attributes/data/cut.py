# SPDX-License-Identifier: Apache-2.0
"""Squares around faces, cut out of pictures and stored as a pack that `packs.read_listed_pack`
reads.

    python -m face_attributes_ros.training.attributes.data.cut --pictures DIR --list LIST.csv \\
        --out FULL/posed_more --held-out DATA

LIST.csv has the columns file (below DIR), expression, gender (0 male, 1 female), group, split
(train or val), age_min and age_max (years), of which all but the first may be empty or missing;
without a list every picture below DIR is taken for training. Writes `FULL/posed_more.csv` and
`FULL/posed_more.zip`. DATA is a pack with `labels.csv`: what is nearly one of its pictures outside
train is left out, and so is what is nearly one of this pack's own val; without it only equal
squares are.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS, Face
from face_attributes_ros.pictures.folders import is_picture
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import archived, read_csv
from face_attributes_ros.training.detector.labels.duplicates import hashes

COLUMNS = 'path', 'gender', 'expression', 'group', 'split', 'age_min', 'age_max'
SIDE_PX = 112
QUALITY = 92
BOX_SCALE, GIVEN_SCALE = 1.1, 1.12
"""Side of the square over the longer side of a found box, and of a picture that is cut already."""
LEAST_SCORE = 0.5
LEAST_GIVEN_PX = 44
RETRY_BORDER = 0.25
"""Border, in longer sides, with which a picture in which no face is found is looked at again."""
HASH_SCALES = 1.0, 0.8
NEAR = 40
"""Of 256 bits; unrelated pictures lie some 128 apart."""
_BLOCK = 2048

Detect = Callable[[np.ndarray], Sequence[Face]]


@dataclass(frozen=True)
class Listed:
    """A picture to cut a face from, as LIST.csv names it; '' where there is no label."""

    file: str
    expression: str = ''
    gender: str = ''
    group: str = ''
    split: str = 'train'
    age_min: str = ''
    age_max: str = ''


@dataclass(frozen=True)
class Cut:
    """A stored square: its name in the pack, the JPEG, and (2 scales, 2, 32) uint8 hashes, plain
    and mirrored."""

    name: str
    listed: Listed
    jpeg: bytes
    bits: np.ndarray


def read_list(path: Path) -> list[Listed]:
    """The rows of LIST.csv. Raises `DataError` on a label or split that no pack may hold."""
    rows = [Listed(row['file'], row.get('expression') or '', row.get('gender') or '',
                   row.get('group') or '', row.get('split') or 'train',
                   row.get('age_min') or '', row.get('age_max') or '') for row in read_csv(path)]
    for row in rows:
        if row.expression not in ('', *EXPRESSIONS):
            raise DataError(f'{path}: {row.file}: expression {row.expression!r} is not one of '
                            f'{", ".join(EXPRESSIONS)}')
        if row.gender not in ('', '0', '1'):
            raise DataError(f'{path}: {row.file}: gender {row.gender!r} is neither 0 nor 1')
        if row.split not in ('train', 'val'):
            raise DataError(f'{path}: {row.file}: split {row.split!r} is neither train nor val')
    return rows


def list_of_folder(folder: Path) -> list[Listed]:
    """Every picture below a folder, without labels, for training."""
    return [Listed(str(path.relative_to(folder))) for path in sorted(folder.rglob('*'))
            if path.is_file() and is_picture(path)]


def square(picture: np.ndarray, box_xyxy: Sequence[float], scale: float) -> np.ndarray:
    """The square of `scale` times the longer side of a box in pixels about its centre; what lies
    outside the picture repeats its edge.
    """
    x0, y0, x1, y1 = box_xyxy
    side = max(round(max(x1 - x0, y1 - y0) * scale), 1)
    left, top = round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2)
    columns = np.clip(np.arange(left, left + side), 0, picture.shape[1] - 1)
    rows = np.clip(np.arange(top, top + side), 0, picture.shape[0] - 1)
    return picture[rows[:, None], columns[None]]


def face_square(picture: np.ndarray, detect: Detect,
                least_score: float = LEAST_SCORE) -> np.ndarray | None:
    """The square around the largest face, or None where none scores as much; a picture without
    one is looked at again with a border that repeats its edge.
    """
    border = round(max(picture.shape[:2]) * RETRY_BORDER)
    for framed in (picture, _framed(picture, border)):
        boxes = [face.box_xyxy for face in detect(framed) if face.score >= least_score]
        if boxes:
            return square(framed, max(boxes, key=_longer), BOX_SCALE)
    return None


def given_square(picture: np.ndarray, least_px: int = LEAST_GIVEN_PX) -> np.ndarray | None:
    """The whole of a picture that is a face already, made square; None where its shorter side is
    under `least_px`.
    """
    height, width = picture.shape[:2]
    if min(height, width) < least_px:
        return None
    return square(picture, (0, 0, width, height), GIVEN_SCALE)


def _framed(picture: np.ndarray, border: int) -> np.ndarray:
    return cv2.copyMakeBorder(picture, border, border, border, border, cv2.BORDER_REPLICATE)


def _longer(box_xyxy: Sequence[float]) -> float:
    x0, y0, x1, y1 = box_xyxy
    return max(x1 - x0, y1 - y0)


def to_jpeg(crop: np.ndarray, side_px: int = SIDE_PX) -> bytes:
    """A square as a JPEG, `side_px` and less on a side."""
    if len(crop) > side_px:
        crop = cv2.resize(crop, (side_px, side_px), interpolation=cv2.INTER_AREA)
    _, stored = cv2.imencode('.jpg', crop, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return stored.tobytes()


def crop_hashes(crop: np.ndarray) -> np.ndarray:
    """(2 scales, 2, 32) uint8: the hashes of a square and of its middle, plain and mirrored."""
    side = min(crop.shape[:2])
    found = []
    for scale in HASH_SCALES:
        edge = round(side * (1 - scale) / 2)
        found.append(hashes(crop[edge:len(crop) - edge, edge:crop.shape[1] - edge]))
    return np.stack(found)


def near_any(some: np.ndarray, others: np.ndarray, near: int = NEAR) -> np.ndarray:
    """(N,) bool: which of N `crop_hashes` lie within `near` bits of any of M others, at any scale,
    mirrored or not.
    """
    found = np.zeros(len(some), bool)
    if not len(some) or not len(others):
        return found
    theirs = _signs(others[:, :, 0].reshape(-1, some.shape[-1])).T
    each = some[0, ..., 0].size
    ours = some.reshape(-1, some.shape[-1])
    for at in range(0, len(ours), _BLOCK):
        products = _signs(ours[at:at + _BLOCK]) @ theirs
        rows = np.flatnonzero(products.max(1) >= len(theirs) - 2 * near) + at
        found[rows // each] = True
    return found


def _signs(packed: np.ndarray) -> np.ndarray:
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def held_out_hashes(data: Path) -> np.ndarray:
    """(M, 2, 2, 32) hashes of the pictures of `DATA/labels.csv` that are not for training."""
    images = [archived(data, row['path']) for row in read_csv(data / 'labels.csv')
              if row['split'] != 'train']
    return _stacked(crop_hashes(read_picture(image)) for image in images)


def _stacked(some: Iterable[np.ndarray]) -> np.ndarray:
    return np.array([*some], np.uint8).reshape(-1, len(HASH_SCALES), 2, 32)


def cut_all(folder: Path, rows: Sequence[Listed],
            cutter: Callable[[np.ndarray], np.ndarray | None]) -> tuple[list[Cut], Counter[str]]:
    """The squares of all listed pictures, and how many were left out by reason: `unread`, `no
    face`, or `same`, the bytes of one before.

    A square is named after the folder its picture lies in first, below `folder`, and its bytes.
    """
    cuts: dict[str, Cut] = {}
    left = Counter[str]()
    for row in rows:
        try:
            picture = read_picture(str(folder / row.file))
        except DataError:
            left['unread'] += 1
            continue
        crop = cutter(picture)
        if crop is None:
            left['no face'] += 1
            continue
        jpeg = to_jpeg(crop)
        key = hashlib.sha256(jpeg).hexdigest()[:16]
        if key in cuts:
            left['same'] += 1
            continue
        source = Path(row.file).parts[0] if len(Path(row.file).parts) > 1 else folder.name
        cuts[key] = Cut(f'{source}_{key}.jpg', row, jpeg, crop_hashes(crop))
    return list(cuts.values()), left


def without_near(cuts: Sequence[Cut], held_out: np.ndarray, near: int = NEAR) -> list[Cut]:
    """The squares that are nearly none of `held_out`, and for training only those that are nearly
    none of the squares for val.
    """
    away = ~near_any(_stacked(cut.bits for cut in cuts), held_out, near)
    kept = [cut for cut, keep in zip(cuts, away) if keep]
    val = [cut for cut in kept if cut.listed.split == 'val']
    train = [cut for cut in kept if cut.listed.split == 'train']
    close = near_any(_stacked(cut.bits for cut in train), _stacked(cut.bits for cut in val), near)
    return val + [cut for cut, drop in zip(train, close) if not drop]


def write_pack(out: Path, cuts: Sequence[Cut]) -> None:
    """Writes `out.csv` and `out.zip` (stored, not deflated)."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out.with_name(f'{out.name}.zip'), 'w', zipfile.ZIP_STORED) as pack:
        for cut in cuts:
            pack.writestr(cut.name, cut.jpeg)
    with open(out.with_name(f'{out.name}.csv'), 'w', newline='', encoding='utf-8') as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows((f'{out.name}/{cut.name}', cut.listed.gender, cut.listed.expression,
                         cut.listed.group, cut.listed.split, cut.listed.age_min,
                         cut.listed.age_max) for cut in cuts)


def open_detect(name: str = 'detector_tiny', threads: int = 1) -> Detect:
    """A shipped detector on the CPU."""
    model = find_model(name, 'detector')
    network = open_network(model.path, device='cpu', threads=threads)
    return FaceDetector(network, imgsz_px=model.input_px, threshold=LEAST_SCORE)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `data.cut`."""
    parser.add_argument('--pictures', type=Path, required=True, help='folder of the pictures')
    parser.add_argument('--list', type=Path, help='their labels; without, every picture')
    parser.add_argument('--out', type=Path, required=True, help='the pack, without .csv or .zip')
    parser.add_argument('--held-out', type=Path,
                        help='folder with labels.csv; nothing like its val, test and so on')
    parser.add_argument('--cut-already', action='store_true',
                        help='the pictures are faces: no detector, squares of all of each')
    parser.add_argument('--model', default='detector_tiny', help='the detector')
    parser.add_argument('--threads', type=int, default=1, help='its threads')


def run(args: argparse.Namespace) -> int:
    """Cuts, compares, writes and prints what was left out; returns the exit status."""
    rows = read_list(args.list) if args.list else list_of_folder(args.pictures)
    if args.cut_already:
        cuts, left = cut_all(args.pictures, rows, given_square)
    else:
        detect = open_detect(args.model, args.threads)
        cuts, left = cut_all(args.pictures, rows, lambda picture: face_square(picture, detect))
    if args.held_out:
        kept = without_near(cuts, held_out_hashes(args.held_out))
        left['nearly held out'] = len(cuts) - len(kept)
        cuts = kept
    write_pack(args.out, cuts)
    print(f'{len(cuts)} squares of {len(rows)} pictures; left out: '
          + (', '.join(f'{reason} {count}' for reason, count in left.items()) or 'none'))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the module; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == '__main__':
    sys.exit(main())
