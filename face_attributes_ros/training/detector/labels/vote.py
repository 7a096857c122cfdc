# SPDX-License-Identifier: Apache-2.0
"""Let three detectors vote on pictures: the evidence from which labels are made.

    python -m face_attributes_ros.training.detector.labels.vote --pictures DIR --peers PEERS \\
        --out OUT --prefix street

Reads every picture under DIR, writes it to OUT/images/PREFIX_HASH.jpg (longer side at most
`--longest-px`) and a line to OUT/votes.jsonl: the candidates as fractions of the picture, each
with the best score of YuNet, SCRFD and RetinaFace. What is in votes.jsonl is not done again, so
the command can be stopped and repeated; `--known config/training/votes/web.jsonl.xz` takes the
records of an earlier run for the same pictures, and the voters look at the others only. The
pictures are looked at with their longer side at 640 px: the third voter looks where the first two
differ, and where doubt stays all look again at the mirrored picture at 448 px.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import lzma
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.labels.ensemble import (
    DOUBTFUL,
    Votes,
    are_faces,
    gather,
)
from face_attributes_ros.training.detector.peers import load_peers
from face_attributes_ros.training.detector.predict import Detect

Found = tuple[np.ndarray, np.ndarray]  # boxes (N, 4), scores (N,)

VOTERS = ('YuNet-n', 'SCRFD-500M', 'RetinaFace-mnet0.25')
FIRST_PX, SECOND_PX = 640, 448  # longer side of the first look, and of the mirrored second
KINDS = ('.jpg', '.jpeg', '.png')
KEPT = 0.3  # of any voter: weaker candidates are not written down
NOT_ASKED = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
FLIP, UNIT = np.array([-1, 1, -1, 1], np.float32), np.array([1, 0, 1, 0], np.float32)
LEAST_PX = 100  # shorter side; smaller pictures are left out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `labels.vote`."""
    parser.add_argument(
        '--pictures', type=Path, required=True, help='folder, searched with all below it'
    )
    parser.add_argument('--out', type=Path, required=True)
    parser.add_argument(
        '--peers', type=Path, required=True, help='folder with detectors.py and weights'
    )
    parser.add_argument('--prefix', default='', help='short name of the source; none: names stay')
    parser.add_argument('--longest-px', type=int, default=512, help='longer side of the copies')
    parser.add_argument(
        '--marks', type=Path, help='CSV of human marks: picture name, x, y in its pixels'
    )
    parser.add_argument('--known', type=Path, help='votes.jsonl of a run before, or .jsonl.xz')
    parser.add_argument('--limit', type=int, default=0, help='evenly drawn, so many; 0: all')


def run(args: argparse.Namespace) -> int:
    """Votes on every picture that has no line yet; returns the exit status."""
    voters = load_voters(args.peers)
    marks = read_marks(args.marks) if args.marks else {}
    (args.out / 'images').mkdir(parents=True, exist_ok=True)
    done = {record['origin'] for record in read_votes(args.out)}
    known = {record['origin']: record for record in read_known(args.known)} if args.known else {}
    with (args.out / 'votes.jsonl').open('a') as file:
        for path in chosen(args.pictures, args.limit):
            origin = path.relative_to(args.pictures).as_posix()
            if origin not in done:
                record = vote_on(path, voters, args, marks.get(path.name, ()), known.get(origin))
                if record:
                    file.write(json.dumps(record) + '\n')
                    file.flush()
    return 0


def load_voters(peers: Path) -> list[Detect]:
    """The three voters' `detect(image_bgr) -> (boxes, scores)`, in the order of `VOTERS`."""
    found = load_peers(peers)
    return [found[name] for name in VOTERS]


def chosen(folder: Path, limit: int) -> list[Path]:
    """The pictures under `folder`, sorted; evenly drawn where `limit` says so."""
    paths = sorted(path for path in folder.rglob('*') if path.suffix.lower() in KINDS)
    if not paths:
        raise DataError(f'{folder} holds no picture ({", ".join(KINDS)})')
    return paths[:: max(1, len(paths) // limit)] if limit else paths


def vote_on(path: Path, voters: Sequence[Detect], args: argparse.Namespace,
            marks: Iterable[tuple[float, float]] = (),
            known: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The record of one picture, whose copy it writes, or the `known` one where that is of a copy
    of the same name and size; None for an unreadable or very small picture."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None or min(image.shape[:2]) < LEAST_PX:
        return None
    origin, size = path.relative_to(args.pictures).as_posix(), image.shape[1::-1]
    name = f'{args.prefix}_{_short(origin)}' if args.prefix else path.stem
    copy = resized(image, min(args.longest_px, max(size)))
    quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
    cv2.imwrite(str(args.out / 'images' / f'{name}.jpg'), copy, quality)
    if known and (known['name'], known['width'], known['height']) == (name, *copy.shape[1::-1]):
        return known
    votes = look(image, voters)
    votes = Votes(*(part[(votes.scores >= KEPT).any(1)] for part in votes))
    return {
        'name': name,
        'origin': origin,
        'width': copy.shape[1],
        'height': copy.shape[0],
        'boxes': votes.boxes.astype(float).round(5).tolist(),
        'scores': votes.scores.astype(float).round(3).tolist(),
        'marks': [[round(x / size[0], 5), round(y / size[1], 5)] for x, y in marks],
    }


def look(image: np.ndarray, voters: Sequence[Detect]) -> Votes:
    """The `Votes` on a picture, boxes as fractions of it.

    Where the first two voters agree the third is not asked; where there is doubt all three look,
    and look again at the mirrored picture.
    """
    first = _seen(resized(image, FIRST_PX), voters[:2])
    votes = gather([*first, NOT_ASKED])
    if not _doubtful(votes):
        return votes
    first += _seen(resized(image, FIRST_PX), voters[2:])
    if not _doubtful(votes := gather(first)):
        return votes
    second = _seen(resized(image, SECOND_PX)[:, ::-1].copy(), voters)
    mirrored = [(boxes[:, [2, 1, 0, 3]] * FLIP + UNIT, scores) for boxes, scores in second]
    return gather([_joined(*looks) for looks in zip(first, mirrored)])


def _joined(one: Found, other: Found) -> Found:
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]])


def _doubtful(votes: Votes) -> bool:
    return bool(((votes.scores >= DOUBTFUL).any(1) & ~are_faces(votes.scores)).any())


def _seen(image: np.ndarray, voters: Sequence[Detect]) -> list[Found]:
    size = np.array(image.shape[1::-1] * 2, np.float32)
    found = [detect(image) for detect in voters]
    return [
        (np.asarray(boxes, np.float32).reshape(-1, 4) / size, scores) for boxes, scores in found
    ]


def resized(image: np.ndarray, longer_px: int) -> np.ndarray:
    """The picture with its longer side at `longer_px`."""
    factor = longer_px / max(image.shape[:2])
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    return (
        image
        if factor == 1
        else cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)
    )


def read_votes(folder: Path | str) -> list[dict[str, Any]]:
    """The records of `folder`/votes.jsonl, in order; none where there is no such file."""
    path = Path(folder) / 'votes.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def read_known(path: Path) -> list[dict[str, Any]]:
    """The records of a votes.jsonl, compressed or not. Raises `DataError` where it cannot be
    read."""
    try:
        with lzma.open(path, 'rt') if path.suffix == '.xz' else path.open() as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise DataError(f'cannot read {path}: {error}') from error


def votes_of(record: dict[str, Any]) -> tuple[Votes, np.ndarray]:
    """(`Votes` in pixels of the copy, human marks (K, 2) px) of a record."""
    size = np.array([record['width'], record['height']] * 2, np.float32)
    boxes = np.array(record['boxes'], np.float32).reshape(-1, 4) * size
    scores = np.array(record['scores'], np.float32).reshape(-1, len(VOTERS))
    return Votes(boxes, scores), np.array(record['marks'], np.float32).reshape(-1, 2) * size[:2]


def read_marks(path: Path) -> dict[str, list[tuple[float, float]]]:
    """Human marks by picture name: [(x, y), ...] in pixels."""
    marks: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline='') as file:
        for name, x, y in csv.reader(file):
            marks.setdefault(name, []).append((float(x), float(y)))
    return marks


def _short(origin: str) -> str:
    return hashlib.sha1(origin.encode()).hexdigest()[:8]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
