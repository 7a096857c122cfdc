# SPDX-License-Identifier: Apache-2.0
"""Pictures without a face that no detector learned from: what the shipped threshold is chosen on
beside val.

    python -m face_attributes_ros.training.detector.labels.vote --pictures DIR --peers PEERS \\
        --out VOTED/held --prefix held
    python -m face_attributes_ros.training.detector.labels.face_free --votes VOTED/held \\
        --set SET --out FACE_FREE
    face-attributes evaluate detector --data PACK --face-free FACE_FREE

Machine-labelled: kept is what all three voters see nothing in, not even with the low scores that
`labels.vote` writes down, or what stands in `--animals` because somebody looked. So it says little
of what fools every detector, and a threshold from it is no stricter than it has to be. Nothing
that resembles a picture of SET (train, val or test) enters. FACE_FREE is a YOLO-format folder with
a val list alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels.assemble import names_in
from face_attributes_ros.training.detector.labels.duplicates import (
    NEAR,
    first_of_each,
    hashes,
    nearest,
)
from face_attributes_ros.training.detector.labels.vote import read_votes

SPLITS = ('train', 'val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `labels.face_free`."""
    parser.add_argument('--votes', type=Path, action='append', required=True,
                        help='folder of labels.vote')
    parser.add_argument('--set', type=Path, action='append', required=True,
                        help='YOLO-format folder that nothing may resemble')
    parser.add_argument('--animals', type=Path,
                        help='names in which the voters saw animals only, one a line')
    parser.add_argument('--out', type=Path, required=True)


def run(args: argparse.Namespace) -> int:
    """Writes the folder and prints what was left out; returns the exit status."""
    animals = names_in(args.animals)
    paths = [path for folder in args.votes for path in without_faces(folder, animals)]
    if not paths:
        raise DataError(f'the voters see a face in every picture of {args.votes}')
    table = np.stack([hashes(cast(np.ndarray, cv2.imread(str(path)))) for path in paths])
    clean = ~resemble(table, held(args.set))
    kept = np.flatnonzero(clean)[first_of_each(table[clean])]
    write([paths[index] for index in kept], args.out)
    print(f'{len(kept)} pictures without a face; {int((~clean).sum())} resemble the set, '
          f'{int(clean.sum()) - len(kept)} each other')
    return 0


def without_faces(folder: Path, animals: set[str]) -> list[Path]:
    """The voted copies in which nobody saw anything, and those named in `animals`."""
    return [folder / 'images' / f'{record["name"]}.jpg' for record in read_votes(folder)
            if not record['boxes'] or record['name'] in animals]


def held(folders: Sequence[Path]) -> np.ndarray:
    """(N, 32) hashes of all pictures of the sets."""
    samples = [sample for folder in folders for split in SPLITS
               if (folder / f'{split}.txt').is_file() for sample in read_samples(folder, split)]
    return np.stack([hashes(sample.image())[0] for sample in samples])


def resemble(table: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) bool: which pictures, hashed as they are and mirrored (N, 2, 32), are near any of
    `others` (M, 32)."""
    near: np.ndarray = np.minimum(nearest(table[:, 0], others), nearest(table[:, 1], others))
    return near <= NEAR


def write(paths: Sequence[Path], out: Path) -> None:
    """A YOLO-format folder whose val is these pictures, with empty labels."""
    for folder in ('images', 'labels'):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for path in paths:
        shutil.copyfile(path, out / 'images' / path.name)
        (out / 'labels' / f'{path.stem}.txt').write_text('')
    (out / 'val.txt').write_text(''.join(f'images/{path.name}\n' for path in paths))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
