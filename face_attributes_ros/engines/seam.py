# SPDX-License-Identifier: Apache-2.0
"""The one seam to the neural networks, and what the files of all runtimes share.

A network is a callable from a uint8 batch (B, H, W, 3) BGR to float arrays. Those opened here also
say `outputs` (names, in order) and `description` (runtime, device and precision as really used).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from face_attributes_ros.errors import (
    DeviceError,
    FaceAttributesError,
    ModelError,
    ParameterError,
)

Network = Callable[[np.ndarray], Sequence[np.ndarray]]
T = TypeVar('T')
MOST_WORDS = 250
"""Letters of a runtime's error that are told; its first line is told whole."""
_THROWN = re.compile(r"Exception from |Check '.*' failed at \S+:\d+:?$")


class OpenNetwork(Protocol):
    """A Network that says what it is."""

    outputs: tuple[str, ...]
    description: str

    def __call__(self, batch: np.ndarray, /) -> Sequence[np.ndarray]:
        """The outputs of a batch."""
        ...


def tried(ask: Callable[[], T], path: str | Path) -> T:
    """What a runtime gives when asked; its own exceptions become a ModelError that names the
    file."""
    try:
        return ask()
    except FaceAttributesError:
        raise
    except Exception as error:  # the runtimes' own exception types have no common base
        raise ModelError(f'model file {path}: {first_words(error)}') from error


def first_words(error: BaseException) -> str:
    """The first telling lines of an error's text as one, up to MOST_WORDS letters: OpenVINO's
    begin with where in its source they were thrown, and say what is wrong some lines later."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not _THROWN.match(line)] or lines
    words, *rest = telling or [type(error).__name__]
    for line in rest:
        if len(words) + len(line) >= MOST_WORDS:
            break
        words = f'{words} {line}'
    return words


def check_ends(inputs: int, outputs: int, path: str | Path) -> None:
    """ModelError unless a network takes pictures, nothing else, and gives something."""
    if inputs != 1 or not outputs:
        raise ModelError(f'model file {path}: has {inputs} inputs and {outputs} outputs, needs '
                         'one input and at least one output')


def require(value: str, allowed: Collection[str], backend: str, device: str = '') -> None:
    """DeviceError unless the runtime offers `value`."""
    if value not in allowed:
        where = f'{backend} on {device}' if device else backend
        raise DeviceError(f'{value!r} is not offered by {where}: needs {", ".join(allowed)}')


def require_gpu(device: str, folder: Path = Path('/dev')) -> None:
    """DeviceError where NVIDIA's driver shows GPUs, but not the one of 'cuda:N'. Where it shows
    none, as on a Jetson, the runtime has to say."""
    count = len(list(folder.glob('nvidia[0-9]*')))
    if count and device_index(device) >= count:
        raise DeviceError(f'device {device}: this machine has {count} '
                          f'GPU{"s" if count > 1 else ""}, cuda:0 to cuda:{count - 1}')


def device_index(device: str) -> int:
    """0 for 'cuda:0'; ParameterError for anything that is not 'cuda:N'."""
    kind, _, index = device.partition(':')
    if kind != 'cuda' or not (index.isascii() and index.isdigit()):
        raise ParameterError(f'device is {device!r}, needs auto, cpu or cuda:N')
    return int(index)
