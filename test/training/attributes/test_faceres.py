# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet
from face_attributes_ros.training.attributes.faceres import MEAN_BGR, load_faceres

TINY = MobileConfig(width=0.25, local=8, shared=16, grid=2)


def made_up_trunk(network):
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for number, layer in enumerate(network.body):
        for part in ('weight', 'bias'):
            like = getattr(layer.conv, part)
            tensors[f'trunk.{number}.{part}'] = torch.randn(like.shape, generator=generator) * 0.01
    return tensors


def test_the_first_layer_sees_the_same_picture_in_our_pixels(tmp_path):
    network = MobileNet(TINY)
    tensors = made_up_trunk(network)
    save_file(tensors, str(tmp_path / 'faceres.safetensors'))
    load_faceres(network, tmp_path / 'faceres.safetensors')
    pixels = torch.rand(1, 3, 16, 16) * 255
    centred = F.pad(pixels - torch.tensor(MEAN_BGR).view(1, 3, 1, 1), (0, 1, 0, 1))
    theirs = F.relu6(F.conv2d(centred, tensors['trunk.0.weight'], tensors['trunk.0.bias'], 2))
    ours = network.body[0](pixels * (2 / 255) - 1)
    inside = (slice(None), slice(None), slice(-1), slice(-1))  # without the padded edge
    torch.testing.assert_close(ours[inside], theirs[inside], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(network.body[5].conv.weight, tensors['trunk.5.weight'])


def test_another_file_is_refused(tmp_path):
    save_file({'a': torch.zeros(1)}, str(tmp_path / 'other.safetensors'))
    with pytest.raises(DataError, match='trunk.26.weight'):
        load_faceres(MobileNet(TINY), tmp_path / 'other.safetensors')
