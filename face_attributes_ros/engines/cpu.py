# SPDX-License-Identifier: Apache-2.0
"""What this machine's CPU is and can do."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')
TELLING = ('avx2', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8',
           'neon', 'asimd', 'asimddp', 'i8mm', 'bf16', 'sve')
"""Features that matter to a neural network, x86's and ARM's, as Linux names them."""
_IDENTITY = ('vendor_id', 'cpu family', 'model', 'model name', 'stepping', 'CPU implementer',
             'CPU architecture', 'CPU variant', 'CPU part', 'CPU revision', 'Hardware', 'Model')


def _fields() -> dict[str, str]:
    # The first processor's lines, and those that stand for the whole machine.
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(':')
        found.setdefault(name.strip(), value.strip())
    return found


def flags() -> frozenset[str]:
    """Every feature that Linux names."""
    fields = _fields()
    return frozenset((fields.get('flags') or fields.get('Features') or '').split())


def features() -> tuple[str, ...]:
    """Those of TELLING that the CPU has."""
    named = flags()
    return tuple(name for name in TELLING if name in named)


def model() -> str:
    """The CPU's name; its parts by number where Linux knows no name (ARM)."""
    fields = _fields()
    part = ' '.join(fields[name] for name in ('CPU implementer', 'CPU part') if name in fields)
    return fields.get('model name') or fields.get('Model') or part or platform.machine()


def signature() -> str:
    """The model and a checksum of all that tells it from another: a virtual machine's name for
    its CPU tells little."""
    fields = _fields()
    telling = [platform.machine(), *(fields.get(name, '') for name in _IDENTITY),
               *sorted(flags())]
    return f'{model()} {hashlib.sha256(chr(10).join(telling).encode()).hexdigest()[:12]}'


def usable() -> int:
    """CPUs that this process may run on."""
    allowed = getattr(os, 'sched_getaffinity', None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1
