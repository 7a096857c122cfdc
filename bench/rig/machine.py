# SPDX-License-Identifier: Apache-2.0
"""What the figures were measured on, and which arithmetic that machine offers."""

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

_TELLING = ('avx2', 'avx_vnni', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'amx_bf16', 'amx_int8')
_PACKAGES = ('numpy', 'opencv-python-headless', 'onnxruntime', 'openvino', 'torch', 'ultralytics',
             'ros-rclpy')


def thread_limits(threads: int) -> dict[str, str]:
    """The environment in which numpy and torch, which read it when they are imported, use so many
    threads."""
    return dict.fromkeys(('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'), str(threads))


def require_thread_limits(threads: int) -> None:
    """SystemExit unless this process was started with `thread_limits`."""
    for name, value in thread_limits(threads).items():
        if os.environ.get(name) != value:
            raise SystemExit(f'{name} is {os.environ.get(name, "")!r}, needs to be {value} from '
                             'the start of the process (bench.measure.speed sets it)')


def flags() -> list[str]:
    """The CPU's features that matter to a neural network."""
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    found = next(
        (line.split(':')[1].split() for line in lines if line.startswith(('flags', 'Features'))),
        [])
    return [name for name in _TELLING if name in found]


def not_offered(precision: str) -> str | None:
    """Why this CPU cannot compute natively in a precision; None where it can."""
    needs = {'bf16': ('avx512_bf16', 'amx_bf16')}.get(precision)
    if needs is None or set(needs) & set(flags()):
        return None
    return (f'not offered by this CPU ({precision} needs {" or ".join(needs)}; '
            f'it has {", ".join(flags())})')


def cpu_model() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return next((line.split(':')[1].strip() for line in lines if line.startswith('model name')),
                platform.machine())


def version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def about() -> dict[str, Any]:
    """CPU, cores, features, load before the measurement, busy neighbours, versions, time."""
    return {
        'cpu': cpu_model(), 'cores': os.cpu_count(), 'flags': flags(),
        'load_1min': round(os.getloadavg()[0], 2), 'busy_others': busy_others(),
        'python': platform.python_version(), 'time': time.strftime('%Y-%m-%d %H:%M:%S'),
        'versions': {name: version(name) for name in _PACKAGES}
    }


def busy_others(over_s: float = .5) -> float:
    """Cores' worth of CPU time that processes other than this one use now: what makes times by the
    clock longer."""
    before, own = _busy_ticks(), time.process_time()
    time.sleep(over_s)
    used = (_busy_ticks() - before) / os.sysconf('SC_CLK_TCK') - (time.process_time() - own)
    return round(max(0., used / over_s), 2)


def _busy_ticks() -> int:
    user, nice, system, _, _, irq, softirq = map(int, Path('/proc/stat').read_text().split()[1:8])
    return user + nice + system + irq + softirq
