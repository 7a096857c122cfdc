# SPDX-License-Identifier: Apache-2.0
"""Put a training set for the detector together: one framing, no near-duplicates of what judges it.

    python -m face_attributes_ros.training.detector.labels.assemble --human PACK --votes VOTED \\
        --machine EXTRA_1 --machine EXTRA_2 --voted street --voted web \\
        --framing jol:3,kag:2 --out SET

PACK is a YOLO-format folder with human boxes (train, val and test lists), VOTED the folder under
which `labels.vote` wrote a folder for each source: `human` for PACK, `EXTRA_1`'s own name for a
machine-labelled pack, and those named by `--voted`. SET becomes a YOLO-format folder for
`face-attributes train detector`, with PACK's val and test; its report.json holds every source's
framing, counts, and what was left out as a near-duplicate.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from face_attributes_ros.training.detector.data import read_samples
from face_attributes_ros.training.detector.labels.duplicates import (
    NEAR,
    first_of_each,
    hashes,
    nearest,
)
from face_attributes_ros.training.detector.labels.framing import Framing
from face_attributes_ros.training.detector.labels.sources import (
    Labelled,
    human_pictures,
    machine_pictures,
    voted_pictures,
)

HELD_OUT = ('val', 'test')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `labels.assemble`."""
    parser.add_argument(
        '--human', type=Path, required=True, help='YOLO-format folder with human boxes'
    )
    parser.add_argument(
        '--votes', type=Path, required=True, help='folder of the folders of labels.vote'
    )
    parser.add_argument(
        '--machine', type=Path, action='append', default=[], help='machine-labelled YOLO folder'
    )
    parser.add_argument(
        '--voted', action='append', default=[], help='name of a folder under --votes to label'
    )
    parser.add_argument(
        '--framing', required=True, help='human sources whose mean framing all get: jol:3,kag:2'
    )
    parser.add_argument(
        '--most-empty', type=int, default=600, help='pictures without a face of one voted folder'
    )
    parser.add_argument(
        '--without', type=Path, help='names to leave out, one a line: doubtful ones'
    )
    parser.add_argument(
        '--animals', type=Path, help='names whose labels are all animals: no faces'
    )
    parser.add_argument('--out', type=Path, required=True)


def run(args: argparse.Namespace) -> int:
    """Writes the set and its report; returns the exit status."""
    pictures, framings = gather(args)
    unwanted, animals = names_in(args.without), names_in(args.animals)
    pictures = [
        without_faces(picture) if picture.name in animals else picture
        for picture in pictures
        if picture.name not in unwanted
    ]
    kept, near = without_duplicates(pictures, args.human)
    write_set(args.out, kept, args.human)
    report = {
        'framing': args.framing,
        'framings': {name: list(framing) for name, framing in framings.items()},
        'left out by eye': len(unwanted),
        'found to be animals by eye': len(animals),
        'left out as near-duplicates': near,
        'sources': counts(kept),
    }
    (args.out / 'report.json').write_text(json.dumps(report, indent=1) + '\n')
    print(json.dumps(report, indent=1))
    return 0


def names_in(path: Path | None) -> set[str]:
    """The picture names in a text file; none without a file."""
    return set(path.read_text().split()) if path else set()


def without_faces(picture: Labelled) -> Labelled:
    """The picture as one without a face: what the voters took for a face is to be told from it."""
    return picture._replace(faces=picture.faces[:0])


def gather(args: argparse.Namespace) -> tuple[list[Labelled], dict[str, Framing]]:
    """All pictures in one framing, human ones first, and the framing of each source and `all`."""
    pictures, framings, wanted = human_pictures(args.human, args.votes / 'human', args.framing)
    for folder in args.machine:
        more, framings[folder.name] = machine_pictures(folder, args.votes / folder.name, wanted)
        pictures += more
    for name in args.voted:
        voted = list(voted_pictures(args.votes / name, wanted))
        empty = [picture for picture in voted if not len(picture.faces)]
        pictures += [picture for picture in voted if len(picture.faces)] + empty[: args.most_empty]
    return pictures, framings | {'all': wanted}


def without_duplicates(pictures: Sequence[Labelled],
                       held_out_root: Path) -> tuple[list[Labelled], dict[str, int]]:
    """The pictures that resemble neither a held-out one nor an earlier one, and how many went for
    either reason.
    """
    held_out = [s.image() for split in HELD_OUT for s in read_samples(held_out_root, split)]
    forbidden = np.stack([hashes(image)[0] for image in held_out])
    table = np.stack([hashes(cast(np.ndarray, cv2.imread(str(picture.path))))
                      for picture in pictures])
    leaks = np.minimum(nearest(table[:, 0], forbidden), nearest(table[:, 1], forbidden)) <= NEAR
    clean = np.flatnonzero(~leaks)
    first = first_of_each(table[clean])
    return [pictures[index] for index in clean[first]], {
        'held out': int(leaks.sum()),
        'earlier': int((~first).sum()),
    }


def write_set(out: Path, pictures: Sequence[Labelled], human: Path) -> None:
    """The YOLO-format folder: pictures, labels, ignore, lists and manifest; val and test copied
    from `human`.
    """
    for folder in ('images', 'labels', 'ignore'):
        (out / folder).mkdir(parents=True, exist_ok=True)
    with (out / 'manifest.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['name', 'source', 'boxes', 'ignore_boxes', 'maybe_unlabelled'])
        for picture in pictures:
            shutil.copyfile(picture.path, out / 'images' / _file(picture))
            _write_boxes(out / 'labels' / f'{picture.name}.txt', picture.faces)
            _write_boxes(out / 'ignore' / f'{picture.name}.txt', picture.ignore)
            writer.writerow(
                [picture.name, picture.source, len(picture.faces), len(picture.ignore), 0]
            )
    (out / 'train.txt').write_text(''.join(f'images/{_file(picture)}\n' for picture in pictures))
    for split in HELD_OUT:
        shutil.copyfile(human / f'{split}.txt', out / f'{split}.txt')
        for sample in read_samples(human, split):
            shutil.copyfile(sample.path, out / 'images' / sample.path.name)
            _write_boxes(out / 'labels' / f'{sample.name}.txt', sample.boxes)
            _write_boxes(out / 'ignore' / f'{sample.name}.txt', sample.ignore)


def _file(picture: Labelled) -> str:
    return picture.name + picture.path.suffix


def _write_boxes(path: Path, boxes: np.ndarray) -> None:
    middles, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    rows = np.concatenate([middles, sizes], 1)
    path.write_text(
        ''.join('0 ' + ' '.join(f'{value:.6f}' for value in row) + '\n' for row in rows)
    )


def counts(pictures: Sequence[Labelled]) -> dict[str, dict[str, int]]:
    """Pictures, faces, regions to ignore and pictures without a face, by source."""
    table: dict[str, Counter[str]] = {}
    for picture in pictures:
        row = table.setdefault(picture.source, Counter(pictures=0, faces=0, ignore=0, empty=0))
        row.update(
            pictures=1,
            faces=len(picture.faces),
            ignore=len(picture.ignore),
            empty=not len(picture.faces),
        )
    return {
        source: {key: int(value) for key, value in row.items()} for source, row in table.items()
    }


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    add_arguments(parser)
    sys.exit(run(parser.parse_args()))
