# SPDX-License-Identifier: Apache-2.0
import torch

from face_attributes_ros.networks.attributes import Shipped, with_fixed_pool
from face_attributes_ros.networks.bodies import build, config_of
from face_attributes_ros.networks.compact import HEADS, CompactConfig, multiply_adds
from face_attributes_ros.networks.joint import JointConfig, JointNet

PLAIN = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)
TINY = JointConfig(plain=PLAIN, hidden=16, width=0.25)


def test_a_table_of_sizes_brings_it_back():
    assert config_of(TINY.to_dict()) == TINY
    assert isinstance(build(TINY), JointNet)


def test_the_reader_has_its_share_of_age_and_gender_and_of_nothing_else():
    network = JointNet(TINY).eval()
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    raw, plain = network(image), network.plain(torch.nn.functional.avg_pool2d(image, 2))
    read = network.reader(network.body(image).mean((2, 3)))
    torch.testing.assert_close(raw['age'], (plain['age'] + read[:, :101]) / 2)
    torch.testing.assert_close(raw['gender'], (plain['gender'] + read[:, 101:]) / 2)
    torch.testing.assert_close(raw['landmarks'], plain['landmarks'])
    assert set(raw) == set(HEADS)


def test_the_default_fits_its_budget():
    assert 300e6 < multiply_adds(JointNet(JointConfig()), 160) < 400e6


def test_a_fixed_pool_is_that_of_the_plain_network_and_changes_no_answer():
    torch.manual_seed(0)
    shipped = Shipped(JointNet(TINY)).eval()
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    before = shipped(crops)
    after = with_fixed_pool(shipped, 64)(crops)
    for one, other in zip(before, after):
        torch.testing.assert_close(one, other)
