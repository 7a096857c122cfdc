# SPDX-License-Identifier: Apache-2.0
"""One step of training: network, averaged copy and optimiser, gradients over all ranks."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.distributed as dist

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.compact import CompactNet
from face_attributes_ros.training.attributes.losses import distillation_loss, head_losses
from face_attributes_ros.training.attributes.network import load_network


def normalised(pixels):
    """Pixels in 0..1 as the network wants them, -1..1."""
    return pixels * 2 - 1


@dataclass
class State:
    """What a run changes as it goes."""

    network: CompactNet
    ema: CompactNet
    optimizer: torch.optim.Optimizer
    step: int = 0
    elapsed_s: float = 0.0


def new_state(config, seed, device='cpu'):
    """A fresh network, its average and its optimiser; norms and biases carry no weight decay."""
    torch.manual_seed(seed)
    network = CompactNet(config.network).to(device, memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{'params': decayed}, {'params': plain, 'weight_decay': 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate,
                                  weight_decay=config.weight_decay)
    return State(network, copy.deepcopy(network).eval(), optimizer)


def start_from(state, path):
    """Sets network and average to the weights of an earlier run. Raises `DataError` where the
    sizes differ."""
    earlier, metadata = load_network(path)
    if earlier.config != state.network.config:
        raise DataError(f'{path} holds a network of other sizes: {metadata["network"]}')
    for network in (state.network, state.ema):
        network.load_state_dict(earlier.state_dict())


@torch.no_grad()
def update_average(ema, network, decay, step):
    """Moves the averaged weights and statistics towards the network's; faster in the first
    steps."""
    decay = min(decay, (1 + step) / (10 + step))
    for old, new in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - decay)
        else:
            old.copy_(new)


def average_gradients(network):
    """Replaces gradients by their mean over all ranks."""
    flat = torch.nn.utils.parameters_to_vector([p.grad.contiguous() for p in network.parameters()])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    offset = 0
    for parameter in network.parameters():
        parameter.grad.copy_(flat[offset:offset + parameter.numel()].view_as(parameter))
        offset += parameter.numel()


def train_step(state, config, batch, weights, teacher=None):
    """One optimiser step; the loss of each head as a float. A teacher adds its distillation loss
    to the sum.
    """
    pixels, labels = batch
    device = weights.device
    pixels = normalised(pixels).to(device, memory_format=torch.channels_last)
    labels = {name: value.to(device) for name, value in labels.items()}
    state.network.train()
    with torch.autocast(pixels.device.type, torch.bfloat16, enabled=config.bfloat16):
        raw = state.network(pixels)
    losses = head_losses(raw, labels, weights)
    total = sum(config.loss_weights[name] * loss for name, loss in losses.items())
    if teacher is not None:
        with torch.no_grad():
            taught = teacher(pixels)
        total = total + config.distill_weight * distillation_loss(raw, taught)
    total.backward()
    if dist.is_initialized():
        average_gradients(state.network)
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 5.0)
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.step += 1
    update_average(state.ema, state.network, config.ema, state.step)
    return {name: float(loss.detach()) for name, loss in losses.items()}
