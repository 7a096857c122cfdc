# SPDX-License-Identifier: Apache-2.0
"""From raw times to the figures that are reported. Times of a stream of frames are named as
isaac_ros_benchmark names them."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

Report = dict[str, Any]
"""What goes into a results file: JSON."""


def cpu_ms(call: Callable[[], object]) -> float:
    """CPU milliseconds that all threads of this process use while `call()` runs."""
    start = time.process_time()
    call()
    return 1e3 * (time.process_time() - start)


def wall_ms(call: Callable[[], object]) -> float:
    """Milliseconds that `call()` takes by the clock."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def summary(values: ArrayLike) -> dict[str, float]:
    """Median and the middle half of some values."""
    low, middle, high = np.percentile(np.asarray(values, float), [25, 50, 75])
    return {
        'median': round(float(middle), 2), 'low': round(float(low), 2),
        'high': round(float(high), 2)
    }


def ratio_keys(peer: str, ours: str, precision: str, height: int, faces: int, threads: int,
               is_chosen: bool) -> list[str]:
    """The names under which `ratios` holds how many times `peer` takes what `ours` takes: with the
    runtime, and without it for the runtime that `auto` takes in that precision."""
    tail = f'{height}p_{faces}faces_{threads}t'
    return [f'{peer}_{ours}_{tail}', *([f'{peer}_{precision}_{tail}'] if is_chosen else [])]


def stream(sent: Sequence[float], received: Mapping[float, float]) -> dict[str, float]:
    """Figures of a stream: `sent` are the stamps (s) of the frames sent, `received` maps a stamp
    to when its result came (s).

    Latency is from stamp to result. Jitter is how much the time between two results differs from
    one to the next (ms).
    """
    arrived = sorted(received[stamp] for stamp in sent if stamp in received)
    in_order = [1e3 * (received[stamp] - stamp) for stamp in sorted(sent) if stamp in received]
    figures: dict[str, Any] = {
        'NUM_FRAMES_SENT': len(sent), 'NUM_MISSED_FRAMES': len(sent) - len(arrived),
        'MEAN_FRAME_RATE': _rate(arrived), 'SENT_FRAME_RATE': _rate(sorted(sent))}
    if in_order:
        p50, p95, p99 = np.percentile(in_order, [50, 95, 99])
        figures |= {
            'FIRST_LATENCY': in_order[0], 'LAST_LATENCY': in_order[-1],
            'MEAN_LATENCY': np.mean(in_order), 'P50_LATENCY': p50, 'P95_LATENCY': p95,
            'P99_LATENCY': p99, 'MAX_LATENCY': max(in_order)
        }
    jitter = np.abs(np.diff(np.diff(arrived))) * 1e3
    if len(jitter):
        figures |= {
            'MEAN_JITTER': jitter.mean(), 'STD_DEV_JITTER': jitter.std(),
            'MAX_JITTER': jitter.max()
        }
    return {
        name: round(float(value), 2) if not isinstance(value, int) else value
        for name, value in figures.items()
    }


def _rate(times: Sequence[float]) -> float:
    return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.


def windows(sent: Sequence[float], received: Mapping[float, float],
            seconds: float) -> list[dict[str, float]]:
    """`stream` figures of consecutive windows of so many seconds of sending; a last window under
    half of that is left out."""
    if not sent:
        return []
    first, out = min(sent), []
    for number in range(round((max(sent) - first) / seconds)):
        start = first + number * seconds
        out.append(stream([stamp for stamp in sent if start <= stamp < start + seconds], received))
    return out
