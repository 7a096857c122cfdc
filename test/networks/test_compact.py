# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from face_attributes_ros.networks.compact import (
    HEADS,
    VARIANTS,
    CompactConfig,
    CompactNet,
    GridPool,
    area_matrix,
    folded,
    multiply_adds,
)
from face_attributes_ros.networks.heads import (
    decode,
    euler_from_rotation,
    predicted_landmarks,
    predicted_rotation,
    rotation_from_euler,
)

TINY = CompactConfig(8, ((8, 1), (16, 2), (16, 2)), 8, 8, 16, 8, 16, 2)


@pytest.mark.parametrize('size', [32, 48, 80])
def test_any_multiple_of_sixteen_goes_in(size):
    raw = CompactNet(TINY).eval()(torch.zeros(2, 3, size, size))
    assert {name: tuple(value.shape) for name, value in raw.items()} == {
        'age': (2, 101), 'gender': (2, 1), 'expression': (2, 7), 'smile': (2, 1), 'pose': (2, 6),
        'landmarks': (2, 136),
        'face': (2, 1), 'quality': (2, 1)}
    assert set(raw) == set(HEADS)


@pytest.mark.parametrize('name, least, most', [('s', 50e6, 70e6), ('m', 140e6, 175e6),
                                               ('l', 380e6, 440e6)])
def test_variants_cost_what_they_promise_at_112_px(name, least, most):
    assert least < multiply_adds(CompactNet(VARIANTS[name]), 112) < most


def test_folding_keeps_the_outputs():
    torch.manual_seed(0)
    network = CompactNet(TINY)
    for _ in range(3):  # moves the running statistics away from 0 and 1
        network(torch.randn(8, 3, 32, 32) * 2 + 1)
    network.eval()
    pixels = torch.randn(4, 3, 48, 48)
    with torch.no_grad():
        before, after = network(pixels), folded(network)(pixels)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=1e-4, atol=1e-5)
    assert not any(
        isinstance(module, torch.nn.BatchNorm2d) for module in folded(network).stage2.modules())


@pytest.mark.parametrize('size_in, size_out', [(4, 4), (3, 4), (7, 4), (5, 2)])
def test_grid_pool_keeps_the_mean(size_in, size_out):
    torch.testing.assert_close(area_matrix(size_in, size_out).sum(1), torch.ones(size_out))
    x = torch.randn(1, 2, size_in, size_in)
    torch.testing.assert_close(GridPool(size_out)(x).mean((2, 3)), x.mean((2, 3)))


def test_grid_pool_averages_whole_cells():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    torch.testing.assert_close(GridPool(2)(x), torch.nn.functional.avg_pool2d(x, 2))


def test_angles_survive_the_trip_through_six_numbers():
    angles = torch.tensor(
        np.random.default_rng(0).uniform(-1.2, 1.2, (50, 3)), dtype=torch.float64)
    rotation = rotation_from_euler(angles)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2),
                               torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close(euler_from_rotation(rotation), angles)
    six = torch.cat([rotation[:, :, 0] * 3, rotation[:, :, 1] * 0.5 + rotation[:, :, 0]],
                    1)  # any scale, any lean
    rest = torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float64)
    torch.testing.assert_close(euler_from_rotation(predicted_rotation(six - rest)), angles)


def test_turning_the_image_adds_to_roll_alone():
    angles = torch.tensor([[0.3, -0.2, 0.1]], dtype=torch.float64)
    turn = rotation_from_euler(torch.tensor([[0, 0, 0.25]], dtype=torch.float64))
    torch.testing.assert_close(euler_from_rotation(turn @ rotation_from_euler(angles)),
                               angles + torch.tensor([[0, 0, 0.25]], dtype=torch.float64))


def test_zero_outputs_are_a_frontal_face_in_the_middle():
    raw = {
        name: torch.zeros(1, size)
        for name, size in (('age', 101), ('gender', 1), ('expression', 7), ('smile', 1),
                           ('pose', 6), ('landmarks', 136), ('face', 1), ('quality', 1))
    }
    outputs = decode(raw)
    assert outputs['pose'].abs().max() == 0
    assert (predicted_landmarks(raw['landmarks']) == 0.5).all()
    assert outputs['gender'].tolist() == [0.5]


def test_a_temperature_above_one_makes_answers_less_sure():
    raw = {
        name: torch.full((1, size), 2.0)
        for name, size in (('gender', 1), ('smile', 1), ('pose', 6), ('landmarks', 136),
                           ('face', 1), ('quality', 1))
    }
    raw |= {'age': torch.arange(101.0)[None], 'expression': torch.arange(7.0)[None]}
    plain, calm = decode(raw), decode(raw, {'gender': 2.0, 'expression': 2.0})
    assert calm['gender'] < plain['gender'] and calm['expression'].max() < plain['expression'].max(
    )
    assert torch.equal(calm['age'], plain['age'])
