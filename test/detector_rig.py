# SPDX-License-Identifier: Apache-2.0
"""A detector small enough for tests, a folder of drawn faces to train it on, and the demo's
photographs."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

MICRO = {
    'nc': 1,
    'reg_max': 4,
    'depth_multiple': 1.0,
    'width_multiple': 1.0,
    'backbone': [
        [-1, 1, 'Conv', [8, 3, 2]],
        [-1, 1, 'Conv', [16, 3, 2]],
        [-1, 1, 'Conv', [16, 3, 2]],
        [-1, 1, 'Conv', [16, 3, 2]],
    ],
    'head': [[[2, 3], 1, 'Detect', ['nc']]],
}
TRAIN = {
    'batch': 2,
    'sizes_px': [64, 96],
    'calm_sizes_px': [64],
    'calm_share': 0.2,
    'learning_rate': 0.005,
    'final_learning_rate_share': 0.1,
    'warmup_steps': 5,
    'weight_decay': 0.0,
    'ema_decay': 0.9,
    'clip_gradient': 10.0,
    'precision': 'fp32',
    'input_px': 64,
}
AUGMENT = {
    'mosaic': 0.3,
    'composite': 0.2,
    'low_light': 0.0,
    'motion_blur': 0.0,
    'jpeg': 0.0,
    'resample': 0.0,
    'mosaic_counts': [4, 9],
    'crowd': 0.1,
    'distant': 0.1,
    'occlusion': 0.2,
}


def photographs():
    """Those of the package ultralytics, which is not imported; none where it is not installed."""
    spec = find_spec('ultralytics')
    folder = Path(spec.origin).parent / 'assets' if spec else Path('nowhere')
    return [cv2.imread(str(path)) for path in sorted(folder.glob('*.jpg'))]


def ultralytics_engine():
    """The file that imports ultralytics, which it has done; a skip where that is not installed."""
    if find_spec('ultralytics') is None:
        pytest.skip('ultralytics is not installed')
    from face_attributes_ros.engines import ultralytics
    ultralytics.load_ultralytics()
    return ultralytics


def draw_face(image, centre, radius):
    """A face-like disc with eyes and mouth; returns its box (4,) xyxy px."""
    x, y = centre
    cv2.circle(image, (x, y), radius, (150, 190, 230), -1)
    for side in (-1, 1):
        cv2.circle(
            image, (x + side * radius // 3, y - radius // 4), max(1, radius // 6), (30, 30, 30), -1
        )
    cv2.line(
        image,
        (x - radius // 3, y + radius // 2),
        (x + radius // 3, y + radius // 2),
        (40, 40, 160),
        2,
    )
    return [x - radius, y - radius, x + radius, y + radius]


def write_yolo_folder(root, count=4, width=96, height=64, seed=0):
    """A YOLO-format folder: `count` pictures of one drawn face each and one without, for train,
    val and test.
    """
    rng = np.random.default_rng(seed)
    for folder in ('images', 'labels', 'ignore'):
        (root / folder).mkdir(parents=True)
    for split in ('train', 'val', 'test'):
        names = [f'{split}_{index}' for index in range(count + 1)]
        for index, name in enumerate(names):
            image = rng.integers(60, 120, (height, width, 3), dtype=np.uint8)
            rows = ''
            if index:
                radius = int(rng.integers(9, 16))
                x, y = (
                    int(rng.integers(radius, width - radius)),
                    int(rng.integers(radius, height - radius)),
                )
                draw_face(image, (x, y), radius)
                rows = f'0 {x / width} {y / height} {2 * radius / width} {2 * radius / height}\n'
            cv2.imwrite(str(root / 'images' / f'{name}.png'), image)
            (root / 'labels' / f'{name}.txt').write_text(rows)
        (root / f'{split}.txt').write_text('\n'.join(f'images/{name}.png' for name in names))
    return root


def write_config(path, **train):
    """The micro detector's YAML; keywords replace entries of its `train` table."""
    path.write_text(yaml.safe_dump({'model': MICRO, 'train': TRAIN | train, 'augment': AUGMENT}))
    return path
