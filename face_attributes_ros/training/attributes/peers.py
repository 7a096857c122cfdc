# SPDX-License-Identifier: Apache-2.0
"""Other people's attribute networks, run through a folder's `attributes.py` for comparison; never
part of the product.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS

FACEAPI_ORDER = ('neutral', 'happy', 'sad', 'angry', 'fear', 'disgust', 'surprise')
FER2013_ORDER = ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')


def in_our_order(probs, order):
    """Columns in the order of EXPRESSIONS."""
    return np.asarray(probs)[:, [order.index(name) for name in EXPRESSIONS]]


def open_peers(folder):
    """The adapters, for a look before anything is measured. Raises `DataError` where they or h5py
    are missing."""
    if importlib.util.find_spec('h5py') is None:
        raise DataError("--peers needs h5py, which reads Keras weights: pip install h5py")
    return load_adapters(folder)


def load_adapters(folder):
    """The module `attributes.py` of the peers' folder."""
    path = Path(folder) / 'attributes.py'
    if not path.is_file():
        raise DataError(
            f'{path} does not exist: --peers needs the folder that holds attributes.py')
    spec = importlib.util.spec_from_file_location('peer_attributes', path)
    module = importlib.util.module_from_spec(spec)
    threads = torch.get_num_threads()
    spec.loader.exec_module(module)
    torch.set_num_threads(threads)
    return module


@torch.no_grad()
def faceapi(adapters, pictures, wanted):
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
def oarriaga(adapters, folder, pictures, wanted, batch=64):
    """Outputs of oarriaga's mini_XCEPTION pair: P(female) and expressions."""
    grey = np.stack(
        [cv2.resize(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (64, 64)) for picture in pictures])
    pixels = (torch.from_numpy(grey)[:, None].float() / 255 - 0.5) * 2
    folder = Path(folder) / 'oarriaga'
    gender = adapters.Keras(str(next(folder.glob('gender_mini_XCEPTION*.hdf5'))))
    expression = adapters.Keras(str(next(folder.glob('fer2013_mini_XCEPTION*.hdf5'))))

    def of(network, head, width):
        found, rows = np.zeros((len(pictures), width), np.float32), np.flatnonzero(wanted[head])
        for start in range(0, len(rows), batch):
            some = rows[start:start + batch]
            found[some] = network(pixels[some]).numpy()
        return found

    expressions = in_our_order(of(expression, 'expression', 7), FER2013_ORDER)
    return {'gender': of(gender, 'gender', 2)[:, 0], 'expression': expressions}


def peer_outputs(adapters, folder, pictures, table):
    """{peer: outputs} over full-size pictures (uint8 BGR)."""
    wanted = {
        'age': ~np.isnan(table.labels['age_low']), 'gender': ~np.isnan(table.labels['p_female']),
        'expression': ~np.isnan(table.labels['expression'][:, 0])
    }
    return {'face-api.js': faceapi(adapters, pictures, wanted),
            'oarriaga mini_XCEPTION': oarriaga(adapters, folder, pictures, wanted)}
