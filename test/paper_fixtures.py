# SPDX-License-Identifier: Apache-2.0
"""What the tests of the paper's systems share: random weights small enough to write, packs of
drawn pictures."""

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np
import torch

from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.networks.compact import CompactConfig
from face_attributes_ros.paper.all_in_one import AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.pool5 import SvmHead, new_trunk
from face_attributes_ros.paper.vgg_age import VggAgeConfig, VggAgeNet
from face_attributes_ros.training.attributes.data.readers_expression import JAFFE_CODES
from face_attributes_ros.training.common.checkpoint import save_tensors

TINY = 1 / 32
TINY_COMPACT = CompactConfig(stem=4, stages=((4, 1), (4, 1), (4, 1)), adapter=4, reduced=4,
                             shared=4, deep=4, deep_fc=4)


def write_paper_weights(folder):
    """Random weights of each of the paper's networks, tiny, as `attributes.model` finds them in
    `folder`."""
    folder = Path(folder)
    torch.manual_seed(0)
    network = AllInOneNet(AllInOneConfig(TINY))
    save_tensors(folder / 'all_in_one.safetensors', network.state_dict(),
                 {'system': 'all_in_one', 'network': network.config.to_dict(), 'crop_scale': 1.2})
    network = VggAgeNet(VggAgeConfig(TINY))
    save_tensors(
        folder / 'vgg_age.safetensors', network.state_dict(),
        {'system': 'vgg_age', 'network': network.config.to_dict(), 'convolutions': 'of the user'})
    trunk = new_trunk('compact', TINY_COMPACT.to_dict())
    head = SvmHead(4 * 6 * 6)
    head.coefficients.normal_()
    tensors = {f'trunk.{name}': value for name, value in trunk.state_dict().items()}
    tensors |= {f'head.{name}': value for name, value in head.state_dict().items()}
    save_tensors(folder / 'pool5_svm.safetensors', tensors,
                 {'system': 'pool5_svm', 'trunk': 'compact', 'network': TINY_COMPACT.to_dict()})
    return folder


def picture(seed, side=48):
    """A drawn picture (side, side, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side // 8, side // 8, 3),
                                                np.uint8).repeat(8, 0).repeat(8, 1)


def jpeg(image):
    """The picture as JPEG bytes."""
    return cv2.imencode('.jpg', image)[1].tobytes()


def write_pack(folder, faces=12):
    """A pack of `utkface` (age, gender) and `ytf68` (points) pictures, as `read_pack` reads it."""
    folder = Path(folder)
    columns = ('path', 'gender', 'expression', 'source', 'split', 'age_min', 'age_max', 'smile',
               'yaw', 'pitch', 'roll', 'group')
    rows, points = [], np.random.default_rng(0).uniform(8, 40, (faces, 68, 2))
    for source in ('utkface', 'ytf68'):
        with zipfile.ZipFile(folder / f'{source}.zip', 'w') as archive:
            for i in range(faces):
                archive.writestr(f'{i}.jpg', jpeg(picture(i)))
                age = (i * 9) % 100 if source == 'utkface' else ''
                rows.append({
                    'path': f'{source}/{i}.jpg', 'source': source, 'split': 'train',
                    'group': f'{source}{i}', 'age_min': age, 'age_max': age,
                    'gender': i % 2 if source == 'utkface' else ''
                })
    with open(folder / 'labels.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, columns, restval='')
        writer.writeheader()
        writer.writerows(rows + [dict(row, split='val') for row in rows])
    np.savez(folder / 'landmarks68.npz', paths=np.array([f'ytf68/{i}.jpg' for i in range(faces)]),
             points=points)
    return folder


def write_regions(folder, pictures=4):
    """A YOLO-format detection set of drawn pictures with one face each."""
    folder = Path(folder)
    for name in ('images', 'labels'):
        (folder / name).mkdir(parents=True)
    for i in range(pictures):
        cv2.imwrite(str(folder / 'images' / f'p{i}.jpg'), picture(i, 96))
        (folder / 'labels' / f'p{i}.txt').write_text('0 0.5 0.5 0.4 0.4\n')
    for split in ('train', 'val'):
        (folder / f'{split}.txt').write_text(''.join(
            f'images/p{i}.jpg\n' for i in range(pictures)))
    return folder


def write_jaffe(path, persons=('KA', 'KL', 'KM', 'NA'), each=3):
    """A zip named as JAFFE names its pictures: a drawn mark tells the expression, the background
    the person."""
    codes = {expression: code for code, expression in JAFFE_CODES.items()}
    with zipfile.ZipFile(path, 'w') as archive:
        for p, person in enumerate(persons):
            for e, expression in enumerate(EXPRESSIONS):
                for n in range(each):
                    image = np.full((64, 64, 3), 40 + 12 * p + n, np.uint8)
                    cv2.circle(image, (32, 32), 6 + 3 * e, (220, 220, 220), -1)
                    archive.writestr(f'{person}.{codes[expression]}{n + 1}.{e}.jpg', jpeg(image))
    return path
