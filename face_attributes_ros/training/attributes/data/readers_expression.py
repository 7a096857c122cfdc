# SPDX-License-Identifier: Apache-2.0
"""Readers of expression sets in their standard layouts."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.data.packs import VOTE_COLUMNS, read_csv
from face_attributes_ros.training.attributes.data.readers_people import listed
from face_attributes_ros.training.attributes.data.tables import Sample, one_hot, shares, smile_of

FERPLUS_FOLDERS = {'train': 'FER2013Train', 'val': 'FER2013Valid', 'test': 'FER2013Test'}
FERPLUS_ORDER = ('neutral', 'happiness', 'surprise', 'sadness', 'anger', 'disgust', 'fear',
                 'contempt', 'unknown', 'NF')
FER2013_ORDER = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
FER2013_USAGE = {'train': 'Training', 'val': 'PublicTest', 'test': 'PrivateTest'}
JAFFE_CODES = {
    'NE': 'neutral', 'HA': 'happy', 'SA': 'sad', 'SU': 'surprise', 'FE': 'fear', 'DI': 'disgust',
    'AN': 'angry'
}


def read_ferplus(folder: Path, split: str = 'train') -> list[Sample]:
    """FER+: `FER2013Train/label.csv` (name, box, ten votes; no header) beside the PNGs; votes
    become shares.

    Pictures that most annotators found to show contempt, nothing known or no face are left out.
    """
    folder = Path(folder) / FERPLUS_FOLDERS[split]
    try:
        with open(folder / 'label.csv', newline='', encoding='utf-8') as file:
            rows = list(csv.reader(file))
    except OSError as error:
        raise DataError(f'cannot read {folder / "label.csv"}: {error}') from error
    samples = []
    for name, _, *votes in rows:
        counts = dict(zip(FERPLUS_ORDER, map(float, votes), strict=True))
        ours = [counts[column] for column in VOTE_COLUMNS]
        expression = shares(ours) if sum(ours) * 2 > sum(counts.values()) else None
        if expression is not None:
            samples.append(Sample(str(folder / name), 'ferplus', expression=expression,
                                  smile=smile_of(expression)))
    return samples


def read_fer2013(folder: Path, split: str = 'train') -> list[Sample]:
    """FER2013: `fer2013.csv` (emotion, pixels, Usage). Its pictures are in the table: they are
    unpacked once, beside it.
    """
    folder = Path(folder)
    unpacked = folder / 'unpacked'
    unpacked.mkdir(exist_ok=True)
    samples = []
    for number, row in enumerate(read_csv(folder / 'fer2013.csv')):
        if row['Usage'] == FER2013_USAGE[split]:
            path = unpacked / f'fer{number:07d}.png'
            if not path.is_file():
                cv2.imwrite(str(path), np.array(row['pixels'].split(), np.uint8).reshape(48, 48))
            expression = one_hot(FER2013_ORDER[int(row['emotion'])])
            samples.append(
                Sample(str(path), 'fer2013', expression=expression, smile=smile_of(expression)))
    return samples


def read_jaffe(folder: Path, split: str = 'train') -> list[Sample]:
    """JAFFE: `KA.AN1.39.tiff`, person, expression and number; ten women, so every sample says
    female."""
    if split != 'train':
        return []
    samples = []
    for path in listed(folder, '*.tiff'):
        person, code = path.name.split('.')[:2]
        if code[:2] in JAFFE_CODES:
            expression = one_hot(JAFFE_CODES[code[:2]])
            samples.append(
                Sample(str(path), 'jaffe', p_female=1.0, expression=expression, group=person))
    return samples
