# SPDX-License-Identifier: Apache-2.0
"""What a network was trained to see: uint8 BGR crops as float channels with a mean taken off."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from face_attributes_ros.errors import ModelError

IMAGENET_MEAN_RGB, IMAGENET_STD_RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
VGG_FACE_MEAN_BGR = (93.5940, 104.7624, 129.1863)
CAFFE_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
FACERES_MEAN_BGR = (103.939, 116.779, 123.68)
KINDS = {
    'signed': ('rgb', (127.5,) * 3, (127.5,) * 3),
    'lite0': ('rgb', (127.,) * 3, (128.,) * 3),
    'faceres': ('bgr', FACERES_MEAN_BGR, (1.,) * 3),
    'imagenet': ('rgb', IMAGENET_MEAN_RGB, IMAGENET_STD_RGB),
    'vgg_face': ('bgr', VGG_FACE_MEAN_BGR, (1.,) * 3),
    'vgg_face_rgb': ('rgb', VGG_FACE_MEAN_BGR[::-1], (1.,) * 3),
    'caffe': ('bgr', CAFFE_MEAN_BGR, (1.,) * 3),
}
"""By name: the channel order of the network, then mean and divisor of each channel in that order,
levels 0..255. `imagenet` are torchvision's weights, `vgg_face` VGG-Face's Caffe release,
`vgg_face_rgb` its MatConvNet release, `caffe` the CaffeNet and AlexNet of Caffe, `signed` networks
of this package, `lite0` and `faceres` those of `stand_ins`."""


class Normalise(nn.Module):
    """uint8 (B, H, W, 3) BGR to float (B, 3, H, W) as one of KINDS."""

    mean: Tensor
    divisor: Tensor

    def __init__(self, kind: str):
        super().__init__()
        if kind not in KINDS:
            raise ModelError(f'input kind is {kind!r}, needs one of {", ".join(KINDS)}')
        self.order, mean, divisor = KINDS[kind]
        self.register_buffer('mean', torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer('divisor', torch.tensor(divisor).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        pixels = image.permute(0, 3, 1, 2).to(self.mean.dtype)
        pixels = pixels.flip(1) if self.order == 'rgb' else pixels
        return (pixels - self.mean) / self.divisor
