# SPDX-License-Identifier: Apache-2.0
import pytest

from face_attributes_ros.engines.seam import require_gpu
from face_attributes_ros.errors import DeviceError, ParameterError


def driver(folder, count):
    """What NVIDIA's driver leaves in /dev."""
    for name in ['null', 'nvidiactl', 'nvidia-uvm', *(f'nvidia{i}' for i in range(count))][
            :None if count else 1]:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize('device, count, message', [
    ('cuda:0', 1, ''), ('cuda:1', 2, ''), ('cuda:11', 12, ''), ('cuda:3', 0, ''),
    ('cuda:3', 2, 'device cuda:3: this machine has 2 GPUs, cuda:0 to cuda:1'),
    ('cuda:1', 1, 'device cuda:1: this machine has 1 GPU, cuda:0 to cuda:0')])
def test_a_gpu_beyond_the_last_is_an_error(tmp_path, device, count, message):
    folder = driver(tmp_path, count)
    if not message:
        require_gpu(device, folder)
        return
    with pytest.raises(DeviceError, match=message):
        require_gpu(device, folder)


def test_a_device_that_is_none_is_an_error(tmp_path):
    with pytest.raises(ParameterError, match='needs auto, cpu or cuda:N'):
        require_gpu('gpu', driver(tmp_path, 1))
