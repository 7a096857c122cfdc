# SPDX-License-Identifier: Apache-2.0
"""A training run's state in one safetensors file with JSON in its header, replaced atomically."""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.weights import read_weights


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
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


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, metadata) of a file of `save_tensors`. Raises `DataError` where it is not one."""
    try:
        return read_weights(path)
    except ModelError as error:
        raise DataError(f'{path} is not a checkpoint of this program: {error}') from error


def half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Floating-point tensors in fp16, the others as they are."""
    return {name: tensor.half() if tensor.is_floating_point() else tensor
            for name, tensor in tensors.items()}


def pack_state(network: nn.Module, ema: nn.Module,
               optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """All tensors of a run, named `network/...`, `ema/...` and `optimizer/PARAMETER/...`."""
    tensors = {f'network/{name}': tensor for name, tensor in network.state_dict().items()}
    tensors |= {f'ema/{name}': tensor for name, tensor in ema.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state[parameter].items():
            tensors[f'optimizer/{name}/{key}'] = torch.as_tensor(value)
    return {name: tensor.clone() for name, tensor in tensors.items()}


def unpack_state(tensors: Mapping[str, Tensor], network: nn.Module, ema: nn.Module,
                 optimizer: torch.optim.Optimizer) -> None:
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


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    # The fused optimiser walks raw memory: moments need the parameter's memory format, which files
    # do not keep.
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)
