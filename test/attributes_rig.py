# SPDX-License-Identifier: Apache-2.0
"""A tiny label pack of drawn faces, made anew in each test's folder."""

import csv
import zipfile

import cv2
import numpy as np

COLUMNS = ('path', 'age', 'gender', 'expression', 'source', 'split', 'age_min', 'age_max', 'smile',
           'yaw', 'pitch', 'roll', 'group', 'fold', 'orig')

TINY_CONFIG = """
network: {stem: 8, stages: [[8, 1], [16, 1], [16, 2]], adapter: 8, reduced: 8, shared: 16,
          deep: 8, deep_fc: 16, grid: 2}
shares: {utkface: 0.3, fairface: 0.2, ferplus: 0.2, genki4k: 0.2, ytf68: 0.1}
sizes: [[0.0, 16], [0.5, 32]]
batch: 10
cache_px: 32
warmup_steps: 3
"""


def face(number, size=32):
    """A picture (size, size, 3) that depends on a number."""
    rng = np.random.default_rng(number)
    picture = np.full((size, size, 3), 60 + 10 * (number % 10), np.uint8)
    cv2.circle(picture, (size // 2, size // 2), size // 3, rng.integers(0, 255, 3).tolist(), -1)
    return picture


def jpeg(picture):
    return cv2.imencode('.jpg', picture)[1].tobytes()


def labels_of(source, number):
    """Label columns of the faces of one source."""
    if source == 'utkface':
        return {
            'age': 20 + number, 'age_min': 20 + number, 'age_max': 20 + number,
            'gender': number % 2
        }
    if source == 'fairface':
        return {'age_min': 20, 'age_max': 29, 'gender': number % 2}
    if source == 'ferplus':
        return {'expression': ('happy', 'sad', 'neutral', 'angry')[number % 4]}
    if source == 'genki4k':
        return {
            'smile': number % 2, 'yaw': 0.1 * (number % 3), 'pitch': -0.05, 'roll': 0.02 * number
        }
    return {}


def make_pack(folder, per_split=6):
    """Writes labels.csv, zips, votes and points of five sources; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, points = [], {}
    for source in ('utkface', 'fairface', 'ferplus', 'genki4k', 'ytf68'):
        with zipfile.ZipFile(folder / f'{source}.zip', 'w') as pack:
            for number in range(3 * per_split):
                split = ('train', 'val', 'test')[number // per_split]
                name = f'{source}{number}.jpg'
                pack.writestr(name, jpeg(face(number)))
                row = {'path': f'{source}/{name}', 'source': source, 'split': split,
                       'group': f'{source}{number}'}
                rows.append(row | labels_of(source, number))
                if source == 'ytf68':
                    points[row['path']] = np.random.default_rng(number).uniform(8, 24, (68, 2))
    with open(folder / 'labels.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, restval='')
        writer.writeheader()
        writer.writerows(rows)
    np.savez(folder / 'landmarks68.npz', paths=np.array(list(points)),
             points=np.array(list(points.values()), np.float32))
    return folder
