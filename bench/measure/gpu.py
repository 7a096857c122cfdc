# SPDX-License-Identifier: Apache-2.0
"""The device path beside the other ways to a GPU, and beside ultralytics' predict() and a torch
network once a face, on one GPU.

    python -m bench.measure.gpu                     # writes bench/results/gpu_NAME.json
    python -m bench.measure.gpu --device cpu        # does the script run? prints, writes nothing
    make docs                                       # then puts the table into docs/gpu.md

The times of the second mean nothing. Who is not installed (ultralytics, ONNX Runtime's GPU build,
TensorRT) is left out, and the report says why.

A 1280x720 frame and 4 faces, with the architectures of YOLOv3 and of the shipped tiny detector.
The detector's weights are fresh: time does not depend on them, and the faces are put among its
boxes. Everybody runs in turn, frame by frame, and each call ends when its answer is on the host.
The floor is the networks' operations at the rate of this GPU's own half-precision matrix product,
plus the frame's copy up and the result's copy down.
"""

import argparse
import json
import platform
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml

from bench.report.figures import Report
from bench.rig import contenders as rig
from bench.rig.naive import torchvision_stand_in
from face_attributes_ros.boxes import Letterbox, canvas_size
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.device.views import device_views
from face_attributes_ros.engines.choose import WAYS
from face_attributes_ros.engines.machine import look
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.torch import TorchNetwork, open_file
from face_attributes_ros.engines.ultralytics import detection_model, load_ultralytics
from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.networks.yolov3 import build_yolov3
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
Contender = Callable[[np.ndarray], object]
WIDTH, HEIGHT, LONGEST, FACES = 1280, 720, 448, 4
DETECTORS = ('full', 'tiny')
BOXES = [(100. + 280 * i, 200., 260. + 280 * i, 400.) for i in range(FACES)]


def frame() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (18, 32, 3), np.uint8)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def architecture(name: str) -> Any:
    return yaml.safe_load(
        (ROOT / 'config' / 'training' / f'detector_{name}.yaml').read_text())['model']


class Told(torch.nn.Module):
    """A detector whose work is done and whose answer is replaced by the given faces."""

    def __init__(self, detector: torch.nn.Module, device: torch.device) -> None:
        super().__init__()
        letterbox = Letterbox(WIDTH, HEIGHT, *canvas_size(WIDTH, HEIGHT, LONGEST))
        boxes_xyxy = letterbox.to_canvas(np.array(BOXES, np.float32))
        rows = np.column_stack([boxes_xyxy, np.full(FACES, .9, np.float32)])
        self.detector, self.rows = detector, torch.from_numpy(rows).float().to(device)
        self.hidden = torch.tensor([1., 1, 1, 1, 0], device=device)

    def forward(self, canvases: torch.Tensor) -> torch.Tensor:
        told = self.rows.expand(len(canvases), -1, -1)
        return torch.cat([told, self.detector(canvases) * self.hidden], 1)


class Ours:
    """The pipeline on the device path, tracker and records and all."""

    def __init__(self, name: str, device: str) -> None:
        network = TorchNetwork(ContractDetector(build_yolov3(architecture(name))),
                               ('detections',), device)
        model = find_model(Settings.attributes_model, 'attributes')
        looks = open_file(model.torch_weights(), device=device)
        estimator = AttributeEstimator(looks, looks.outputs, size_px=model.input_px,
                                       crop_scale=model.crop_scale)
        detector, view = device_views(FaceDetector(network, imgsz_px=LONGEST), estimator)
        path = detector.path
        path.networks = path.networks._replace(detector=Told(path.networks.detector, path.device))
        self.pipeline, self.path = Pipeline(detector, view), path
        self.about, self.stamp_s = network.description, 0.
        self.pipeline.update(self.pipeline.settings)

    def __call__(self, image: np.ndarray) -> None:
        self.stamp_s += .033
        tracks = self.pipeline.process({'': (image, self.stamp_s)})['']
        assert len(tracks) == FACES and all(track.raw for track in tracks)


class Plain:
    """The shipped networks on another runtime of the same device, the rest on the CPU."""

    def __init__(self, backend: str, device: str) -> None:
        self.ours = rig.Ours(backend, 'auto', 0, device=device)

    def __call__(self, image: np.ndarray) -> None:
        self.ours(image, BOXES)


class Naive:
    """predict() on the frame, then one forward pass for each face, as most people write it; `half`
    asks for fp16 in both."""

    def __init__(self, name: str, device: str, half: bool = False) -> None:
        torchvision_stand_in()
        load_ultralytics()
        from ultralytics import YOLO

        self.device, self.half = torch.device(device), half
        folder = tempfile.TemporaryDirectory(prefix='face_attributes_bench_')
        path = Path(folder.name) / f'yolov3-{name}.yaml'
        path.write_text(yaml.safe_dump(architecture(name)))
        with folder:
            self.yolo: Any = YOLO(str(path), task='detect', verbose=False)
        network = detection_model(architecture(name)).eval()
        network.names = {0: 'face'}
        self.yolo.model = network
        model = find_model(Settings.attributes_model, 'attributes')
        looks = open_file(model.torch_weights(), device, 'fp16' if half else 'fp32')
        self.attributes, self.crop_px = looks.module, model.input_px

    def __call__(self, image: np.ndarray) -> list[list[np.ndarray]]:
        # Nothing is found above .99: the peer's suppression costs it nothing.
        self.yolo.predict(image, imgsz=LONGEST, device=self.device, half=self.half, conf=.99,
                          verbose=False)
        with torch.inference_mode():
            return [self._look(image, box) for box in BOXES]

    def _look(self, image: np.ndarray, box: Sequence[float]) -> list[np.ndarray]:
        x0, y0, x1, y1 = (int(value) for value in box)
        crop = np.ascontiguousarray(cv2.resize(image[y0:y1, x0:x1], (self.crop_px, self.crop_px)))
        heads = self.attributes(torch.from_numpy(crop)[None].to(self.device))
        return [head.cpu().numpy() for head in heads]


def operations(ours: Ours) -> dict[str, int]:
    """Operations (2 for a multiplication and an addition) of the convolutions and linear layers of
    one frame, by part."""
    found = {}
    networks = ours.path.networks
    if networks.attributes is None:
        raise ValueError('operations: the path has no attribute network')
    plan = next(iter(ours.path._plans.values()))
    crops = torch.zeros(FACES, networks.size_px, networks.size_px, 3, device=ours.path.device)
    canvases = plan.draw(plan.frames.to(plan.dtype))
    for part, module, given in (('detector', networks.detector, canvases),
                                ('attributes', networks.attributes, crops)):
        found[part] = _operations(module, given)
    return found


@torch.inference_mode()
def _operations(module: torch.nn.Module, given: torch.Tensor) -> int:
    total = 0

    def count(layer: Any, _: object, output: torch.Tensor) -> None:
        nonlocal total
        total += 2 * layer.weight.numel() * output.shape[0] * output.shape[2:].numel()

    hooks = [layer.register_forward_hook(count) for layer in module.modules()
             if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    module(given)
    for hook in hooks:
        hook.remove()
    return total


def waited(device: str) -> None:
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize(device)


def best_s(work: Callable[[], object], device: str, repeats: int = 20) -> float:
    """The shortest of several runs, the device waited for before and after."""
    found = []
    for _ in range(repeats):
        waited(device)
        start = time.perf_counter()
        work()
        waited(device)
        found.append(time.perf_counter() - start)
    return min(found)


def floor(ours: Ours, device: str) -> dict[str, float]:
    """What physics asks for: operations at the measured rate of a matrix product, and the two
    copies, in ms."""
    on_gpu = torch.device(device).type == 'cuda'
    size, kind = (8192, torch.float16) if on_gpu else (512, torch.float32)
    a = torch.randn(size, size, device=device, dtype=kind)
    rate = 2 * size ** 3 / best_s(lambda: a @ a, device)
    up = torch.empty(HEIGHT * WIDTH * 3, dtype=torch.uint8, pin_memory=on_gpu)
    there = torch.empty_like(up, device=device)
    packed = next(iter(ours.path._plans.values())).host
    down = torch.empty(packed.shape, pin_memory=on_gpu)
    result = torch.empty_like(down, device=device)
    work = operations(ours)
    found = {
        'rate_tflops': rate / 1e12, 'gflop': sum(work.values()) / 1e9,
        'compute_ms': 1e3 * sum(work.values()) / rate,
        'copy_up_ms': 1e3 * best_s(lambda: there.copy_(up, non_blocking=True), device),
        'copy_down_ms': 1e3 * best_s(lambda: down.copy_(result, non_blocking=True), device)
    }
    found['floor_ms'] = found['compute_ms'] + found['copy_up_ms'] + found['copy_down_ms']
    return {name: round(value, 4) for name, value in found.items()}


def interleaved(contenders: Mapping[str, Callable[[np.ndarray], object]], image: np.ndarray,
                rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds by the clock of each contender in each round, taken in turn: {name: {median,
    low, high}}."""
    rows: dict[str, list[float]] = {name: [] for name in contenders}
    for call in contenders.values():
        for _ in range(3):
            call(image)
    for _ in range(rounds):
        for name, call in contenders.items():
            start = time.perf_counter()
            call(image)
            rows[name].append(1e3 * (time.perf_counter() - start))
    return {name: _middle_half(values) for name, values in rows.items()}


def _middle_half(values: Sequence[float]) -> dict[str, float]:
    low, median, high = np.percentile(values, [25, 50, 75]).round(3).tolist()
    return {'low': low, 'median': median, 'high': high}


def measure(device: str, detectors: Sequence[str], rounds: int) -> Report:
    image = frame()
    report: Report = {
        'device': device_name(device), 'torch': torch.__version__, 'cuda': torch.version.cuda,
        'python': platform.python_version(), 'frame': [WIDTH, HEIGHT], 'faces': FACES,
        'detectors': {}
    }
    if torch.device(device).type != 'cuda':
        report['smoke_test'] = 'run on a CPU: says that the script runs, and nothing about speed'
    for name in detectors:
        ours = Ours(name, device)
        contenders, skipped = others(name, device)
        contenders = {'ours': ours, **contenders}
        times = interleaved(contenders, image, rounds)
        limits = floor(ours, device)
        ratios = {f'{peer}_over_ours': round(some['median'] / times['ours']['median'], 2)
                  for peer, some in times.items() if peer != 'ours'}
        ratios['ours_over_floor'] = round(times['ours']['median'] / limits['floor_ms'], 2)
        stages = {stage: round(value, 3) for stage, value in ours.pipeline.stage_ms.items()}
        report['detectors'][name] = {
            'engine': ours.about, 'ms': times, 'floor': limits, 'ratios': ratios,
            'ours_stages_ms': stages, 'skipped': skipped
        }
    # What the node would take here, and how far its half precision is from fp32.
    report['auto'] = {key: value for key, value in build_pipeline(Settings(
        device=device, auto_cache=False)).description.items() if key != 'memory'}
    return report


def others(name: str, device: str) -> tuple[dict[str, Contender], dict[str, str]]:
    """Whom the device path is measured beside, and who cannot be, with the reason."""
    on_gpu = torch.device(device).type == 'cuda'
    able: dict[str, Contender] = {}
    skipped: dict[str, str] = {}
    if find_spec('ultralytics') is None:
        skipped['naive'] = 'ultralytics is not installed'
    else:
        able['naive'] = Naive(name, device)
        if on_gpu:
            able['naive_half'] = Naive(name, device, half=True)
    machine = look(sure=on_gpu)
    for way in WAYS if name == 'tiny' else ():  # the other ways run the files that ship
        if way.kind == ('cuda' if on_gpu else 'cpu') and way.backend != 'torch':
            reason = way.lacks(machine, 0)
            try:
                able |= {} if reason else {way.backend: Plain(way.backend, device)}
            except FaceAttributesError as error:
                reason = str(error)
            skipped |= {way.backend: reason} if reason else {}
    return able, skipped


def device_name(device: str) -> str:
    on_gpu = torch.device(device).type == 'cuda'
    return torch.cuda.get_device_name(device) if on_gpu else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--device', default='cuda:0')
    parser.add_argument('--detectors', nargs='+', choices=DETECTORS, default=list(DETECTORS))
    parser.add_argument('--rounds', type=int, default=200)
    parser.add_argument('--json', type=Path,
                        help='by default bench/results/gpu_NAME.json for a GPU, nothing for a CPU')
    args = parser.parse_args()
    report = measure(args.device, args.detectors, args.rounds)
    name = re.sub(r'[^a-z0-9]+', '_', report['device'].lower()).strip('_')
    path = args.json or (None if 'smoke_test' in report else ROOT / 'bench' / 'results' /
                         f'gpu_{name}.json')
    if path:
        path.write_text(json.dumps(report, indent=1) + '\n')
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
