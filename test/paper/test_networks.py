# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np
import pytest
from places import ROOT

torch = pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')
pytest.importorskip('safetensors')

from paper_fixtures import TINY, TINY_COMPACT, picture

from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import AGE_GROUPS_YEARS
from face_attributes_ros.paper import describe
from face_attributes_ros.paper.all_in_one import (
    AllInOneConfig,
    AllInOneContract,
    AllInOneNet,
    age_distribution,
)
from face_attributes_ros.paper.normalise import KINDS, Normalise
from face_attributes_ros.paper.pool5 import GREY_PX, GreyFace, load_trunk, new_trunk
from face_attributes_ros.paper.preprocessing import bilinear_resize, grey
from face_attributes_ros.paper.vgg_age import (
    TORCHVISION_INDICES,
    VggAgeConfig,
    VggAgeContract,
    VggAgeNet,
    load_convolutions,
)

DOCUMENTED = ROOT / 'docs' / 'paper_networks.md'


@pytest.mark.parametrize('name', describe.NETWORKS)
def test_layer_table_is_the_documented_one(name):
    found = re.search(rf'<!-- {name} -->\n+(.*?)\n+<!-- /{name} -->', DOCUMENTED.read_text(),
                      re.DOTALL)
    assert found.group(1).strip() == describe.table(name, markdown=True)


@pytest.mark.parametrize('name, parameters, macs', [
    ('all_in_one', 70.2e6, 1.725e9), ('vgg_age', 163.0e6, 15.495e9), ('pool5', 2.334e6, 666e6)])
def test_sizes_are_the_papers(name, parameters, macs):
    rows = describe.layers(name)
    assert sum(row.parameters for row in rows) == pytest.approx(parameters, rel=1e-3)
    assert sum(row.macs for row in rows) == pytest.approx(macs, rel=1e-3)


@pytest.mark.parametrize('name, layer, shape', [('all_in_one', 'pool1', (96, 27, 27)),
                                                ('all_in_one', 'conv3.0', (384, 13, 13)),
                                                ('all_in_one', 'pool5', (512, 6, 6)),
                                                ('all_in_one', 'fc_full.0', (2048, )),
                                                ('vgg_age', 'heads.9', (8, )),
                                                ('pool5', 'layers.14', (256, 6, 6))])
def test_layers_have_the_papers_shapes(name, layer, shape):
    assert {row.name: row.shape for row in describe.layers(name)}[layer] == shape


@pytest.mark.parametrize('side', [227, 224])
def test_all_in_one_takes_both_sizes(side):
    with torch.device('meta'):
        outputs = AllInOneNet()(torch.empty(2, 3, side, side))
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        'face': (2, 2), 'landmarks': (2, 42), 'visibility': (2, 21), 'pose': (2, 3),
        'smile': (2, 2), 'age': (2, 1), 'gender': (2, 2)
    }


def test_all_in_one_contract_gives_what_the_files_promise():
    torch.manual_seed(0)
    contract = AllInOneContract(AllInOneNet(AllInOneConfig(TINY)))
    found = contract(torch.from_numpy(np.stack([picture(i, 224) for i in range(2)])))
    assert set(found) == set(contract.outputs)
    assert {name: tuple(found[name].shape[1:]) for name in found} == {
        'age': (101, ), 'gender': (), 'smile': (), 'face': (), 'pose': (3, ), 'landmarks': (21, 2),
        'visibility': (21, )
    }
    assert all(((found[name] >= 0) & (found[name] <= 1)).all()
               for name in ('gender', 'smile', 'face', 'age'))


@pytest.mark.parametrize('years', [-4., 0., .7, 3., 42.3, 98., 100., 130.])
def test_age_distribution_keeps_the_age(years):
    probs = age_distribution(torch.tensor([years]))[0]
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    assert (probs @ torch.arange(101.)).item() == pytest.approx(min(max(years, 0), 100), abs=.2)


def test_ages_of_a_group_stay_in_the_group():
    torch.manual_seed(0)
    network = VggAgeNet(VggAgeConfig(TINY))
    probs = VggAgeContract(network)(torch.from_numpy(picture(0, 224)[None]))['age'][0]
    outside = [
        year for year in range(101)
        if not any(low <= year <= high for low, high in AGE_GROUPS_YEARS)
    ]
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    assert probs[outside].sum() == 0 and probs[50] > 0


@pytest.mark.parametrize('names', ['vgg_face', 'torchvision'])
def test_vgg_takes_a_users_convolutions(names):
    network = VggAgeNet(VggAgeConfig(TINY))
    tensors = {}
    for name, index in zip(network.convolutions.names, TORCHVISION_INDICES):
        layer = getattr(network.convolutions, name)[0]
        key = name if names == 'vgg_face' else f'features.{index}'
        tensors |= {
            f'{key}.weight': torch.rand_like(layer.weight),
            f'{key}.bias': torch.rand_like(layer.bias)
        }
    load_convolutions(network.convolutions, tensors, 'file')
    last = 'conv5_3' if names == 'vgg_face' else 'features.28'
    assert torch.equal(network.convolutions.conv5_3[0].weight, tensors[f'{last}.weight'])
    with pytest.raises(ModelError, match='file: conv5_3.bias .* is missing'):
        load_convolutions(network.convolutions,
                          {k: v for k, v in tensors.items() if k != f'{last}.bias'}, 'file')


@pytest.mark.parametrize('name, keys', [('caffenet', [f'conv{i}' for i in range(1, 6)]),
                                        ('alexnet', [f'features.{i}' for i in (0, 3, 6, 8, 10)])])
def test_pool5_takes_a_users_convolutions(name, keys):
    trunk = new_trunk(name)
    tensors, own = {}, iter(
        [layer for layer in trunk.layers if isinstance(layer, torch.nn.Conv2d)])
    for key, layer in zip(keys, own):
        tensors |= {
            f'{key}.weight': torch.rand_like(layer.weight),
            f'{key}.bias': torch.rand_like(layer.bias)
        }
    load_trunk(trunk, tensors, 'file')
    assert torch.equal(trunk.layers[0].weight, tensors[f'{keys[0]}.weight'])
    with torch.device('meta'):
        assert new_trunk(name)(torch.empty(1, 3, trunk.input_px,
                                           trunk.input_px)).shape == (1, 9216)
    with pytest.raises(ModelError, match='does not fit'):
        load_trunk(trunk, {}, 'file')


def test_compact_trunk_takes_the_attribute_networks_weights():
    from face_attributes_ros.networks.compact import CompactNet
    network = CompactNet(TINY_COMPACT).eval()
    trunk = new_trunk('compact', TINY_COMPACT.to_dict()).eval()
    load_trunk(trunk, network.state_dict(), 'file')
    x = torch.rand(1, 3, 96, 96)
    expected = network.stage3(network.stage2(network.stage1(network.stem(x))))
    assert torch.equal(trunk(x), expected.flatten(1))
    assert expected.shape[2:] == (6, 6)


def test_grey_face_is_the_papers_preparation():
    image = picture(3, 128)
    found = GreyFace(227)(torch.from_numpy(image[None]))[0].numpy()
    small = bilinear_resize(grey(image), GREY_PX, GREY_PX, antialias=True)
    assert found.shape == (227, 227, 3)
    assert np.abs(found[..., 0] - bilinear_resize(small, 227, 227)).max() < .05
    assert (found[..., 0] == found[..., 2]).all()


@pytest.mark.parametrize('kind', KINDS)
def test_mean_of_each_kind_is_taken_off_the_right_channel(kind):
    order, mean, _ = KINDS[kind]
    image = torch.tensor(mean if order == 'bgr' else mean[::-1]).view(1, 1, 1, 3)
    assert Normalise(kind)(image).abs().max() < 1e-4


def test_unknown_kind_is_refused():
    with pytest.raises(ModelError, match="'yuv'.*signed"):
        Normalise('yuv')
