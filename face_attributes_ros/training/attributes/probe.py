# SPDX-License-Identifier: Apache-2.0
"""A teacher of age and gender: what FaceRes sees, read by a small network fitted here.

FaceRes (VGGFace2) stays as it is. Crops are enlarged to the size at which it still knows faces,
and a hidden layer on its 1024 numbers learns ages and genders from the labelled faces, in folds:
a face is answered by those that did not learn from it, so that the answers are honest ones.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.networks.compact import AGE_BINS
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet
from face_attributes_ros.training.attributes.data.cache import cache_key
from face_attributes_ros.training.attributes.data.tables import LabelTable
from face_attributes_ros.training.attributes.faceres import load_faceres
from face_attributes_ros.training.attributes.losses import age_loss, binary_loss
from face_attributes_ros.training.attributes.scores import known
from face_attributes_ros.training.common.precision import bf16_is_native

SIZE_PX = 176
FOLDS = 5
_LABELS = ('age_low', 'age_high', 'p_female')


class Enlarged(nn.Module):
    """The mean of FaceRes's last map (B, 1024) from uint8 BGR crops (B, S, S, 3)."""

    def __init__(self, network: MobileNet, size_px: int):
        super().__init__()
        self.body, self.size_px = network.body, size_px

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).float() * (2 / 255) - 1
        enlarged = F.interpolate(pixels, (self.size_px, self.size_px), mode='bilinear')
        return self.body(enlarged).mean((2, 3))


def features(faceres: Path, crops: np.ndarray, size_px: int = SIZE_PX,
             batch: int = 16) -> np.ndarray:
    """(N, 1024) float16 of all crops, on the runtime that `auto` takes; in bf16 where that is
    native, which is three times as fast."""
    network, side = MobileNet(MobileConfig()), crops.shape[1]
    load_faceres(network, faceres)
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    with exported(Enlarged(network, size_px), example) as run:
        parts = [run(np.array(crops[start:start + batch])).astype(np.float16)
                 for start in range(0, len(crops), batch)]
    return np.concatenate(parts)


@contextmanager
def exported(network: nn.Module, example: Tensor,
             half: bool = True) -> Iterator[Callable[[np.ndarray], np.ndarray]]:
    """A network of one output as a function of batches like `example`, on the runtime that `auto`
    takes; with `half` in bf16 where that is native."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'features.onnx'
        with warnings.catch_warnings():      # of sizes that become constants, as they should
            warnings.simplefilter('ignore')
            torch.onnx.export(network.eval(), (example,), str(path),
                              opset_version=17, dynamo=False, input_names=['image'],
                              output_names=['features'],
                              dynamic_axes={'image': {0: 'batch'}, 'features': {0: 'batch'}})
        native = bf16_is_native(torch.device('cpu')) and find_spec('openvino')
        run = open_network(path, device='cpu', threads=torch.get_num_threads(),
                           precision=('bf16' if native else 'auto') if half else 'fp32')
        yield lambda batch: np.array(run(batch)[0])


@dataclass
class Reader:
    """A fitted network on features: `Reader(...)(features)` gives (N, 101) ages and (N,) women."""

    network: nn.Module
    mean: Tensor
    spread: Tensor

    @torch.no_grad()
    def __call__(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raw = self.network.eval()((torch.from_numpy(features).float() - self.mean) / self.spread)
        return raw[:, :AGE_BINS].softmax(1).numpy(), raw[:, AGE_BINS].sigmoid().numpy()


def fitted(features: np.ndarray, labels: dict[str, np.ndarray], passes: int = 12, seed: int = 0,
           batch: int = 256) -> Reader:
    """A `Reader` taught on features (N, 1024) and `age_low`, `age_high`, `p_female`."""
    torch.manual_seed(seed)
    inputs = torch.from_numpy(features).float()
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-2
    inputs = (inputs - mean) / spread
    low, high, female = (torch.from_numpy(labels[name]) for name in _LABELS)
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(inputs.shape[1], 512), nn.ReLU(),
                            nn.Dropout(0.5), nn.Linear(512, AGE_BINS + 1))
    steps = max(1, passes * len(inputs) // batch)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(0, len(inputs), (batch,))
        raw = network(inputs[rows])
        loss = age_loss(raw[:, :AGE_BINS], low[rows], high[rows])
        loss = loss + binary_loss(raw[:, AGE_BINS:], female[rows], 0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Reader(network, mean, spread)


def out_of_fold(found: np.ndarray, table: LabelTable, folds: int = FOLDS,
                passes: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """((N, 101), (N,)) answers for every row, of readers that did not learn from it."""
    taught = np.flatnonzero(known(table.labels['age_low']) & known(table.labels['p_female']))
    fold = np.full(len(table), -1)
    fold[taught] = np.random.default_rng(0).permutation(len(taught)) % folds
    ages, female = np.zeros((len(table), AGE_BINS), np.float32), np.zeros(len(table), np.float32)
    for number in range(folds):
        learned = taught[fold[taught] != number]
        labels = {name: table.labels[name][learned] for name in _LABELS}
        reader = fitted(found[learned], labels, passes, number)
        for rows, share in ((fold == number, 1.0), (fold == -1, 1 / folds)):
            some_ages, some_female = reader(found[rows])
            ages[rows] += share * some_ages
            female[rows] += share * some_female
    return ages, female


def taught_people(faceres: Path, table: LabelTable, crops: np.ndarray,
                  folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """`out_of_fold` answers for a table's crops, out of `folder`; made on the first call."""
    path = Path(folder) / f'faceres_people_{cache_key(table, crops.shape[1])}.npz'
    if not path.is_file():
        ages, female = out_of_fold(features(faceres, crops), table)
        part = path.with_name(f'{path.stem}.part{os.getpid()}.npz')
        np.savez(part, ages=ages, female=female)
        os.replace(part, path)
    with np.load(path) as arrays:
        return arrays['ages'], arrays['female']
