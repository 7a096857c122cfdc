# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from face_attributes_ros.networks.bodies import merged
from face_attributes_ros.networks.compact import EXPRESSION_HEADS, HEADS, multiply_adds
from face_attributes_ros.networks.mobilenet import (
    ClippedConv,
    MobileConfig,
    MobileNet,
    same,
)

TINY = MobileConfig(width=0.25, local=8, shared=16, grid=2)


@pytest.mark.parametrize('size', [32, 48])
def test_every_head_answers_at_every_size(size):
    raw = MobileNet(TINY).eval()(torch.zeros(2, 3, size, size))
    assert set(raw) == set(HEADS)
    assert raw['age'].shape == (2, 101) and raw['landmarks'].shape == (2, 136)


def test_the_default_fits_its_budget():
    network = MobileNet()
    assert 70e6 < multiply_adds(network, 80) < 110e6
    assert sum(parameter.numel() for parameter in network.parameters()) * 2 < 10e6


def test_merging_gives_the_sum_of_the_heads_and_leaves_the_others():
    network = MobileNet(MobileConfig(**TINY.to_dict() | {'extra_heads': True})).eval()
    shares = dict(zip(EXPRESSION_HEADS, (0.5, 0.2, 0.3)))
    image = torch.rand(3, 3, 32, 32) * 2 - 1
    before, after = network(image), merged(network, shares)(image)
    expected = sum(share * before[name] for name, share in shares.items())
    torch.testing.assert_close(after['expression'], expected)
    torch.testing.assert_close(after['age'], before['age'])
    assert set(after) == set(HEADS)


def test_a_strided_depthwise_convolution_trains_in_fp32_under_autocast():
    layer = ClippedConv(4, 4, 3, 2, 4).train()
    image = torch.rand(1, 4, 8, 8).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(image).dtype == torch.float32
        assert layer.eval()(image).dtype == torch.bfloat16


@pytest.mark.parametrize('side, padding', [(8, (0, 1, 0, 1)), (5, (1, 1, 1, 1))])
def test_padding_is_tensorflows(side, padding):
    image = torch.rand(1, 3, side, side)
    assert same(image) == padding
    assert ClippedConv(3, 4, 3, 2)(image).shape[2] == -(-side // 2)
