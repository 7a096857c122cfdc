# SPDX-License-Identifier: Apache-2.0
import pytest

torch = pytest.importorskip('torch')

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.training.common.place import ALONE, choose_device, processes


@pytest.mark.parametrize('name, gpus, device', [('auto', 0, 'cpu'), ('auto', 2, 'cuda:1'),
                                                ('cpu', 2, 'cpu'), ('cuda', 2, 'cuda:1')])
def test_auto_takes_a_gpu_where_there_is_one(name, gpus, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
    assert choose_device(name, 1) == torch.device(device)


@pytest.mark.parametrize('name, message', [('tpu', 'needs one of auto, cpu, cuda'),
                                           ('cuda', 'finds no CUDA device')])
def test_a_device_that_is_not_there_is_an_error(name, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(ParameterError, match=message):
        choose_device(name)


def test_one_process_is_the_first_and_agrees_with_itself(monkeypatch):
    monkeypatch.delenv('WORLD_SIZE', raising=False)
    with processes('cpu') as place:
        assert place == ALONE and place.first and place.agreed(.25) == .25
        place.wait()
