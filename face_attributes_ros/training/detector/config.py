# SPDX-License-Identifier: Apache-2.0
"""The settings of a detector's training, as they stand in config/training/detector_*.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from face_attributes_ros.training.detector.augment import Augment


@dataclass(frozen=True)
class Recipe:
    """How it is trained; sizes are sides of square batches in pixels, one drawn for each batch.

    In the last `calm_share` of the run the sizes are the calm ones and there are no mosaics.
    `grown_layers` maps layer numbers of the smaller network of `--init` to this one's.
    Pictures are kept with their longer side at `bank_px` at most; those whose name begins with a
    key of `repeats` are drawn so many times as often.
    """

    batch: int
    sizes_px: tuple[int, ...]
    calm_sizes_px: tuple[int, ...]
    calm_share: float = 0.15
    learning_rate: float = 0.002
    final_learning_rate_share: float = 0.02
    warmup_steps: int = 300
    weight_decay: float = 0.02
    ema_decay: float = 0.999
    clip_gradient: float = 10.0
    precision: Literal['auto', 'bf16', 'fp32'] = 'auto'
    input_px: int = 448
    grown_layers: dict[int, int] | None = None
    bank_px: int = 416
    repeats: dict[str, int] | None = None


@dataclass(frozen=True)
class DetectorConfig:
    """One configuration file; `model` is the table of `networks/yolov3.py`."""

    model: dict[str, Any]
    train: Recipe
    augment: Augment = field(default_factory=Augment)
