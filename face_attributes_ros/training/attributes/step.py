# SPDX-License-Identifier: Apache-2.0
"""One step of an attribute training: the network, and the losses of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.bodies import AttributeNet, build
from face_attributes_ros.networks.compact import EXPRESSION_HEADS
from face_attributes_ros.training.attributes.config import TrainConfig
from face_attributes_ros.training.attributes.heads import distillation_loss, head_losses
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.taught import taught_losses
from face_attributes_ros.training.common.optimizer import decayed_groups


def normalised(pixels: Tensor) -> Tensor:
    """Pixels in 0..1 as the network wants them, -1..1."""
    return pixels * 2 - 1


def new_network(config: TrainConfig, seed: int, device: torch.device) -> AttributeNet:
    """A fresh network."""
    torch.manual_seed(seed)
    network: AttributeNet = build(config.network).to(
        device, memory_format=torch.channels_last)      # type: ignore[call-overload]
    return network


def new_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over all of a network; the parameters named `body.` learn at the body's rate."""
    named = list(network.named_parameters())
    body = [parameter for name, parameter in named if name.startswith('body.')]
    rest = [parameter for name, parameter in named if not name.startswith('body.')]
    rate = config.learning_rate
    groups = decayed_groups(rest, config.weight_decay, lr=rate)
    groups += decayed_groups(body, config.weight_decay, lr=rate * config.body_rate)
    return torch.optim.AdamW(groups, lr=rate)


def start_from(network: AttributeNet, path: Path) -> None:
    """Sets a network to the weights of an earlier run; expression heads that it did not have begin
    as its only one. Raises `DataError` where the sizes differ."""
    earlier, metadata = load_network(path)
    extra = network.config.extra_heads
    if replace(earlier.config, extra_heads=extra) != network.config:
        raise DataError(f'{path} holds a network of other sizes: {metadata["network"]}')
    tensors = earlier.state_dict()
    for name in EXPRESSION_HEADS if extra else ():
        for part in ('weight', 'bias'):
            tensors.setdefault(f'heads.{name}.{part}', tensors[f'heads.expression.{part}'])
    network.load_state_dict(tensors)


def step_losses(network: nn.Module, batch: tuple[Tensor, dict[str, Tensor]],
                class_weights: Mapping[str, Tensor], bfloat16: bool,
                teacher: nn.Module | None = None) -> dict[str, Tensor]:
    """The loss of each head on a batch; with a teacher that of `distillation`, too."""
    device = next(network.parameters()).device
    pixels = normalised(batch[0]).to(device, memory_format=torch.channels_last)
    labels = {name: value.to(device) for name, value in batch[1].items()}
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
        raw = network(pixels)
    losses = head_losses(raw, labels, class_weights)
    losses |= taught_losses(raw, labels, class_weights)
    if teacher is not None:
        with torch.no_grad():
            taught = teacher(pixels)
        losses['distillation'] = distillation_loss(raw, taught)
    return losses
