# SPDX-License-Identifier: Apache-2.0
"""A GPU that runs out of memory, and one that is gone; with networks that only say so."""

import numpy as np
import pytest

from face_attributes_ros.engines import faults
from face_attributes_ros.engines.faults import Guarded, device_faults, device_lost, out_of_memory
from face_attributes_ros.errors import DeviceError, DeviceLostError, ModelError

MEMORY = [
    'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.43 GiB',
    'CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported',
    'BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 123',
    'CUDNN_STATUS_ALLOC_FAILED',
]
LOST = [
    'CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later',
    'CUDA error: an illegal memory access was encountered',
    'CUDA error: unknown error', 'CUDA failure 999: unknown error ; GPU=0',
    'CUDA-capable device(s) is/are busy or unavailable', 'no CUDA-capable device is detected',
    'CUDA error: uncorrectable ECC error encountered', 'GPU is lost',
]
OTHERS = ['no kernel image is available for execution on the device', 'a bug', '',
          'shapes (3, 4) and (5,) do not match']


@pytest.mark.parametrize('words', MEMORY + LOST + OTHERS)
def test_errors_are_told_apart(words):
    error = RuntimeError(words)
    assert out_of_memory(error) == (words in MEMORY) and device_lost(error) == (words in LOST)


def test_the_error_behind_an_error_counts():
    try:
        try:
            raise RuntimeError('CUDA out of memory')
        except RuntimeError as cause:
            raise DeviceError('could not capture') from cause
    except DeviceError as error:
        assert out_of_memory(error) and not device_lost(error)


def test_a_type_that_torch_raises_is_known_by_its_name():
    torch = pytest.importorskip('torch')
    assert out_of_memory(torch.cuda.OutOfMemoryError())


def test_no_memory_in_the_computer_is_another_thing():
    assert not out_of_memory(MemoryError()) and not out_of_memory(KeyboardInterrupt())


@pytest.mark.parametrize('words', LOST)
def test_a_device_that_is_gone_is_one_clear_line(words):
    with pytest.raises(DeviceLostError) as error, device_faults('cuda:1'):
        raise RuntimeError(words)
    assert str(error.value).startswith('the GPU cuda:1 is gone (') and '\n' not in str(error.value)


@pytest.mark.parametrize('error', [ModelError('GPU is lost'), RuntimeError('a bug'), ValueError()])
def test_other_errors_stay_themselves(error):
    with pytest.raises(type(error)) as found, device_faults('cuda:0'):
        raise error
    assert found.value is error


class Small:
    """A network that doubles, with memory for `room` at a time."""

    outputs, description = ('x', 'sum'), 'torch, cuda:0, fp16'

    def __init__(self, room, error='CUDA out of memory'):
        self.room, self.error, self.batches = room, error, []

    def __call__(self, batch):
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise RuntimeError(self.error)
        return [2 * batch, batch.sum((1, 2))]


@pytest.fixture
def said():
    return []


def batch(count):
    return np.arange(count * 6, dtype=np.float32).reshape(count, 2, 3)


@pytest.mark.parametrize('count', [0, 1, 2, 5, 8])
def test_a_batch_that_fits_is_run_whole(said, count):
    network = Guarded(Small(8), 'cuda:0', said.append)
    found = network(batch(count))
    np.testing.assert_array_equal(found[0], 2 * batch(count))
    assert network.network.batches == [count] and said == []
    assert (network.outputs, network.description) == (('x', 'sum'), 'torch, cuda:0, fp16')


@pytest.mark.parametrize('count', [5, 6, 7])
def test_without_memory_the_batch_is_halved_for_good_and_that_is_said(said, count):
    network = Guarded(Small(3), 'cuda:0', said.append)
    for _ in range(2):
        found = network(batch(count))
        np.testing.assert_array_equal(found[0], 2 * batch(count))
        np.testing.assert_array_equal(found[1], batch(count).sum((1, 2)))
    assert said == [f'out of memory on cuda:0 with a batch of {count}: goes on with {count // 2} '
                    'at a time']
    assert network.network.batches[0] == count and max(network.network.batches[1:]) <= 3
    assert len(network(batch(1))[0]) == 1


def test_it_is_halved_once(said):
    network = Guarded(Small(1), 'cuda:0', said.append)
    for _ in range(2):
        with pytest.raises(RuntimeError, match='out of memory'):
            network(batch(8))
    assert len(said) == 1


def test_a_batch_of_one_cannot_be_halved(said):
    with pytest.raises(RuntimeError, match='out of memory'):
        Guarded(Small(0), 'cuda:0', said.append)(batch(1))
    assert said == []


def test_memory_is_given_back_before_it_is_tried_again(said, monkeypatch):
    freed = []
    monkeypatch.setattr(faults, 'free_memory', lambda: freed.append(len(said)))
    Guarded(Small(2), 'cuda:0', said.append)(batch(4))
    assert freed == [0]
    faults.free_memory()


def test_a_device_that_is_gone_is_no_lack_of_memory(said):
    network = Guarded(Small(0, LOST[0]), 'cuda:0', said.append)
    with pytest.raises(DeviceLostError, match='the GPU cuda:0 is gone .*launch failure'):
        network(batch(4))
    assert network.network.batches == [4]
