# SPDX-License-Identifier: Apache-2.0
"""Average precision by pycocotools, with ignored regions as COCO's crowds and sizes relative to
the image."""
from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from face_attributes_ros.training.detector.score import Result

Sizes = Mapping[str, tuple[float, float]]
# sqrt(w h) over the image's longer side
SIZES = {'all': (0.0, 9.0), 'small': (0.0, 0.06), 'medium': (0.06, 0.2), 'large': (0.2, 9.0)}
_MOST_BOXES = 300


def coco_metrics(results: Sequence[Result],
                 sizes: Sizes = SIZES) -> dict[str, float | None]:
    """AP@.5 (all, and by size) and AP@.5:.95 of all `Result`s: 0..1, or None where no face counts.

    The first of `sizes` is all.
    """
    with contextlib.redirect_stdout(io.StringIO()):       # pycocotools reports by printing
        evaluation = _evaluate(results, sizes)
    precision = evaluation.eval['precision'][..., 0, :, 0]          # (T 10, R 101, A 4)
    found = {'ap50': _mean(precision[0, :, 0]), 'ap50_95': _mean(precision[:, :, 0])}
    by_size = {
        f'ap50_{name}': _mean(precision[0, :, index]) for index, name in enumerate(sizes) if index
    }
    return found | by_size


def _mean(precision: np.ndarray) -> float | None:
    return round(float(precision.mean()), 4) if (precision > -1).any() else None


def _evaluate(results: Sequence[Result], sizes: Sizes) -> Any:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    truth = COCO()
    truth.dataset = _truth(results)
    truth.createIndex()
    evaluation = COCOeval(truth, _detections(results, truth), 'bbox')
    evaluation.params.maxDets = [_MOST_BOXES]
    evaluation.params.areaRng = [[low ** 2, high ** 2] for low, high in sizes.values()]
    evaluation.params.areaRngLbl = list(sizes)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def _truth(results: Sequence[Result]) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, result in enumerate(results, 1):
        for boxes, crowd in ((result.faces, 0), (result.ignore, 1)):
            for box in boxes:
                annotations.append({
                    'id': len(annotations) + 1, 'image_id': image, 'category_id': 1,
                    'iscrowd': crowd, **_box(box, result.longer_side)
                })
    return {'info': {}, 'images': [{'id': index} for index in range(1, len(results) + 1)],
            'categories': [{'id': 1, 'name': 'face'}], 'annotations': annotations}


def _box(box_xyxy: np.ndarray, longer_side: int) -> dict[str, Any]:
    """COCO's box, and as `area` the squared size relative to the image, which the size classes
    compare."""
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    return {
        'bbox': [x0, y0, x1 - x0, y1 - y0], 'area': (x1 - x0) * (y1 - y0) / float(longer_side) ** 2
    }


def _detections(results: Sequence[Result], truth: Any) -> Any:
    from pycocotools.coco import COCO
    annotations: list[dict[str, Any]] = []
    for image, result in enumerate(results, 1):
        for box, score in zip(result.boxes, result.scores):
            annotations.append({
                'id': len(annotations) + 1, 'image_id': image, 'category_id': 1, 'iscrowd': 0,
                'score': float(score), **_box(box, result.longer_side)
            })
    found = COCO()
    found.dataset = truth.dataset | {'annotations': annotations}
    found.createIndex()
    return found
