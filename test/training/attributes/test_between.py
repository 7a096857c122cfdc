# SPDX-License-Identifier: Apache-2.0
"""Weights between two runs."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.between import main
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors


def files(folder, first, second):
    paths = folder / 'first.safetensors', folder / 'second.safetensors'
    save_tensors(paths[0], first, {'step': 1})
    save_tensors(paths[1], second, {'step': 2})
    return [str(path) for path in paths]


def test_each_number_lies_between_by_the_share(tmp_path):
    given = files(tmp_path, {'a': torch.tensor([0., 10.])}, {'a': torch.tensor([1., 20.])})
    out = tmp_path / 'out.safetensors'
    assert main(['--weights', *given, '--share', '0.6', '--out', str(out)]) == 0
    tensors, metadata = load_tensors(out)
    assert tensors['a'].tolist() == pytest.approx([.6, 16.])
    assert (metadata['step'], metadata['share_of_second']) == (2, .6)


def test_other_networks_are_refused(tmp_path):
    given = files(tmp_path, {'a': torch.zeros(2)}, {'a': torch.zeros(3)})
    with pytest.raises(DataError, match='different networks'):
        main(['--weights', *given, '--share', '0.5', '--out', str(tmp_path / 'out.safetensors')])
