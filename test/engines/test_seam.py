# SPDX-License-Identifier: Apache-2.0
import pytest

from face_attributes_ros.engines.seam import MOST_WORDS, first_words, require_gpu
from face_attributes_ros.errors import DeviceError, ParameterError


def driver(folder, count):
    """What NVIDIA's driver leaves in /dev."""
    for name in ['null', 'nvidiactl', 'nvidia-uvm', *(f'nvidia{i}' for i in range(count))][
            :None if count else 1]:
        (folder / name).touch()
    return folder


@pytest.mark.parametrize('text, told', [
    ('', 'RuntimeError'),
    ('no kernel for this', 'no kernel for this'),
    ('Exception from src/core.cpp:84:\n', 'Exception from src/core.cpp:84:'),
    ('Exception from src/inference/src/cpp/core.cpp:105:\n'
     "Check 'false' failed at src/report.cpp:151:\nFrontEnd API failed with OpConversionFailure:"
     "\nModel wasn't fully converted.\nSummary:\n"
     '-- No conversion rule found for operations: Frobnicate-13\n',
     "FrontEnd API failed with OpConversionFailure: Model wasn't fully converted. Summary: "
     '-- No conversion rule found for operations: Frobnicate-13'),
    ('Exception from a.cpp:1:\nException from b.cpp:2:\n'
     "Check 'shape.compatible(x(y()))' failed at src/request.cpp:385:\n"
     "Can't set the input tensor with index: 0\n\n",
     "Can't set the input tensor with index: 0"),
    ('Got invalid dimensions for the following indices\n index: 2 Got: 64 Expected: 160\n',
     'Got invalid dimensions for the following indices index: 2 Got: 64 Expected: 160'),
])
def test_what_is_told_of_a_runtimes_error(text, told):
    assert first_words(RuntimeError(text)) == told


def test_of_a_long_error_the_first_line_is_told_whole():
    long = 'x' * (MOST_WORDS + 50)
    assert first_words(RuntimeError(f'{long}\nmore')) == long
    assert first_words(RuntimeError(f'short\n{long}')) == 'short'


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
