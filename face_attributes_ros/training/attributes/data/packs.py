# SPDX-License-Identifier: Apache-2.0
"""Readers of label packs: a `labels.csv` beside zips of JPEGs, larger `<source>_full` packs, and
pictures without faces.

`labels.csv` has one row a picture: path (`source/name`), age, age_min, age_max, gender (0 male, 1
female), expression, smile, yaw, pitch, roll (radians), split, group. `ferplus_votes.csv` and
`landmarks68.npz` beside it add votes and points. A full pack's CSV has path, age_min, age_max,
gender, votes (our expression order, then contempt and unknown).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.data.tables import Sample, one_hot, shares, smile_of
from face_attributes_ros.training.common.yolo import doubtful_names, yolo_boxes

VOTE_COLUMNS = ('neutral', 'happiness', 'sadness', 'surprise', 'fear', 'disgust', 'anger')
"""FER+ names of EXPRESSIONS, in our order."""


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with a header, as dicts. Raises `DataError` where there is no such file."""
    try:
        with open(path, newline='', encoding='utf-8') as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f'cannot read {path}: {error}') from error


def number(text: str | None) -> float | None:
    """The float that a CSV cell holds, or None where it is empty."""
    return float(text) if text not in ('', None) else None


def archived(folder: Path, path: str) -> str:
    """`folder/source.zip!name` for a row's `source/name`."""
    source, name = path.split('/', 1)
    return f'{Path(folder) / source}.zip!{name}'


def read_pack(folder: Path, splits: Sequence[str],
              sources: Sequence[str] | None = None) -> list[Sample]:
    """Samples of `folder/labels.csv` in the named splits (and sources), with votes and points
    where there are any.
    """
    folder = Path(folder)
    votes, points = read_votes(folder / 'ferplus_votes.csv'), read_points(folder /
                                                                          'landmarks68.npz')
    rows = [row for row in read_csv(folder / 'labels.csv')
            if row['split'] in splits and (sources is None or row['source'] in sources)]
    return [
        pack_sample(folder, row, votes.get(row['path']), points.get(row['path'])) for row in rows
    ]


def pack_sample(folder: Path, row: Mapping[str, str], votes: Sequence[float] | None,
                points: np.ndarray | None) -> Sample:
    """The sample of one row of `labels.csv`."""
    expression = shares(votes) if votes else one_hot(
        row['expression']) if row['expression'] else None
    smile = number(row['smile'])
    pose = tuple(float(row[name]) for name in ('yaw', 'pitch', 'roll')) if row['yaw'] else None
    image = archived(folder, row['path'])
    landmarks = None if points is None else points / picture_size(image)
    return Sample(image, row['source'], number(row['age_min']), number(row['age_max']),
                  number(row['gender']), expression,
                  smile_of(expression) if smile is None else smile, pose, landmarks,
                  group=row['group'])


def picture_size(image: str) -> np.ndarray:
    """(width, height) of a stored picture, for points given in its pixels."""
    from face_attributes_ros.training.attributes.data.cache import read_picture
    height, width = read_picture(image).shape[:2]
    return np.array([width, height], np.float32)


def read_votes(path: Path) -> dict[str, list[float]]:
    """{path: seven votes in our order} of a FER+ votes table; empty where there is no file."""
    if not path.is_file():
        return {}
    return {row['path']: [float(row[name]) for name in VOTE_COLUMNS] for row in read_csv(path)}


def read_points(path: Path) -> dict[str, np.ndarray]:
    """{path: (68, 2) pixels} of `landmarks68.npz`; empty where there is no file."""
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return dict(zip(arrays['paths'].tolist(), arrays['points'], strict=True))


def read_full_pack(folder: Path, source: str) -> list[Sample]:
    """Samples of `<source>_full.csv` and its zip."""
    samples = []
    for row in read_csv(Path(folder) / f'{source}_full.csv'):
        votes = [float(vote) for vote in row['votes'].split()][:len(EXPRESSIONS)]
        expression = shares(votes) if votes else None
        samples.append(Sample(archived(folder, row['path']), source, number(row['age_min']),
                              number(row['age_max']),
                              number(row['gender']), expression, smile_of(expression)))
    return samples


LISTED_PACKS = {'effectnet': ('effectnet_more', 0.86), 'lfw': ('lfw_more', 1.0),
                'posed': ('posed_more', 1.0), 'film': ('film_more', 1.0),
                'acted': ('acted_more', 1.0), 'ages': ('ages_more', 1.0)}
"""Packs that carry labels in words: (the pack's name, used part of its pictures' sides)."""


def read_listed_pack(folder: Path, source: str, split: str = 'train') -> list[Sample]:
    """Samples of a pack of `LISTED_PACKS`, with age, gender, expression and group where known; a
    pack without a column `split` is all for training.
    """
    name, part = LISTED_PACKS[source]
    margin = (1 - part) / 2
    box = (margin, margin, 1 - margin, 1 - margin) if margin else None
    rows = [row for row in read_csv(Path(folder) / f'{name}.csv')
            if row.get('split', 'train') == split and not is_film_face(row, source)]
    return [Sample(archived(folder, row['path']), source, number(row.get('age_min')),
                   number(row.get('age_max')), number(row['gender']),
                   one_hot(row['expression']) if row.get('expression') else None,
                   group=row['group'], box_fraction=box) for row in rows]


def read_train(data: Path, full: Path | None, source: str) -> list[Sample]:
    """Samples of a source that may be trained on: its listed or larger pack in `full` where there
    is one, else the train split of `data`. Raises `ParameterError` for a source that only `full`
    has, without it.
    """
    if source in LISTED_PACKS:
        if full is None:
            raise ParameterError(f'source {source} needs --full, the folder of '
                                 f'{LISTED_PACKS[source][0]}.csv')
        return read_listed_pack(full, source)
    if full and (full / f'{source}_full.csv').is_file():
        return read_full_pack(full, source)
    return read_pack(data, ('train',), (source,))


def is_film_face(row: dict[str, str], source: str) -> bool:
    """Whether a row is one of the poor pictures of film faces that were put among LFW."""
    return source == 'lfw' and row['expression'] == 'disgust' and not row['gender']


def read_backgrounds(folder: Path, per_picture: int, seed: int = 0,
                     listing: str = 'train.txt') -> list[Sample]:
    """Faceless squares cut from the pictures that a YOLO-format detection set lists: at most a
    sliver of any face in them.

    `folder` holds `listing`, `images/`, `labels/` and perhaps `manifest.csv`, whose
    `maybe_unlabelled` rows are left out.
    """
    folder, generator = Path(folder), np.random.default_rng(seed)
    names = [Path(line).stem for line in (folder / listing).read_text().split()]
    doubtful = doubtful_names(folder / 'manifest.csv')
    samples = []
    for name in sorted(set(names) - doubtful):
        boxes = yolo_boxes(folder / 'labels' / f'{name}.txt')
        samples += [
            Sample(str(folder / 'images' / f'{name}.jpg'), 'background', face=0.0,
                   box_fraction=box) for box in faceless_boxes(boxes, per_picture, generator)
        ]
    return samples


def faceless_boxes(faces: np.ndarray, count: int, generator: np.random.Generator,
                   tries: int = 8) -> list[tuple[float, ...]]:
    """Up to `count` random squares in fractions of the picture, each covering under a fifth of any
    face."""
    found: list[tuple[float, ...]] = []
    for _ in range(count * tries):
        side = generator.uniform(0.1, 0.5)
        corner = generator.uniform(0, 1 - side, 2)
        box = np.array([*corner, *(corner + side)])
        overlap = np.clip(np.minimum(faces[:, 2:], box[2:]) - np.maximum(faces[:, :2], box[:2]), 0,
                          None).prod(1)
        smaller = np.minimum((faces[:, 2:] - faces[:, :2]).prod(1), side**2)
        if len(found) < count and not (overlap > 0.2 * smaller).any():
            found.append(tuple(box.tolist()))
    return found
