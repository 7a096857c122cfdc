# SPDX-License-Identifier: Apache-2.0
"""Settings to a pipeline: the one place that knows models, runtimes and devices all together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from face_attributes_ros.boxes import canvas_size
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import (
    open_model,
    open_network,
    require_backend,
    torch_device,
)
from face_attributes_ros.engines.faults import Guarded
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.request import Measuring, Opened, Request
from face_attributes_ros.engines.seam import OpenNetwork
from face_attributes_ros.errors import ModelError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

PAPER_MODELS = ('compact_m', 'all_in_one', 'vgg_age+pool5_svm')
"""Attribute models that `paper.models.open_paper_model` opens; that room is imported when one of
them is asked for."""

USERS_FILES = {'.pt': ('ultralytics', ), '.safetensors': ('auto', 'torch', 'ultralytics'),
               '.cfg': ('auto', 'torch'), '.weights': ('auto', 'torch')}
"""What `detector.model` may name besides an entry of a manifest, and the backends that open it."""


SAMPLE_SIZE = 1280, 720
SAMPLE_FACES = 4
"""What candidates are timed on: the canvas of such an image, and so many crops."""


class AttributeModel(NamedTuple):
    """What the pipeline needs of an attribute network; `thresholds` as in the manifest, 0 where
    nothing was chosen. `opened` says how its runtime was chosen, where that was left to us."""

    network: OpenNetwork
    outputs: tuple[str, ...]
    size_px: int
    crop_scale: float
    thresholds: Mapping[str, float]
    opened: Opened | None = None


def build_pipeline(settings: Settings | None = None, patience: float = 1.) -> Pipeline:
    """A pipeline with the networks that the settings name, their checksums verified; ModelError or
    DeviceError otherwise. `patience` stretches the time in which `auto` measures."""
    settings = settings or Settings()
    engine = _engine(settings, patience)
    detector, description = _build_detector(settings, engine)
    estimator, about = (_build_estimator(settings, engine) if settings.attributes_model
                        else (None, {}))
    on = about.pop('device_choice', '')
    if on and on != description.setdefault('device_choice', on):
        about['attributes_device_choice'] = on
    description |= about
    if not _fits_one_device(detector, estimator, settings):
        pipeline = Pipeline(detector, estimator, settings, description)
        return _guarded(pipeline, detector, estimator)
    from face_attributes_ros.device.views import device_views

    description['detector_engine'] += ', frames stay on the device'
    finds, looks = device_views(detector, estimator)
    pipeline = Pipeline(finds, looks, settings, description)
    finds.path.say = partial(pipeline.note, 'memory')
    return _guarded(pipeline, None, estimator)


def _fits_one_device(detector: FaceDetector, estimator: AttributeEstimator | None,
                     settings: Settings) -> bool:
    # The device path is for a GPU; on the CPU its letterbox and crops would only be slower than
    # OpenCV's.
    if settings.detector_backend not in ('auto', 'torch'):
        return False
    places = {_gpu(part.network) for part in (detector, estimator) if part is not None}
    looks_fit = estimator is None or (settings.attributes_backend in ('auto', 'torch')
                                      and not settings.attributes_aligned
                                      and settings.attributes_model not in PAPER_MODELS)
    # It looks at frames whole; tiles go through the plain detector, on the same device.
    return (looks_fit and settings.detector_tiles <= 1 and len(places) == 1
            and None not in places)


def _gpu(network: object) -> str | None:
    # Of a network on torch; None on a CPU, and for other runtimes.
    device = getattr(network, 'device', None)
    return str(device) if getattr(device, 'type', '') == 'cuda' else None


def _guarded(pipeline: Pipeline, *parts: FaceDetector | AttributeEstimator | None) -> Pipeline:
    # Networks on a GPU, whose memory others take and which can be pulled out.
    for part in parts:
        if part is None:
            continue
        network: Any = part.network
        device = re.search(r'\bcuda:\d+', getattr(network, 'description', ''))
        if device:
            part.network = Guarded(network, device.group(), partial(pipeline.note, 'memory'))
    return pipeline


def _engine(settings: Settings, patience: float) -> dict[str, Any]:
    return {'device': settings.device, 'precision': settings.precision,
            'threads': settings.threads, 'measuring': Measuring(settings.auto_cache, patience)}


class DetectorModel(NamedTuple):
    """What the pipeline needs of a detector: its network, the longer side of its canvas, and the
    score from which on a box is a face. `opened` as of AttributeModel."""

    network: OpenNetwork
    input_px: int = 448
    threshold: float = .5
    opened: Opened | None = None


def _build_detector(settings: Settings,
                    engine: Mapping[str, Any]) -> tuple[FaceDetector, dict[str, Any]]:
    name = settings.detector_model
    model = open_detector(settings, engine)
    detector = FaceDetector(model.network, imgsz_px=settings.detector_imgsz or model.input_px,
                            square=settings.detector_square, tiles=settings.detector_tiles,
                            threshold=model.threshold)
    return detector, {'detector': name, 'detector_engine': model.network.description,
                      'detector_confidence': model.threshold, **_said('detector', model.opened)}


def open_detector(settings: Settings, engine: Mapping[str, Any]) -> DetectorModel:
    """The detector that the settings name; ModelError or DeviceError otherwise."""
    name, backend = settings.detector_model, settings.detector_backend
    if Path(name).suffix in USERS_FILES:
        return _open_users_file(name, settings, engine)
    model = find_model(name, 'detector')
    opened: Opened | None = None
    if backend == 'ultralytics':
        network = _open_ultralytics(settings)
    else:
        sample = _canvas(settings.detector_imgsz or model.input_px, settings.detector_square)
        opened = open_model(model, Request(backend, **engine), sample)
        network = opened.network
    return DetectorModel(network, model.input_px, model.thresholds.get('score', .5), opened)


def _open_users_file(name: str, settings: Settings, engine: Mapping[str, Any]) -> DetectorModel:
    kind, backend = Path(name).suffix, settings.detector_backend
    able = USERS_FILES[kind]
    if kind == '.pt' and not (backend in able and settings.detector_allow_pickle):
        raise ModelError(f'detector.model is {name!r}: a .pt is a pickle, which runs whatever '
                         'code its author put in; needs detector.allow_pickle true, in the launch '
                         'or YAML, and detector.backend ultralytics')
    if backend not in able:
        raise ModelError(f'detector.model is {name!r}, detector.backend {backend!r}: a {kind} '
                         f'needs {" or ".join(able)}')
    if backend == 'ultralytics':
        return DetectorModel(_open_ultralytics(settings))
    if kind == '.safetensors':
        return DetectorModel(open_network(name, backend='torch', **engine))
    require_backend('torch')
    from face_attributes_ros.engines.torch import open_darknet

    network, input_px = open_darknet(
        name, face_classes=settings.detector_face_classes, device=torch_device(settings.device),
        precision=settings.precision, threads=settings.threads)
    return DetectorModel(network, input_px)


def _open_ultralytics(settings: Settings) -> OpenNetwork:
    require_backend('torch')
    from face_attributes_ros.engines.ultralytics import open_ultralytics

    return open_ultralytics(settings.detector_model, device=settings.device,
                            face_classes=settings.detector_face_classes,
                            precision=settings.precision)


def _noise(*shape: int) -> np.ndarray:
    batch: np.ndarray = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return batch


def _said(part: str, opened: Opened | None) -> dict[str, str]:
    # What was left to us, by key of the description.
    words = {} if opened is None else {
        'device_choice': opened.device_words, f'{part}_choice': opened.words,
        f'{part}_check': opened.check}
    return {key: value for key, value in words.items() if value}


def _canvas(side: int, square: bool) -> np.ndarray:
    width, height = (side, side) if square else canvas_size(*SAMPLE_SIZE, side)
    return _noise(1, height, width, 3)


def _build_estimator(settings: Settings,
                     engine: Mapping[str, Any]) -> tuple[AttributeEstimator, dict[str, Any]]:
    name = settings.attributes_model
    model = open_attributes(name, backend=settings.attributes_backend, **engine)
    estimator = AttributeEstimator(model.network, model.outputs, size_px=model.size_px,
                                   crop_scale=model.crop_scale,
                                   aligned=settings.attributes_aligned,
                                   batch_max=settings.attributes_batch_max,
                                   gender_threshold=model.thresholds.get('gender', 0.),
                                   expression_threshold=model.thresholds.get('expression', 0.))
    return estimator, {'attributes': name, 'attributes_engine': model.network.description,
                       **_said('attributes', model.opened)}


def open_attributes(name: str, *, backend: str = 'auto', **engine: Any) -> AttributeModel:
    """The attribute network of a manifest entry or of the paper, with what it needs to be used;
    ModelError or DeviceError otherwise."""
    if name in PAPER_MODELS:
        paper = import_module('face_attributes_ros.paper.models')
        opened: AttributeModel = paper.open_paper_model(name, backend=backend, **engine)
        return opened
    model = find_model(name, 'attributes')
    sample = _noise(SAMPLE_FACES, model.input_px, model.input_px, 3)
    chosen = open_model(model, Request(backend, **engine), sample)
    network = chosen.network
    missing = {'gender', 'expression'} & set(network.outputs) - set(model.thresholds)
    if missing:
        raise ModelError(f'model {model.name}: the manifest has no thresholds for '
                         f'{", ".join(sorted(missing))}')
    return AttributeModel(network, network.outputs, model.input_px, model.crop_scale,
                          model.thresholds, chosen)
