# SPDX-License-Identifier: Apache-2.0
"""What this machine's CPU can do."""

from __future__ import annotations

from pathlib import Path

CPU_INFO = Path('/proc/cpuinfo')


def cpu_has(*flags: str) -> bool:
    """Whether Linux names any of these x86 features of the CPU."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    named = (line.partition(':')[2].split() for line in lines if line.startswith('flags'))
    return not set(flags).isdisjoint(next(named, []))


def int8_pays() -> bool:
    """Whether int8 was measured to be faster than fp32 on CPUs of this kind: x86 with AVX2."""
    return cpu_has('avx2')
