# SPDX-License-Identifier: Apache-2.0
"""Settings to a pipeline: the one place that knows models, runtimes and devices all together."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.engines.choose import choose_backend, open_network
from face_attributes_ros.engines.models import find_model
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


class AttributeModel(NamedTuple):
    """What the pipeline needs of an attribute network; `thresholds` as in the manifest, 0 where
    nothing was chosen."""

    network: OpenNetwork
    outputs: tuple[str, ...]
    size_px: int
    crop_scale: float
    thresholds: Mapping[str, float]


def build_pipeline(settings: Settings | None = None) -> Pipeline:
    """A pipeline with the networks that the settings name, their checksums verified; ModelError or
    DeviceError otherwise."""
    settings = settings or Settings()
    detector, description = _build_detector(settings)
    estimator, about = _build_estimator(settings) if settings.attributes_model else (None, {})
    description |= about
    if not _fits_one_device(detector, estimator, settings):
        return Pipeline(detector, estimator, settings, description)
    from face_attributes_ros.device.views import device_views

    description['detector_engine'] += ', frames stay on the device'
    finds, looks = device_views(detector, estimator)
    return Pipeline(finds, looks, settings, description)


def _fits_one_device(detector: FaceDetector, estimator: AttributeEstimator | None,
                     settings: Settings) -> bool:
    # The device path is for a GPU; on the CPU its letterbox and crops would only be slower than
    # OpenCV's.
    looks_fit = estimator is None or (settings.attributes_backend == 'torch'
                                      and not settings.attributes_aligned
                                      and settings.attributes_model not in PAPER_MODELS)
    # It looks at frames whole; tiles go through the plain detector, on the same device.
    if settings.detector_backend != 'torch' or not looks_fit or settings.detector_tiles > 1:
        return False
    on_gpu: bool = getattr(detector.network, 'device').type == 'cuda'  # noqa: B009
    return on_gpu


def _engine(settings: Settings) -> dict[str, Any]:
    return {'device': settings.device, 'precision': settings.precision,
            'threads': settings.threads}


class DetectorModel(NamedTuple):
    """What the pipeline needs of a detector: its network, the longer side of its canvas, and the
    score from which on a box is a face."""

    network: OpenNetwork
    input_px: int = 448
    threshold: float = .5


def _build_detector(settings: Settings) -> tuple[FaceDetector, dict[str, Any]]:
    name = settings.detector_model
    model = open_detector(settings)
    detector = FaceDetector(model.network, imgsz_px=settings.detector_imgsz or model.input_px,
                            square=settings.detector_square, tiles=settings.detector_tiles,
                            threshold=model.threshold)
    return detector, {'detector': name, 'detector_engine': model.network.description,
                      'detector_confidence': model.threshold}


def open_detector(settings: Settings) -> DetectorModel:
    """The detector that the settings name; ModelError or DeviceError otherwise."""
    name, backend = settings.detector_model, settings.detector_backend
    if Path(name).suffix in USERS_FILES:
        return _open_users_file(name, settings)
    model = find_model(name, 'detector')
    if backend == 'ultralytics':
        network = _open_ultralytics(settings)
    else:
        network = open_network(model.weights(backend), int8_path=model.int8_path,
                               backend=backend, **_engine(settings))
    return DetectorModel(network, model.input_px, model.thresholds.get('score', .5))


def _open_users_file(name: str, settings: Settings) -> DetectorModel:
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
        return DetectorModel(open_network(name, backend='torch', **_engine(settings)))
    choose_backend('torch', settings.device)     # or an error that says what to install
    from face_attributes_ros.engines.torch import open_darknet

    return DetectorModel(*open_darknet(name, face_classes=settings.detector_face_classes,
                                       **_engine(settings)))


def _open_ultralytics(settings: Settings) -> OpenNetwork:
    choose_backend('torch', settings.device)
    from face_attributes_ros.engines.ultralytics import open_ultralytics

    return open_ultralytics(settings.detector_model, device=settings.device,
                            face_classes=settings.detector_face_classes,
                            precision=settings.precision)


def _build_estimator(settings: Settings) -> tuple[AttributeEstimator, dict[str, Any]]:
    name = settings.attributes_model
    model = open_attributes(name, backend=settings.attributes_backend, **_engine(settings))
    estimator = AttributeEstimator(model.network, model.outputs, size_px=model.size_px,
                                   crop_scale=model.crop_scale,
                                   aligned=settings.attributes_aligned,
                                   batch_max=settings.attributes_batch_max,
                                   gender_threshold=model.thresholds.get('gender', 0.),
                                   expression_threshold=model.thresholds.get('expression', 0.))
    return estimator, {'attributes': name, 'attributes_engine': model.network.description}


def open_attributes(name: str, *, backend: str = 'auto', **engine: Any) -> AttributeModel:
    """The attribute network of a manifest entry or of the paper, with what it needs to be used;
    ModelError or DeviceError otherwise."""
    if name in PAPER_MODELS:
        paper = import_module('face_attributes_ros.paper.models')
        opened: AttributeModel = paper.open_paper_model(name, backend=backend, **engine)
        return opened
    model = find_model(name, 'attributes')
    network = open_network(model.weights(backend), int8_path=model.int8_path, backend=backend,
                           **engine)
    missing = {'gender', 'expression'} & set(network.outputs) - set(model.thresholds)
    if missing:
        raise ModelError(f'model {model.name}: the manifest has no thresholds for '
                         f'{", ".join(sorted(missing))}')
    return AttributeModel(network, network.outputs, model.input_px, model.crop_scale,
                          model.thresholds)
