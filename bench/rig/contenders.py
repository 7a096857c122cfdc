# SPDX-License-Identifier: Apache-2.0
"""Who runs in the benchmark: ours in each runtime and precision, and three peers.

A contender is called with a frame (H, W, 3) BGR and the boxes of its faces; it finds faces in the
frame, looks at those boxes, so that all do the same work, and keeps in `found` how many faces it
found itself.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from bench.rig.frames import Boxes
from bench.rig.machine import not_offered
from bench.rig.naive import Naive, attribute_network, detector_network
from face_attributes_ros.boxes import canvas_size
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.engines.choose import WAYS
from face_attributes_ros.engines.machine import look
from face_attributes_ros.engines.models import shipped
from face_attributes_ros.errors import FaceAttributesError, ModelError
from face_attributes_ros.faces import Face, Track
from face_attributes_ros.pipeline import Detector
from face_attributes_ros.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
OURS = [(backend, precision)
        for precision in ('fp32', 'bf16', 'int8')
        for backend in ('onnxruntime', 'openvino')]


class Contender(Protocol):
    """What all of them are."""

    about: dict[str, str]

    @property
    def found(self) -> int:
        """How many faces it found in the last frame."""
        ...

    def __call__(self, image: np.ndarray, boxes: Boxes, /) -> object:
        """Looks at the boxes of a frame."""
        ...


class Told:
    """A detector whose work is done and whose answer is replaced by the `boxes` it was told;
    `found` is how many faces it would have given."""

    def __init__(self, detector: Detector) -> None:
        self._detector, self.own, self.watch = detector, detector.own, detector.watch
        self.boxes: Boxes = []
        self.found = 0

    def detect(self, images_bgr: Sequence[np.ndarray], settings: Settings, *,
               looks_follow: bool = True) -> list[list[Face]]:
        """The boxes as faces, for each image."""
        found = self._detector.detect(images_bgr, settings, looks_follow=looks_follow)
        self.found = len(found[0])
        return [[Face(box, .9) for box in self.boxes] for _ in found]


class Ours:
    """The real pipeline, told which faces to look at once its detector has done its work."""

    def __init__(self, backend: str, precision: str, threads: int,
                 detector: str = 'detector_tiny', device: str = 'cpu') -> None:
        self.pipeline = build_pipeline(
            Settings(device=device, precision=precision, threads=threads, detector_model=detector,
                     detector_backend=backend, attributes_backend=backend))
        finds: Any = self.pipeline.detector
        looks: Any = self.pipeline.estimator
        self.networks: dict[str, Any] = {detector: finds.network,
                                         Settings.attributes_model: looks.network}
        self.watches = (self.pipeline.watch, finds.watch, looks.watch)
        self._told = Told(finds)
        self.pipeline.detector = self._told
        self.about = {
            key: value
            for key, value in self.pipeline.description.items()
            if key.endswith('engine')
        }
        self.stamp_s = 0.

    @property
    def found(self) -> int:
        """How many faces the detector found in the last frame."""
        return self._told.found

    def __call__(self, image: np.ndarray, boxes: Boxes) -> list[Track]:
        self.stamp_s, self._told.boxes = self.stamp_s + .033, boxes
        return self.pipeline.process({'': (image, self.stamp_s)})['']


class Strong:
    """What somebody who cares for speed builds from the same parts: ultralytics' AutoBackend on
    OpenVINO in a fixed shape, its letterbox and suppression, and the folded attribute network,
    channels last, on all faces at once in torch."""

    def __init__(self, threads: int, detector: str = 'detector_tiny',
                 image: tuple[int, int] = (1280, 720)) -> None:
        from ultralytics import YOLO
        from ultralytics.data.augment import LetterBox
        from ultralytics.nn.autobackend import AutoBackend
        from ultralytics.utils import nms, ops

        model = shipped()[detector]
        self.confidence, imgsz = model.thresholds['score'], canvas_size(*image,
                                                                        model.input_px)[::-1]
        self.threads, self.imgsz = threads, imgsz
        self._nms, self._ops = nms.non_max_suppression, ops
        yolo: Any = YOLO(str(detector_network(detector)[1]), task='detect', verbose=False)
        yolo.model = detector_network(detector)[0]
        yolo.model.args = {'imgsz': model.input_px, 'data': ''}  # the exporter wants a dictionary
        self._folder = tempfile.TemporaryDirectory(prefix='face_attributes_bench_')
        yolo.model.pt_path = yolo.ckpt_path = str(Path(self._folder.name) / 'strong.pt')
        exported = yolo.export(format='openvino', imgsz=list(imgsz), device='cpu', verbose=False)
        torch.set_num_threads(threads)
        self.backend = AutoBackend(exported, device=torch.device('cpu'), verbose=False)
        self.letterbox: Any = LetterBox(imgsz, auto=False)
        self.attributes, self.crop_px = attribute_network(fold=True).to(
            memory_format=torch.channels_last), _crop_px()
        self.found = 0
        self.about = {'detector_engine': 'ultralytics AutoBackend, openvino',
                      'attributes_engine': 'torch, one batch'}

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, boxes: Boxes) -> dict[str, np.ndarray]:
        self._detect(image)
        if not boxes:
            return {}
        crops = np.stack([
            cv2.resize(image[int(y0):int(y1), int(x0):int(x1)], (self.crop_px, self.crop_px))
            for x0, y0, x1, y1 in boxes
        ])
        batch = torch.from_numpy(crops).flip(3).permute(0, 3, 1, 2).float().mul_(2 / 255).sub_(1)
        return {name: head.numpy() for name, head in self.attributes(batch).items()}

    def _detect(self, image: np.ndarray) -> None:
        pixels = np.ascontiguousarray(self.letterbox(image=image)[..., ::-1].transpose(2, 0, 1))
        rows = self.backend(torch.from_numpy(pixels)[None].float() / 255)
        kept = self._nms(rows, self.confidence, .45)[0]
        self._ops.scale_boxes(self.imgsz, kept[:, :4], image.shape)
        self.found = len(kept)


class YunetFaceApi:
    """OpenCV's YuNet at our detector's scale, and face-api.js's age, gender and expression
    networks once a face."""

    def __init__(self, folder: Path, width: int = 448) -> None:
        from face_attributes_ros.training.attributes.peers import load_adapters

        self._adapters = load_adapters(folder)
        self.detector = cv2.FaceDetectorYN.create(
            str(Path(folder) / 'yunet' / 'yunet_n_dynamic.onnx'), '', (320, 320), .5, .45)
        self.age_gender, self.expression = self._adapters.FA(
            'age_gender_model'), self._adapters.FA('face_expression_model')
        self.width, self.found = width, 0
        self.about = {
            'detector_engine': f'cv2.FaceDetectorYN, {width} px wide',
            'attributes_engine': 'face-api.js networks in torch'
        }

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, boxes: Boxes) -> list[tuple[Any, ...]]:
        small = cv2.resize(image,
                           (self.width, round(image.shape[0] * self.width / image.shape[1])))
        self.detector.setInputSize(small.shape[1::-1])
        faces = self.detector.detect(small)[1]
        self.found = 0 if faces is None else len(faces)
        return [self._look(image[int(y0):int(y1), int(x0):int(x1)]) for x0, y0, x1, y1 in boxes]

    def _look(self, crop: np.ndarray) -> tuple[Any, ...]:
        pixels = self._adapters.prep(crop)
        return (*self._adapters.ag_net(self.age_gender, pixels),
                self._adapters.expr_net(self.expression, pixels))


def _crop_px() -> int:
    return shipped()[Settings.attributes_model].input_px


def ours(threads: int, detector: str = 'detector_tiny') -> tuple[dict[str, Ours], dict[str, str]]:
    """Ours by name, and the reason by name for those that cannot run here."""
    able: dict[str, Ours] = {}
    skipped: dict[str, str] = {}
    for backend, precision in OURS:
        name = f'{backend}_{precision}'
        reason = not_offered(precision)
        if reason is None:
            try:
                able[name] = _in_precision(backend, precision, threads, detector)
                continue
            except FaceAttributesError as error:
                reason = without_paths(error)
        skipped[name] = reason
    return able, skipped


def _in_precision(backend: str, precision: str, threads: int, detector: str) -> Ours:
    try:
        return Ours(backend, precision, threads, detector)
    except ModelError:
        # Where one network ships in int8 and the other does not, `auto` runs each in what it has.
        mixed = Ours(backend, 'auto', threads, detector) if precision == 'int8' else None
        if mixed is None or not any(engine.endswith('int8') for engine in mixed.about.values()):
            raise
        return mixed


def without_paths(error: Exception) -> str:
    """The first line of an error's text, without where this checkout lies."""
    lines = str(error).replace(f'{ROOT}/', '').splitlines()
    return lines[0] if lines else 'without a word'


def peers(threads: int, folder: Path | None,
          detector: str = 'detector_tiny') -> tuple[dict[str, Contender], dict[str, str]]:
    """The peers by name, and the reason by name for those that cannot run here."""
    makers: dict[str, Callable[[], Contender]] = {
        'naive': lambda: Naive(threads, detector), 'strong': lambda: Strong(threads, detector)
    }
    able: dict[str, Contender] = {}
    skipped: dict[str, str] = {}
    if folder is None:
        skipped['yunet_faceapi'] = 'skipped: no --peers DIR with its weights was given'
    else:
        makers['yunet_faceapi'] = lambda: YunetFaceApi(folder)
    for name, make in makers.items():
        try:
            able[name] = make()
        # Other people's code, and other people's exceptions: a peer that fails is a row that says
        # so.
        except Exception as error:
            print(f'{name}: {error}', file=sys.stderr)
            skipped[name] = f'{type(error).__name__}: {without_paths(error)}'
    return able, skipped


def first_on_cpu() -> str:
    """The runtime that `auto` takes on this CPU where its times do not differ from another's."""
    machine = look()
    return next(way.backend for way in WAYS if way.kind == 'cpu' and not way.lacks(machine, 0))


def chosen(names: Iterable[str], precision: str) -> str | None:
    """The one of ours in a precision on the runtime that `auto` prefers, or the only one there is;
    None without any."""
    preferred = f'{first_on_cpu()}_{precision}'
    some = [name for name in names if name.endswith(f'_{precision}')]
    if preferred in some:
        return preferred
    return some[0] if some else None
