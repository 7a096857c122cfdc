# SPDX-License-Identifier: Apache-2.0
"""Readers of age and gender sets in their standard layouts. Each codes gender in its own way; here
it is P(female).
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.data.packs import read_csv
from face_attributes_ros.training.attributes.data.tables import Sample

UTKFACE_NAME = re.compile(r'(\d+)_([01])_\d+_\d+.*\.jpg')
MORPH_NAME = re.compile(r'(\d+)_\d+([MF])(\d+)\.jpg', re.IGNORECASE)
OLDEST = 100.0
IMDB_COLUMNS = ('full_path', 'dob', 'photo_taken', 'gender', 'face_score', 'second_face_score')


def listed(folder: Path, pattern: str) -> list[Path]:
    """Sorted files below a folder. Raises `DataError` where there are none."""
    found = sorted(Path(folder).rglob(pattern))
    if not found:
        raise DataError(f'{folder} holds no {pattern}')
    return found


def read_utkface(folder: Path, split: str = 'train') -> list[Sample]:
    """UTKFace: `AGE_GENDER_RACE_DATE.jpg.chip.jpg`, gender 0 male, 1 female; the few names with
    missing parts are left out.

    The race in the name is not read: nothing here predicts or reports it.
    """
    if split != 'train':
        return []
    found = [(path, UTKFACE_NAME.fullmatch(path.name)) for path in listed(folder, '*.jpg')]
    return [Sample(str(path), 'utkface', float(match[1]), float(match[1]), float(match[2] == '1'))
            for path, match in found if match]


def read_fairface(folder: Path, split: str = 'train') -> list[Sample]:
    """FairFace: `fairface_label_{train,val}.csv` (file, age '20-29' or 'more than 70', gender
    'Male' or 'Female').
    """
    if split == 'test':
        return []
    folder = Path(folder)
    genders = {'Male': 0.0, 'Female': 1.0}
    return [
        Sample(str(folder / row['file']), 'fairface', *age_range(row['age']),
               genders[row['gender']]) for row in read_csv(folder / f'fairface_label_{split}.csv')
    ]


def age_range(text: str) -> tuple[float, float]:
    """(low, high) years of '20-29' or 'more than 70'."""
    if text.startswith('more than'):
        return float(text.split()[-1]), OLDEST
    low, high = text.split('-')
    return float(low), float(high)


def read_celeba(folder: Path, split: str = 'train') -> list[Sample]:
    """CelebA: `list_attr_celeba.txt` (Male and Smiling, 1 or -1), `list_eval_partition.txt`,
    `img_align_celeba/`.
    """
    folder = Path(folder)
    lines = (folder / 'list_attr_celeba.txt').read_text().splitlines()
    names = lines[1].split()
    male, smiling = names.index('Male'), names.index('Smiling')
    wanted = {'train': '0', 'val': '1', 'test': '2'}[split]
    parts = dict(line.split()
                 for line in (folder / 'list_eval_partition.txt').read_text().splitlines())
    samples = []
    for name, *values in map(str.split, lines[2:]):
        if parts[name] == wanted:
            samples.append(
                Sample(str(folder / 'img_align_celeba' / name), 'celeba',
                       p_female=float(values[male] == '-1'), smile=float(values[smiling] == '1')))
    return samples


def read_adience(folder: Path, split: str = 'train') -> list[Sample]:
    """Adience: `fold_{0..4}_data.txt` and `faces/USER/coarse_tilt_aligned_face.ID.NAME`; fold 4
    tests, fold 3 validates.

    Age is '(25, 32)', a single number or 'None'; gender 'm', 'f', 'u' or empty. People do not
    recur across folds.
    """
    folds = {'train': (0, 1, 2), 'val': (3,), 'test': (4,)}[split]
    samples = []
    for fold in folds:
        header, *lines = (Path(folder) / f'fold_{fold}_data.txt').read_text().splitlines()
        for line in lines:
            row = dict(zip(header.split('\t'), line.split('\t'), strict=False))
            name = f'coarse_tilt_aligned_face.{row["face_id"]}.{row["original_image"]}'
            ages: list[float | None] = [float(age) for age in re.findall(r'\d+', row['age'])]
            ages = ages or [None]
            samples.append(
                Sample(str(Path(folder) / 'faces' / row['user_id'] / name), 'adience', ages[0],
                       ages[-1], {'f': 1.0, 'm': 0.0}.get(row['gender']), group=row['user_id']))
    return samples


def read_imdb_wiki(folder: Path, split: str = 'train') -> list[Sample]:
    """IMDB-WIKI crops: `imdb.mat` or `wiki.mat`; gender 0 female, 1 male, NaN unknown; age from
    the dates of birth and photo.

    Kept are rows with one clear face (score above 1, no second face) and an age from 0 to 100.
    """
    if split != 'train':
        return []
    from scipy.io import loadmat
    path = next((Path(folder) / name
                 for name in ('imdb.mat', 'wiki.mat')
                 if (Path(folder) / name).is_file()), None)
    if path is None:
        raise DataError(f'{folder} holds neither imdb.mat nor wiki.mat')
    meta = loadmat(path, squeeze_me=True)[path.stem]
    columns = [np.atleast_1d(meta[name].item()) for name in IMDB_COLUMNS]
    samples = []
    for name, birth, taken, gender, score, second in zip(*columns, strict=True):
        age = age_at(int(birth), int(taken))
        if np.isfinite(score) and score > 1 and np.isnan(second) and 0 <= age <= OLDEST:
            samples.append(Sample(str(Path(folder) / str(name)), 'imdb_wiki', age, age,
                                  None if np.isnan(gender) else 1.0 - float(gender)))
    return samples


def age_at(birth_datenum: int, year: int) -> float:
    """Whole years on the first of July of a year, from MATLAB's day number of birth."""
    if birth_datenum <= 366:
        return -1.0
    birth = datetime.date.fromordinal(birth_datenum - 366)
    return float(year - birth.year - (birth.month >= 7))


def read_morph(folder: Path, split: str = 'train') -> list[Sample]:
    """MORPH II: `PERSON_NUMBERxAGE.JPG`, x is M or F."""
    if split != 'train':
        return []
    found = [(path, MORPH_NAME.fullmatch(path.name)) for path in listed(folder, '*.[jJ][pP][gG]')]
    return [
        Sample(str(path), 'morph', float(match[3]), float(match[3]),
               float(match[2].upper() == 'F'), group=match[1]) for path, match in found if match
    ]
