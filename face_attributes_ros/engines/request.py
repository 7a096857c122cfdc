# SPDX-License-Identifier: Apache-2.0
"""What is asked of `choose`, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from face_attributes_ros.engines.models import Model
from face_attributes_ros.engines.seam import OpenNetwork, device_index
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError
from face_attributes_ros.runtimes import BACKENDS, BY_NAME, PRECISIONS, RUNTIMES


@dataclass(frozen=True)
class Measuring:
    """How `auto` measures: whether it may keep times in the user's cache, and how many times
    longer than usual it may take."""

    keep: bool = True
    patience: float = 1.


@dataclass(frozen=True)
class Request:
    """What the settings ask for, checked when made; 'auto' leaves it to us."""

    backend: str = 'auto'
    device: str = 'auto'
    precision: str = 'auto'
    threads: int = 0
    measuring: Measuring = Measuring()

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ParameterError(
                f'backend is {self.backend!r}, needs one of {", ".join(BACKENDS)}')
        if self.precision not in PRECISIONS:
            raise ParameterError(
                f'precision is {self.precision!r}, needs one of {", ".join(PRECISIONS)}')
        if self.device not in ('auto', 'cpu'):
            device_index(self.device)

    @property
    def words(self) -> str:
        """What was not left to us, as in 'device cuda:0, precision fp16'."""
        asked = (('device', self.device), ('backend', self.backend), ('precision', self.precision))
        return ', '.join(f'{name} {value}' for name, value in asked if value != 'auto') or 'auto'


@dataclass(frozen=True)
class Files:
    """One network's files. `path_for` gives that of a backend, checked; `onnx` and `torch` say
    which there are, `int8` is the ONNX file in int8. `allowed` are the precisions beside fp32 that
    `auto` may take on a CPU; `checksums` tell these files from others."""

    name: str
    path_for: Callable[[str], Path]
    onnx: bool = True
    torch: bool = False
    int8: Path | None = None
    allowed: tuple[str, ...] = ()
    checksums: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Files:
        """Those of an entry of the manifest."""
        return cls(model.name, model.weights, torch=bool(model.torch_file), int8=model.int8_path,
                   allowed=tuple(model.auto_precisions),
                   checksums=(model.sha256, model.int8_sha256))

    def lack(self, backend: str) -> str:
        """Why a backend cannot run these files; '' where it can."""
        if BY_NAME[backend].torch_weights:
            return '' if self.torch else f'model {self.name} has no torch_file in the manifest'
        return '' if self.onnx else f'model {self.name} has no ONNX file'

    def lets(self, precision: str) -> bool:
        """Whether `auto` may take a precision on a CPU."""
        return precision == 'fp32' or (precision in self.allowed
                                       and (precision != 'int8' or self.int8 is not None))

    def to_open(self, backend: str, device: str, precision: str) -> Path:
        """The file for a runtime and precision; DeviceError or ModelError where there is none."""
        if precision != 'int8':
            return self.path_for(backend)
        if device != 'cpu' or not BY_NAME[backend].int8:
            able = ' or '.join(runtime.name for runtime in RUNTIMES if runtime.int8)
            raise DeviceError(f"'int8' is not offered by {backend} on {device}: "
                              f'needs a CPU and {able}')
        if self.int8 is None:
            raise ModelError(f'precision int8: model {self.name} has no int8_file in the manifest '
                             '(face-attributes export int8 makes one)')
        return self.int8


@dataclass(frozen=True)
class Candidate:
    """A runtime, device and precision."""

    backend: str
    device: str
    precision: str

    @property
    def name(self) -> str:
        """As it stands in the log."""
        return f'{self.backend} {self.precision}'


@dataclass(frozen=True)
class Plan:
    """The candidates, all on one device, the most exact first, and why each better way was passed
    over."""

    candidates: tuple[Candidate, ...]
    passed_over: tuple[str, ...] = ()

    @property
    def device(self) -> str:
        """'cpu' or 'cuda:N'."""
        return self.candidates[0].device

    @property
    def words(self) -> str:
        """What the log says of the device: which, and why not a better one."""
        backend = '' if self.device == 'cpu' else f' with {self.candidates[0].backend}'
        reasons = '; '.join(dict.fromkeys(self.passed_over))
        return f'{self.device}{backend}' + (f': {reasons}' if reasons else '')


@dataclass(frozen=True)
class Opened:
    """An open network and its device. `device_words` say how `auto` came to the device, `words`
    how it came to runtime and precision, `check` how half precision compares; '' where nothing was
    left to it."""

    network: OpenNetwork
    device: str
    device_words: str = ''
    words: str = ''
    check: str = ''
