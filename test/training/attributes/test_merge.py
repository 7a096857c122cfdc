# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.mobilenet import MobileConfig, MobileNet
from face_attributes_ros.training.attributes import merge
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.common.checkpoint import save_tensors

THREE = MobileConfig(width=0.25, local=8, shared=16, grid=2, extra_heads=True)


def test_the_merged_file_holds_one_head_and_says_how_it_was_made(tmp_path):
    network = MobileNet(THREE).eval()
    save_tensors(tmp_path / 'run.safetensors', network.state_dict(),
                 {'network': THREE.to_dict(), 'step': 3})
    arguments = ['--weights', str(tmp_path / 'run.safetensors'), '--shares', '0.5', '0.25', '0.25',
                 '--out', str(tmp_path / 'merged.safetensors')]
    assert merge.main(arguments) == 0
    plain, metadata = load_network(tmp_path / 'merged.safetensors')
    assert metadata['expression_shares'] == {
        'expression': 0.5, 'expression_votes': 0.25, 'expression_taught': 0.25}
    image = torch.zeros(1, 3, 32, 32)
    before = network(image)
    torch.testing.assert_close(plain(image)['expression'], 0.5 * before['expression'] + 0.25 * (
        before['expression_votes'] + before['expression_taught']))
    with pytest.raises(DataError, match='one expression head'):
        merge.merge(tmp_path / 'merged.safetensors', (1, 0, 0), tmp_path / 'again.safetensors')
