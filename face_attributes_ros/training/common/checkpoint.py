# SPDX-License-Identifier: Apache-2.0
"""A training run's state in one safetensors file with JSON in its header, replaced atomically."""
from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from face_attributes_ros.errors import DataError


def save_tensors(path, tensors, metadata):
    """Writes tensors and a JSON-able `metadata` to `path`; a kill leaves the old or the new
    file."""
    path = Path(path)
    part = path.with_name(path.name + '.part')
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, str(part),
              metadata={key: json.dumps(value) for key, value in metadata.items()})
    with open(part, 'rb') as file:
        os.fsync(file.fileno())
    os.chmod(part, 0o644)        # safetensors writes for the owner only
    os.replace(part, path)


def load_tensors(path):
    """(tensors, metadata) of a file of `save_tensors`. Raises `DataError` where it is not one."""
    try:
        with safe_open(str(path), framework='pt') as file:
            metadata = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f'{path} is not a checkpoint of this program: {error}') from error


def pack_state(network, ema, optimizer):
    """All tensors of a run, named `network/...`, `ema/...` and `optimizer/PARAMETER/...`."""
    tensors = {f'network/{name}': tensor for name, tensor in network.state_dict().items()}
    tensors |= {f'ema/{name}': tensor for name, tensor in ema.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f'optimizer/{name}/{key}'] = torch.as_tensor(value)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def unpack_state(tensors, network, ema, optimizer):
    """Puts `pack_state`'s tensors back, in place."""
    for prefix, module in (('network/', network), ('ema/', ema)):
        module.load_state_dict(
            {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})
    for name, parameter in network.named_parameters():
        prefix = f'optimizer/{name}/'
        state = {
            key[len(prefix):]: value for key, value in tensors.items() if key.startswith(prefix)
        }
        optimizer.state[parameter] = {
            key: _laid_out_like(parameter, value) for key, value in state.items()
        }


def _laid_out_like(parameter, value):
    # The fused optimiser walks raw memory: moments need the parameter's memory format, which files
    # do not keep.
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
