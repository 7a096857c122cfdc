# SPDX-License-Identifier: Apache-2.0
from face_attributes_ros.networks.bodies import build, config_of
from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet


def test_a_table_of_sizes_names_its_body():
    tiny = MobileConfig(width=0.25, local=8, shared=16, grid=2)
    assert config_of(tiny.to_dict()) == tiny
    assert isinstance(build(tiny), MobileNet)


def test_a_table_without_a_body_is_the_plain_network():
    plain = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)
    assert config_of(plain.to_dict()) == plain
    assert isinstance(build(plain), CompactNet)
