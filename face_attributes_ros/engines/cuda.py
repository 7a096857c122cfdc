# SPDX-License-Identifier: Apache-2.0
"""What torch sees of GPUs. Importing torch takes seconds: only where there may be a GPU for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Capability = tuple[int, int]


@dataclass(frozen=True)
class Gpu:
    """A GPU by name and compute capability; `tegra` for those of a Jetson."""

    name: str
    capability: Capability
    tegra: bool = False


@dataclass(frozen=True)
class TorchBuild:
    """torch's version, the CUDA release that it was built with ('' without), its architectures
    ('sm_90', 'compute_90'), the GPUs that it finds, and in its words why there are none."""

    version: str
    cuda: str = ''
    archs: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    trouble: str = ''

    def runs_on(self, gpu: Gpu) -> bool:
        """Whether this build has machine code for a GPU, or code that the driver can compile for
        it.

        Code of one major capability runs on later minor ones, but for a Jetson's, which wants its
        own (CUDA C++ Programming Guide, "Binary compatibility").
        """
        major, minor = gpu.capability
        for kind, (arch_major, arch_minor), exact in _parsed(self.archs):
            if kind == 'compute' and (arch_major, arch_minor) <= (major, minor) and not exact:
                return True
            same = (arch_major, arch_minor) == (major, minor)
            if kind == 'sm' and (same or (not exact and not gpu.tegra and arch_major == major
                                          and arch_minor <= minor)):
                return True
        return False

    @property
    def built_for(self) -> str:
        """The compute capabilities in words."""
        pairs = sorted({pair for _, pair, _ in _parsed(self.archs)})
        return ', '.join(f'{major}.{minor}' for major, minor in pairs) or 'none'


def _parsed(archs: Iterable[str]) -> Iterable[tuple[str, Capability, bool]]:
    for arch in archs:
        match = re.fullmatch(r'(sm|compute)_(\d+)(\d)([af]?)', arch)
        if match:
            kind, major, minor, exact = match.groups()
            yield kind, (int(major), int(minor)), bool(exact)


def build_on_disk(folder: Path, version: str) -> TorchBuild:
    """What the installed torch says of itself in its version.py, without importing it."""
    try:
        text = (folder / 'version.py').read_text(encoding='utf-8')
    except OSError:
        return TorchBuild(version, 'unknown')
    own = re.search(r'^__version__ = [\'"]([^\'"]+)', text, re.MULTILINE)
    cuda = re.search(r'^cuda(?:\s*:[^=]*)? = [\'"]([^\'"]+)', text, re.MULTILINE)
    return TorchBuild(own.group(1) if own else version, cuda.group(1) if cuda else '')


def seen(tegra: bool = False) -> TorchBuild:
    """What torch, once imported, says of itself and of the GPUs."""
    import torch

    version, cuda = torch.__version__, torch.version.cuda or ''
    try:
        torch.cuda.init()
        count = torch.cuda.device_count()
        gpus = tuple(Gpu(torch.cuda.get_device_name(index),
                         torch.cuda.get_device_capability(index), tegra)
                     for index in range(count))
    except (RuntimeError, AssertionError) as error:  # no driver, one too old, or a build without
        words = str(error).strip().splitlines()
        return TorchBuild(version, cuda, trouble=words[0] if words else type(error).__name__)
    return TorchBuild(version, cuda, tuple(torch.cuda.get_arch_list()), gpus)
