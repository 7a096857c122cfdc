# SPDX-License-Identifier: Apache-2.0
"""The body of `networks.mobilenet` from FaceRes: MobileNet v1 taught on VGGFace2.

The file holds `trunk.0.weight`, `trunk.0.bias` and so on for 27 convolutions, batch norms folded.
It was taught on BGR pixels 0..255 minus their mean; ours are -1..1, so the first kernel is scaled.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from face_attributes_ros.errors import DataError

MEAN_BGR = (103.939, 116.779, 123.68)


@torch.no_grad()
def load_faceres(network: nn.Module, path: Path) -> None:
    """Sets the `body` of a network, in place. Raises `DataError` where the file is not FaceRes."""
    tensors = load_file(str(path))
    if 'trunk.26.weight' not in tensors:
        raise DataError(f'{path} is not FaceRes: it has no trunk.26.weight')
    for number, layer in enumerate(convolutions(network)):
        weight, bias = (tensors[f'trunk.{number}.{part}'].float() for part in ('weight', 'bias'))
        if number == 0:
            weight, bias = rescaled(weight, bias)
        layer.load_state_dict({'weight': weight, 'bias': bias})


def convolutions(network: nn.Module) -> list[nn.Module]:
    """The convolutions of the body. Raises `DataError` where a network has none."""
    body = getattr(network, 'body', None)
    if body is None:
        raise DataError('FaceRes fits networks with a body of MobileNet v1 only')
    return [layer for layer in body.modules() if isinstance(layer, nn.Conv2d)]


def rescaled(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A first layer for pixels -1..1 from one for 0..255 minus the mean."""
    rest = 127.5 - torch.tensor(MEAN_BGR)
    return weight * 127.5, bias + (weight.sum((2, 3)) * rest).sum(1)
