# SPDX-License-Identifier: Apache-2.0
"""How fast the pipeline is, as a ratio against a peer in the same run.

    python bench/speed.py                # one thread, 720p, 1, 4 and 16 faces; writes bench/results/speed.json and PNGs

Every contender runs on the same frame with the same face boxes, in turn, frame by frame, so that a machine that changes
its speed changes it for all. Figures are CPU milliseconds a frame (median, and the middle half of the runs beside it).
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path

for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ.setdefault(name, '1')
ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'bench')]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
import yaml  # noqa: E402
from naive import Naive  # noqa: E402

from face_attributes_ros.faces import Face  # noqa: E402
from face_attributes_ros.models import shipped  # noqa: E402
from face_attributes_ros.pipeline import Settings, build_pipeline  # noqa: E402

OURS = {'onnxruntime_fp32': ('onnxruntime', 'fp32'), 'openvino_fp32': ('openvino', 'fp32'), 'openvino_bf16': ('openvino', 'bf16')}
HEIGHT, WIDTH, FACE_PX = 720, 1280, 140


def frame(seed=0):
    """A smooth picture without faces, so that the number of faces is ours to choose."""
    noise = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def boxes(count):
    """`count` face boxes on a grid."""
    return [(40. + 150 * (i % 8), 60. + 300 * (i // 8), 40. + 150 * (i % 8) + FACE_PX, 60. + 300 * (i // 8) + FACE_PX)
            for i in range(count)]


class Ours:
    """The real pipeline, told which faces to look at once its detector has done its work."""

    def __init__(self, backend, precision, count):
        self.pipeline = build_pipeline(Settings(device='cpu', precision=precision, threads=1, detector_backend=backend,
                                                attributes_backend=backend))
        detect, faces = self.pipeline.detector.detect, [Face(box, .9) for box in boxes(count)]
        self.pipeline.detector.detect = lambda images: [faces for _ in detect(images)]
        self.stamp_s = 0.

    def __call__(self, image):
        self.stamp_s += .033
        return self.pipeline.process({'': (image, self.stamp_s)})


def cpu_ms(call, image):
    start = time.process_time()
    call(image)
    return 1e3 * (time.process_time() - start)


def interleaved(contenders, image, rounds):
    """CPU milliseconds of each contender in each round, taken in turn."""
    for call in contenders.values():
        cpu_ms(call, image), cpu_ms(call, image)
    rows = [{name: cpu_ms(call, image) for name, call in contenders.items()} for _ in range(rounds)]
    return {name: np.array([row[name] for row in rows]) for name in contenders}


def summary(values):
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {'median': round(float(middle), 2), 'low': round(float(low), 2), 'high': round(float(high), 2)}


def gemm_gflops(size=768, repeats=12):
    """What this core does in single precision: the rate of a matrix product, GFLOP/s."""
    a = torch.randn(size, size)
    best = min(_product_s(a) for _ in range(repeats))
    return round(2 * size ** 3 / best / 1e9, 1)


def _product_s(a):
    start = time.perf_counter()
    a @ a
    return time.perf_counter() - start


def machine():
    """What the figures were measured on."""
    model = next((line.split(':')[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name')), platform.machine())
    versions = {name: __import__(name).__version__ for name in ('numpy', 'cv2', 'torch', 'onnxruntime', 'openvino', 'ultralytics')}
    return {'cpu': model, 'cores': os.cpu_count(), 'python': platform.python_version(), 'load': round(os.getloadavg()[0], 1),
            'gemm_fp32_gflops_1t': gemm_gflops(), **versions}


def measure(rounds, counts):
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    image = frame()
    detector = yaml.safe_load((ROOT / 'config' / 'detector_tiny.yaml').read_text())['model']
    naive = Naive(detector, shipped()[Settings.attributes_model].input_px)
    torch.set_num_threads(1)  # predict() sets its own
    report = {'machine': machine(), 'unit': f'CPU ms a frame, {HEIGHT}p, one thread', 'frames': {}, 'stages': {}, 'ratios': {}}
    for count in counts:
        calls = {name: Ours(*how, count) for name, how in OURS.items()}
        looked_at = boxes(count)
        values = interleaved({**calls, 'naive': lambda im: naive(im, looked_at)}, image, rounds)
        report['frames'][f'{HEIGHT}p_{count}faces'] = {name: summary(v) for name, v in values.items()}
        for name in calls:
            precision = name.replace('openvino_bf16', 'bf16').replace('onnxruntime_', '')
            key = f'naive_{precision}_{HEIGHT}p_{count}faces_1t'
            report['ratios'][key] = round(float(np.median(values['naive'] / values[name])), 2)
        report['stages'][f'{count}faces'] = {name: {k: round(v, 2) for k, v in call.pipeline.stage_ms.items()}
                                             for name, call in calls.items()}
    return report


def plot(report, path):
    """CPU milliseconds a frame over the number of faces, for each contender."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    for name in next(iter(report['frames'].values())):
        points = [(int(key.split('_')[1].removesuffix('faces')), row[name]['median']) for key, row in report['frames'].items()]
        axes.plot(*zip(*points), marker='o', label=name.replace('_', ' '))
    axes.set(xlabel='faces in the frame', ylabel='CPU ms a frame (one thread)', title='720p, detector tiny + attributes', ylim=(0, None))
    axes.legend()
    axes.grid(alpha=.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--faces', type=int, nargs='+', default=[1, 4, 16])
    parser.add_argument('--json', type=Path, default=ROOT / 'bench' / 'results' / 'speed.json')
    args = parser.parse_args()
    report = measure(args.rounds, args.faces)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(report, indent=1) + '\n')
    plot(report, args.json.with_name('speed_faces.png'))
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
