# SPDX-License-Identifier: Apache-2.0
"""YOLOv3 as ultralytics builds it: the one place where ultralytics is imported.

ultralytics (AGPL-3.0) supplies the layers, the anchor-free detection head and the training loss.
This adapter builds a network from one of our YAML files, loads safetensors, and turns its output
into the contract of our detector files. Telemetry, update checks, downloads and automatic installs
are switched off before it is imported.
"""
from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from face_attributes_ros.errors import ModelError
from face_attributes_ros.weights import read_weights

LOSS_GAINS = {'box': 7.5, 'cls': 0.5, 'dfl': 1.5}   # ultralytics' defaults
_QUIET = {'YOLO_OFFLINE': 'true', 'YOLO_AUTOINSTALL': 'false', 'YOLO_VERBOSE': 'false'}


@contextlib.contextmanager
def _torchvision_may_be_missing() -> Iterator[None]:
    """ultralytics reads torchvision's version when imported; where there is none it gets 0.0.0
    then."""
    real = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return real(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            if distribution_name == 'torchvision':
                return '0.0.0'
            raise

    importlib.metadata.version = version
    try:
        yield
    finally:
        importlib.metadata.version = real


@contextlib.contextmanager
def _settings_of_its_own() -> Iterator[None]:
    """Lets ultralytics write its settings file, without telemetry, to a folder that is gone
    afterwards."""
    before = os.environ.get('YOLO_CONFIG_DIR')
    with tempfile.TemporaryDirectory(prefix='face_attributes_') as folder:
        os.environ['YOLO_CONFIG_DIR'] = folder
        try:
            yield
            from ultralytics.utils import SETTINGS
            SETTINGS.update(sync=False)
        finally:
            os.environ.pop('YOLO_CONFIG_DIR')
            if before is not None:
                os.environ['YOLO_CONFIG_DIR'] = before


def load_ultralytics() -> SimpleNamespace:
    """ultralytics' DetectionModel, loss and Conv, imported without network access, telemetry or
    installs."""
    if 'ultralytics' not in sys.modules:
        os.environ.update(_QUIET)
        threads = torch.get_num_threads()
        try:
            with _settings_of_its_own(), _torchvision_may_be_missing():
                importlib.import_module('ultralytics.nn.tasks')
        except ImportError as error:
            raise ModelError(
                f'YOLOv3 needs ultralytics, which cannot be imported: {error}') from error
        torch.set_num_threads(threads)
    from ultralytics.nn.modules.conv import Conv
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.loss import v8DetectionLoss
    return SimpleNamespace(DetectionModel=DetectionModel, Loss=v8DetectionLoss, Conv=Conv)


def build_yolov3(config: Mapping[str, Any]) -> nn.Module:
    """A YOLOv3 network with fresh weights from the `model` table of a detector YAML (ultralytics'
    syntax)."""
    ultralytics = load_ultralytics()
    # A YAML's `activation` would stay for the next build.
    activation = ultralytics.Conv.default_act
    try:
        network: nn.Module = ultralytics.DetectionModel(dict(config), ch=3, nc=1, verbose=False)
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError, IndexError) as error:
        raise ModelError(f'ultralytics cannot build this YOLOv3: {error}') from error
    finally:
        ultralytics.Conv.default_act = activation
    layers_of(network)[-1].xyxy = True
    setattr(network, 'args', SimpleNamespace(**LOSS_GAINS))  # noqa: B010
    return network


def layers_of(network: nn.Module) -> Any:
    """The layers of a network of ultralytics, an `nn.Sequential` in the order of its table. Their
    attributes are ultralytics' own and carry no types."""
    return network.model


def detection_loss(network: nn.Module) -> Any:
    """ultralytics' loss (task-aligned, BCE, CIoU, DFL): `loss(preds, batch) -> (3 sums,
    items)`."""
    return load_ultralytics().Loss(network)


@torch.no_grad()
def start_as_identity(network: nn.Module, trained_layers: set[int]) -> None:
    """Makes every shortcut block outside of `trained_layers` pass its input on unchanged, until
    trained."""
    for number, layer in enumerate(layers_of(network)):
        for block in layer.modules() if number not in trained_layers else ():
            if getattr(block, 'add', False):
                block.cv2.bn.weight.zero_()


class ContractDetector(nn.Module):
    """The network as our files define it: uint8 (B, H, W, 3) BGR in, (B, N, 5) x0 y0 x1 y1 score
    out.

    H and W are multiples of the largest stride; boxes are in network pixels, before non-maximum
    suppression. Scaling to 0..1 and the swap to RGB are folded into the first convolution.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        if getattr(layers_of(network)[-1], 'one2one_cv2', None) is not None:
            raise ModelError('this network has an end-to-end head, needs a YOLOv3 head (one score '
                             'a class and anchor)')
        plain: Any = network.eval().float()
        fused: nn.Module = plain.fuse(verbose=False)
        first = layers_of(fused)[0].conv
        with torch.no_grad():
            first.weight.copy_(first.weight.flip(1) / 255)
        self.network = fused.requires_grad_(False)
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        dtype = layers_of(self.network)[0].conv.weight.dtype
        return decode(self.network, self.network(image.permute(0, 3, 1, 2).to(dtype)))


def decode(network: nn.Module, output: Sequence[Any]) -> torch.Tensor:
    """(B, N, 5) float32 x0 y0 x1 y1 px and score from an evaluating network's output.

    Always in fp32: bf16 knows pixels over 256 only to a multiple of two. Anchors come from the
    feature maps' shapes, so an exported graph takes any size. Each distance is the mean of a
    distribution over `reg_max` cells (DFL).
    """
    head, raw = layers_of(network)[-1], output[1]
    return decode_raw(raw, head.reg_max, *anchor_grid(raw['feats'], head.stride))


def anchor_grid(feature_maps: Sequence[torch.Tensor],
                strides: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Anchor points (N, 2) in grid units and their strides (N, 1), float32, for feature maps of
    all levels."""
    from ultralytics.utils.tal import make_anchors
    anchors, widths = make_anchors([level[:, :1].float() for level in feature_maps], strides)
    return anchors, widths


def decode_raw(raw: Mapping[str, torch.Tensor], reg_max: int, anchors: torch.Tensor,
               strides: torch.Tensor) -> torch.Tensor:
    """`decode` with a grid that is there already: a CUDA graph cannot make one, which comes from
    the host."""
    cells = torch.arange(reg_max, dtype=torch.float32, device=anchors.device)
    logits = raw['boxes'].float().unflatten(1, (4, reg_max))  # (B, 4, reg_max, N)
    distances = (logits.softmax(2) * cells[:, None]).sum(2) if reg_max > 1 else logits.squeeze(2)
    left_top, right_bottom = distances.transpose(1, 2).chunk(2, 2)
    boxes = torch.cat([anchors - left_top, anchors + right_bottom], 2) * strides      # (B, N, 4)
    return torch.cat([boxes, raw['scores'].float().sigmoid().transpose(1, 2)], 2)


def load_detector(path: str | Path) -> ContractDetector:
    """The contract's detector from a safetensors file of ours, which carries its own model
    table."""
    tensors, about = read_weights(path)
    model, state = about.get('model'), {key: value.float() for key, value in tensors.items()}
    if model is None:
        raise ModelError(f'{path} lacks the `model` table that the training command writes')
    network = build_yolov3(model)
    missing, unexpected = network.load_state_dict(state, strict=False)
    missing = [key for key in missing if not key.endswith('num_batches_tracked')]
    if missing or unexpected:
        raise ModelError(
            f'{path} does not fit its model: missing {missing[:3]}, unexpected {unexpected[:3]}')
    return ContractDetector(network)
