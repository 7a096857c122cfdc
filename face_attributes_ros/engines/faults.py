# SPDX-License-Identifier: Apache-2.0
"""What GPUs do that CPUs do not: run out of memory beside other programs, and disappear."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from face_attributes_ros.engines.seam import OpenNetwork, first_words
from face_attributes_ros.errors import DeviceLostError, FaceAttributesError

_MEMORY = ('out of memory', 'outofmemory', 'failed to allocate memory', 'alloc_failed',
           'memory allocation failure')
_LOST = ('unspecified launch failure', 'illegal memory access', 'illegal instruction',
         'misaligned address', 'device-side assert', 'hardware stack error',
         'no cuda-capable device', 'busy or unavailable', 'gpu is lost', 'device is lost',
         'uncorrectable', 'context is destroyed', 'driver shutting down', 'error: unknown error',
         'failure 999', 'failure 719', 'failure 700', 'failure 46')
"""After each of these a CUDA context answers nothing but errors for the rest of the process."""


def _told(error: BaseException, words: Sequence[str]) -> bool:
    # The runtimes' exception types have no common base; an error may be raised from another.
    while True:
        text = f'{type(error).__name__} {error}'.lower()
        if any(word in text for word in words):
            return True
        cause = error.__cause__
        if cause is None:
            return False
        error = cause


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a GPU has no memory left."""
    return isinstance(error, Exception) and _told(error, _MEMORY)


def device_lost(error: BaseException) -> bool:
    """Whether an error says that nothing more can be had of the device in this process."""
    return isinstance(error, Exception) and not out_of_memory(error) and _told(error, _LOST)


@contextmanager
def device_faults(device: object) -> Iterator[None]:
    """Turns what a runtime raises for a device that is gone into a DeviceLostError, one line that
    names it."""
    try:
        yield
    except FaceAttributesError:
        raise
    except Exception as error:
        if not device_lost(error):
            raise
        raise DeviceLostError(
            f'the GPU {device} is gone ({first_words(error)}): this process cannot use it any '
            'more; dmesg and nvidia-smi may say why') from error


def free_memory() -> None:
    """Gives back what nothing refers to any more, torch's reserve on the GPU included."""
    gc.collect()
    torch = sys.modules.get('torch')
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


class Guarded:
    """A network on a GPU. A batch that does not fit its memory is halved, once, for good: `say`
    gets the words. The second time the error is raised; a device that is gone is a
    DeviceLostError. `outputs` and `description` are those of the network."""

    def __init__(self, network: OpenNetwork, device: object, say: Callable[[str], None]):
        self.network, self.device, self._say = network, device, say
        self.outputs, self.description = network.outputs, network.description
        self.most: int | None = None

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        with device_faults(self.device):
            try:
                return self._in_parts(batch)
            except Exception as error:
                if self.most is not None or len(batch) < 2 or not out_of_memory(error):
                    raise
            # Outside of the handler, whose traceback holds the tensors of the failed call.
            self.most = len(batch) // 2
            free_memory()
            self._say(f'out of memory on {self.device} with a batch of {len(batch)}: goes on with '
                      f'{self.most} at a time')
            return self._in_parts(batch)

    def _in_parts(self, batch: np.ndarray) -> list[np.ndarray]:
        most = self.most or max(1, len(batch))
        parts = [self.network(batch[start:start + most])
                 for start in range(0, max(1, len(batch)), most)]
        if len(parts) == 1:
            return list(parts[0])
        return [np.concatenate(arrays) for arrays in zip(*parts)]
