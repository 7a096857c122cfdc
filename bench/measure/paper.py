# SPDX-License-Identifier: Apache-2.0
"""Milliseconds of the paper's parts on this CPU, one thread: the resize of Algorithm 1 and one
face through each network.

    python -m bench.measure.paper        # writes the entry `speed` of bench/results/paper.json

Weights are random: a convolution takes as long whatever its numbers are.
"""

import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from face_attributes_ros.paper.describe import NETWORKS
from face_attributes_ros.paper.preprocessing import bilinear_resize
from face_attributes_ros.paper.training.results import record

ROOT = Path(__file__).resolve().parents[2]


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """The median of `repeats` calls, after one that warms up."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def main() -> None:
    torch.set_num_threads(1)
    frame = np.zeros((480, 640, 3), np.uint8)
    found = {
        'cpu': platform.processor() or platform.machine(), 'threads': 1,
        'resize_480x640_to_128x128_ms': median_ms(lambda: bilinear_resize(frame, 128, 128), 20)
    }
    for name, (make, side, _) in NETWORKS.items():
        network, image = make().eval(), torch.zeros(1, 3, side, side)
        with torch.inference_mode():
            found[f'{name}_ms'] = median_ms(partial(network, image), 5)
    print(found)
    record(ROOT / 'bench' / 'results' / 'paper.json', 'speed', found)


if __name__ == '__main__':
    main()
