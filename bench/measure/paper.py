# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of the paper's parts on this CPU, one thread: the resize of Algorithm 1 and one
face through each network, in torch's fp32, beside ours on the runtime that ships.

    python -m bench.measure.paper        # writes the entry `speed` of bench/results/paper.json

Weights are random: a convolution takes as long whatever its numbers are. Whole pictures, detector
and all, are timed by `face-attributes report side-by-side --results bench/results/paper.json`.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.rig.machine import about
from face_attributes_ros.build import open_attributes
from face_attributes_ros.paper.all_in_one import INPUT_PX, AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.describe import NETWORKS
from face_attributes_ros.paper.models import COMPACT_M
from face_attributes_ros.paper.pool5 import SvmHead
from face_attributes_ros.paper.preprocessing import bilinear_resize
from face_attributes_ros.paper.stand_ins import FaceResGrid, Lite0Grid
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.paper.vgg_age import VggAgeConfig, VggAgeNet

ROOT = Path(__file__).resolve().parents[2]
REPEATS = 5

MORE: dict[str, tuple[Callable[[], nn.Module], int]] = {
    'all_in_one_quarter': (lambda: AllInOneNet(AllInOneConfig(.25)), INPUT_PX),
    'vgg_age_faceres': (lambda: VggAgeNet(VggAgeConfig(kind='faceres', trunk='faceres')), 224),
    'pool5_lite0': (lambda: with_machine(Lite0Grid()), 224),
    'pool5_faceres': (lambda: with_machine(FaceResGrid()), 224),
}
"""What the tables know besides `describe.NETWORKS`: (network, input side)."""


def with_machine(trunk: Lite0Grid | FaceResGrid) -> nn.Module:
    """A trunk with its support vector machine."""
    return nn.Sequential(trunk, SvmHead(trunk.channels * 7 * 7))


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """The median of `repeats` calls, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def networks() -> dict[str, tuple[Callable[[], nn.Module], int]]:
    """{name: (network, input side)} of everything that is timed in torch."""
    return {name: (make, side) for name, (make, side, _) in NETWORKS.items()} | MORE


def measured() -> dict[str, Any]:
    """The entry: the machine, its load, and milliseconds by name."""
    frame = np.zeros((480, 640, 3), np.uint8)
    found = {**about(), 'threads': 1, 'resize_480x640_to_128x128_ms': median_ms(
        lambda: bilinear_resize(frame, 128, 128), 20)}
    for name, (make, side) in networks().items():
        network, image = make().eval(), torch.zeros(1, 3, side, side)
        with torch.inference_mode():
            found[f'{name}_ms'] = median_ms(partial(network, image), REPEATS)
    ours = open_attributes(COMPACT_M, device='cpu', threads=1)
    crop = np.zeros((1, ours.size_px, ours.size_px, 3), np.uint8)
    found |= {'ours_ms': median_ms(lambda: ours.network(crop), 50),
              'ours_engine': ours.network.description}
    return found


def main() -> None:
    torch.set_num_threads(1)
    found = measured()
    print(found)
    record(ROOT / 'bench' / 'results' / 'paper.json', 'speed', found)


if __name__ == '__main__':
    main()
