# SPDX-License-Identifier: Apache-2.0
"""Other people's attribute networks, run through a folder's `attributes.py` for comparison; never
part of the product.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.data.readers_expression import FER2013_ORDER
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.common.adapters import load_module

FACEAPI_ORDER = ('neutral', 'happy', 'sad', 'angry', 'fear', 'disgust', 'surprise')


def in_our_order(probs: np.ndarray, order: Sequence[str]) -> np.ndarray:
    """Columns in the order of EXPRESSIONS."""
    return np.asarray(probs)[:, [order.index(name) for name in EXPRESSIONS]]


def open_peers(folder: Path) -> ModuleType:
    """The adapters, for a look before anything is measured. Raises `DataError` where they or h5py
    are missing."""
    if importlib.util.find_spec('h5py') is None:
        raise DataError("--peers needs h5py, which reads Keras weights: pip install h5py")
    return load_adapters(folder)


def load_adapters(folder: Path) -> ModuleType:
    """The module `attributes.py` of the peers' folder."""
    return load_module(folder, 'attributes')


@torch.no_grad()
def faceapi(adapters: ModuleType, pictures: Sequence[np.ndarray],
            wanted: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of face-api.js: years, P(female), expressions; only for the rows in `wanted[head]`,
    zero elsewhere.
    """
    ages, female, expressions = (np.zeros((len(pictures), *width), np.float32)
                                 for width in ((), (), (7, )))
    age_gender, expression = adapters.FA('age_gender_model'), adapters.FA('face_expression_model')
    for row, picture in enumerate(pictures):
        pixels = adapters.prep(picture)
        if wanted['age'][row] or wanted['gender'][row]:
            ages[row], gender = adapters.ag_net(age_gender, pixels)
            female[row] = float(gender[0, 1])
        if wanted['expression'][row]:
            expressions[row] = adapters.expr_net(expression, pixels)[0].numpy()
    return {
        'age_years': ages, 'gender': female,
        'expression': in_our_order(expressions, FACEAPI_ORDER)
    }


@torch.no_grad()
def oarriaga(adapters: ModuleType, folder: Path, pictures: Sequence[np.ndarray],
             wanted: dict[str, np.ndarray], batch: int = 64) -> dict[str, np.ndarray]:
    """Outputs of oarriaga's mini_XCEPTION pair: P(female) and expressions."""
    grey = np.stack(
        [cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (64, 64)) for picture in pictures])
    pixels = (torch.from_numpy(grey)[:, None].float() / 255 - 0.5) * 2
    folder = Path(folder) / 'oarriaga'
    gender = adapters.Keras(str(next(folder.glob('gender_mini_XCEPTION*.hdf5'))))
    expression = adapters.Keras(str(next(folder.glob('fer2013_mini_XCEPTION*.hdf5'))))

    def of(network: Callable[[torch.Tensor], torch.Tensor], head: str, width: int) -> np.ndarray:
        found, rows = np.zeros((len(pictures), width), np.float32), np.flatnonzero(wanted[head])
        for start in range(0, len(rows), batch):
            some = rows[start:start + batch]
            found[some] = network(pixels[some]).numpy()
        return found

    expressions = in_our_order(of(expression, 'expression', 7), FER2013_ORDER)
    return {'gender': of(gender, 'gender', 2)[:, 0], 'expression': expressions}


def peer_outputs(adapters: ModuleType, folder: Path, pictures: Sequence[np.ndarray],
                 table: LabelTable) -> dict[str, dict[str, np.ndarray]]:
    """{peer: outputs} over full-size pictures (uint8 BGR)."""
    wanted = {
        'age': ~np.isnan(table.labels['age_low']), 'gender': ~np.isnan(table.labels['p_female']),
        'expression': ~np.isnan(table.labels['expression'][:, 0])
    }
    return {'face-api.js': faceapi(adapters, pictures, wanted),
            'oarriaga mini_XCEPTION': oarriaga(adapters, folder, pictures, wanted)}
