# SPDX-License-Identifier: Apache-2.0
import pytest

torch = pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')

from face_attributes_ros.errors import ModelError
from face_attributes_ros.paper.pool5 import load_trunk, new_trunk
from face_attributes_ros.paper.stand_ins import GridMeans, Lite0Grid, padding
from face_attributes_ros.paper.vgg_age import VggAgeConfig, VggAgeNet


@pytest.mark.parametrize('size, kernel, stride, expected', [(1, 1, 1, (0, 0)), (7, 1, 1, (0, 0)),
                                                            (224, 3, 2, (0, 1)), (7, 3, 1, (1, 1)),
                                                            (56, 5, 2, (1, 2)), (7, 5, 1, (2, 2)),
                                                            (7, 3, 2, (1, 1))])
def test_padding_is_tensorflows(size, kernel, stride, expected):
    assert padding(size, kernel, stride) == expected


@pytest.mark.parametrize('name, channels, parameters', [('lite0', 1280, 3_371_008),
                                                        ('faceres', 1024, 3_196_032)])
def test_grids_are_of_the_published_shapes(name, channels, parameters):
    trunk = new_trunk(name).to('meta')
    assert trunk.channels == channels
    assert trunk.grid(torch.zeros(1, 3, 224, 224, device='meta')).shape == (1, channels, 7, 7)
    assert GridMeans(trunk)(torch.zeros(2, 3, 224, 224, device='meta')).shape == (2, channels)
    assert sum(part.numel() for part in trunk.parameters()) == parameters


def published(trunk):
    """A Lite0's tensors under the names of the package that has them, and its classifier's."""
    state = trunk.state_dict()
    found = {'_fc.weight': torch.zeros(1000, 1280), '_fc.bias': torch.zeros(1000)}
    for own, convolution, norm in trunk._names():
        for key, value in state.items():
            if key.startswith(f'{own}.'):
                part = key.removeprefix(f'{own}.')
                name = convolution if part.startswith('conv') else norm
                found[f'{name}.{part.split(".")[1]}'] = torch.rand(value.shape)
    return found


def test_lite0_takes_the_packages_tensors_and_misses_none():
    trunk = Lite0Grid()
    tensors = published(trunk)
    load_trunk(trunk, tensors, 'lite0.safetensors')
    assert torch.equal(trunk.blocks[3].expand.norm.running_var,
                       tensors['_blocks.3._bn0.running_var'])
    assert torch.equal(trunk.last.conv.weight, tensors['_conv_head.weight'])
    del tensors['_blocks.5._bn1.bias']
    with pytest.raises(ModelError, match='blocks.5.depthwise.norm.bias'):
        load_trunk(trunk, tensors, 'lite0.safetensors')


def test_the_age_network_keeps_its_layers_behind_a_stand_in():
    with torch.device('meta'):
        network = VggAgeNet(VggAgeConfig(kind='lite0', trunk='lite0'))
    sizes = [layer.weight.shape for layer in network.heads if hasattr(layer, 'weight')]
    assert sizes == [(4096, 1280), (5000, 4096), (5000, 5000), (8, 5000)]


def test_signals_stay_as_large_behind_a_stand_in():
    torch.manual_seed(0)
    network = VggAgeNet(VggAgeConfig(width=1 / 8, kind='faceres', trunk='faceres'))
    spread = network.heads[0].weight.detach().std().item()
    assert spread == pytest.approx(.01 * (25088 / 128)**.5, rel=.05)


def test_an_unknown_trunk_is_refused():
    with pytest.raises(ModelError, match='trunk is .other., needs vgg or one of lite0, faceres'):
        VggAgeNet(VggAgeConfig(trunk='other'))
