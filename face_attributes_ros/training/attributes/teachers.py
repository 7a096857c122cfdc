# SPDX-License-Identifier: Apache-2.0
"""What another network says about the expression of every training face, mixed with the labels.

The teacher is face-api.js's expression network (MIT), run through `attributes.py` of the peers'
folder. Its age network was taught on UTKFace and is never asked. Answers are the mean of a crop's
and its mirror image's, and are kept on disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.training.attributes.calibration import with_temperature
from face_attributes_ros.training.attributes.data.cache import cache_key
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.peers import (
    FACEAPI_ORDER,
    in_our_order,
    load_adapters,
)
from face_attributes_ros.training.attributes.probe import taught_people
from face_attributes_ros.training.attributes.scores import known

FACEAPI_PX = 112
FACEAPI_MEAN_RGB = (122.782, 117.001, 104.298)

LABEL_SHARES = {'ferplus': 0.7, 'effectnet': 0.5, 'lfw': 0.3}
"""How much of a face's target `expression` is its label, by source; the rest is the teacher."""

TAUGHT_LABEL_SHARES = {'effectnet': 0.35}
"""The same of the target `expression_taught`."""

TAUGHT_TEMPERATURE = 2.0
"""The teacher is surer than it is right: `expression_taught` has its logits divided by this."""


class FaceApi(torch.nn.Module):
    """face-api.js's expression network on pixels of `faceapi_pixels`; its own order."""

    def __init__(self, adapters: ModuleType):
        super().__init__()
        self.network, self.run = adapters.FA('face_expression_model'), adapters.expr_net

    def forward(self, pixels: Tensor) -> Tensor:
        return self.run(self.network, pixels)


def faceapi_pixels(crops: np.ndarray) -> Tensor:
    """(B, 3, 112, 112) as face-api.js wants them from uint8 BGR crops (B, S, S, 3)."""
    pixels = torch.from_numpy(np.ascontiguousarray(crops[..., ::-1])).permute(0, 3, 1, 2).float()
    pixels = F.interpolate(pixels, (FACEAPI_PX, FACEAPI_PX), mode='bilinear', antialias=True)
    return (pixels - torch.tensor(FACEAPI_MEAN_RGB).view(1, 3, 1, 1)) / 255


def exported(adapters: ModuleType, folder: str) -> Path:
    """An ONNX file of `FaceApi` in a folder: a runtime is four times as fast as the adapter."""
    path = Path(folder) / 'faceapi_expression.onnx'
    axes, example = {0: 'batch'}, torch.zeros(2, 3, FACEAPI_PX, FACEAPI_PX)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the tracer warns of paddings: the size is fixed
        torch.onnx.export(FaceApi(adapters), (example,), str(path), opset_version=17,
                          input_names=['pixels'], output_names=['expression'],
                          dynamic_axes={'pixels': axes, 'expression': axes}, dynamo=False)
    return path


@torch.no_grad()
def faceapi_expressions(adapters: ModuleType, crops: np.ndarray, batch: int = 64) -> np.ndarray:
    """(N, 7) probabilities in our order, the mean over each crop and its mirror image."""
    parts, threads = [], torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        network = open_network(exported(adapters, folder), device='cpu', threads=threads)
        for start in range(0, len(crops), batch):
            pixels = faceapi_pixels(np.array(crops[start:start + batch]))
            looks = [np.array(network(look.numpy())[0]) for look in (pixels, pixels.flip(3))]
            parts.append((looks[0] + looks[1]) / 2)
    return in_our_order(np.concatenate(parts), FACEAPI_ORDER).astype(np.float32)


def taught_expressions(peers: Path, table: LabelTable, crops: np.ndarray,
                       folder: Path) -> np.ndarray:
    """`faceapi_expressions` of a table's crops, out of `folder`; made on the first call."""
    path = Path(folder) / f'faceapi_{cache_key(table, crops.shape[1])}.npy'
    if not path.is_file():
        found = faceapi_expressions(load_adapters(peers), crops)
        part = path.with_name(f'{path.stem}.part{os.getpid()}.npy')
        np.save(part, found)
        os.replace(part, path)
    return np.load(path)


def with_teacher(table: LabelTable, taught: np.ndarray) -> LabelTable:
    """The table with a target for each expression head, NaN where there is none.

    `expression` is a mix of label and teacher on every face, `expression_votes` FER+ votes alone,
    `expression_taught` the teacher as `leaning` has it, with a part of effectnet's labels.
    """
    label = table.labels['expression']
    votes = known(label) & (table.sources == 'ferplus')
    soft = leaning(table, taught)
    targets = {'expression': mixed(table, taught, LABEL_SHARES),
               'expression_votes': np.where(votes[:, None], label, np.nan),
               'expression_taught': mixed(table, soft, TAUGHT_LABEL_SHARES)}
    labels = table.labels | {name: target.astype(np.float32) for name, target in targets.items()}
    return LabelTable(table.images, table.sources, table.groups, table.boxes, labels)


def leaning(table: LabelTable, taught: np.ndarray) -> np.ndarray:
    """The teacher with its logits divided by a temperature and moved, both halfway to what fits
    effectnet's labels best: it says neutral too often, and is surer than it is right.

    Without effectnet only the temperature 2.
    """
    rows = (table.sources == 'effectnet') & known(table.labels['expression'])
    if not rows.any():
        return with_temperature(taught, TAUGHT_TEMPERATURE)
    scale, bias = balanced_fit(taught[rows], table.labels['expression'][rows])
    logits = np.log(np.clip(taught, 1e-4, 1)) * (1 + scale) / 2 + bias / 2
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def balanced_fit(probs: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """(scale, bias (7,)) of log probabilities that predict shares best, every class alike."""
    logits, shares = torch.from_numpy(probs).clamp(min=1e-4).log(), torch.from_numpy(target)
    weights = shares @ (1 / shares.sum(0).clamp(min=1))
    scale, bias = torch.ones(1, requires_grad=True), torch.zeros(7, requires_grad=True)
    optimizer = torch.optim.LBFGS([scale, bias], max_iter=80)

    def loss() -> Tensor:
        optimizer.zero_grad()
        lost = -(shares * F.log_softmax(logits * scale + bias, 1)).sum(1)
        total = (lost * weights).sum() / weights.sum()
        total.backward()
        return total

    optimizer.step(loss)
    return float(scale.detach()), bias.detach().numpy()


def add_teacher_arguments(parser: argparse.ArgumentParser) -> None:
    """The folders and files that teachers come from."""
    parser.add_argument('--peers', type=Path,
                        help='folder of attributes.py: its face-api.js teaches expressions')
    parser.add_argument('--people-teacher', type=Path,
                        help='faceres.safetensors: what it sees teaches ages and genders')


def taught_table(peers: Path | None, faceres: Path | None, table: LabelTable, crops: np.ndarray,
                 folder: Path) -> LabelTable:
    """The table with the targets of those teachers that there are."""
    if faceres:
        table = with_people(table, *taught_people(faceres, table, crops, folder))
    if peers:
        table = with_teacher(table, taught_expressions(peers, table, crops, folder))
    return table


def with_people(table: LabelTable, ages: np.ndarray, female: np.ndarray) -> LabelTable:
    """The table with `age_taught` (N, 101) and `gender_taught` (N,), NaN without a face."""
    faces = table.labels['face'] == 1
    labels = table.labels | {'age_taught': np.where(faces[:, None], ages, np.nan),
                             'gender_taught': np.where(faces, female, np.nan)}
    labels = {name: column.astype(np.float32) for name, column in labels.items()}
    return LabelTable(table.images, table.sources, table.groups, table.boxes, labels)


def mixed(table: LabelTable, taught: np.ndarray, by_source: dict[str, float]) -> np.ndarray:
    """(N, 7) a source's share of the label and the rest of the teacher; NaN without a face."""
    label, share = table.labels['expression'], np.zeros((len(table), 1), np.float32)
    for source, value in by_source.items():
        share[(table.sources == source) & known(label)] = value
    target = np.nan_to_num(label) * share + taught * (1 - share)
    return np.where(table.labels['face'][:, None] == 1, target, np.nan)
