# SPDX-License-Identifier: Apache-2.0
"""The node end to end, as processes over DDS: image published -> FaceAttributesArray received.

    python -m bench.measure.node --out FILE [--part node|cold_start|soak|dds]
"""

import argparse
import contextlib
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.report.figures import Report, stream, windows
from bench.rig import machine
from bench.rig.contenders import first_on_cpu
from bench.rig.processes import (
    BUSY,
    Camera,
    Child,
    Listener,
    cpu_s,
    loads,
    memory_mb,
    node,
    own_domain,
)

ROOT = Path(__file__).resolve().parents[2]
STREAMS = [(720, 4), *((height, faces)
                       for height in (480, 720, 1080)
                       for faces in (1, 4, 16)
                       if (height, faces) != (720, 4))]
RATES = {'30Hz': 30., 'peak': 60.}
DEFAULT_TRANSPORTS = {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'
                      }  # with it set, our processes leave the shipped profile alone


@contextlib.contextmanager
def ready_node(backend: str = 'auto', **parameters: object) -> Iterator[tuple[Child, Listener]]:
    """A node that listens, and a listener that it has found: (node, listener)."""
    with node(backend, **parameters) as process, Listener() as listener:
        listener.wait_for('listening')
        process.wait_for('takes images from')
        yield process, listener


def one_stream(process: Child, listener: Listener, height: int, faces: int, rate: float,
               seconds: float) -> Report:
    """Figures of one camera's stream through a running node."""
    listener.heard()
    with Camera(height, faces, rate, seconds) as camera:
        camera.wait_for('measuring')
        start_s, cpu = time.time(), cpu_s(process.pid)
        camera.wait_for('done', seconds + 60)
        cpu = cpu_s(process.pid) - cpu
        elapsed_s = time.time() - start_s
        sent = camera.sent()
        time.sleep(.4)  # the last result is on its way
    heard = listener.heard()
    return _figures(sent, heard, cpu, elapsed_s) | {'memory_mb': memory_mb(process.pid)}


def _figures(sent: Report, heard: Report, node_cpu_s: float, elapsed_s: float) -> Report:
    stamps = set(sent['stamps_s'])
    rows = list(_matched(heard['rows'], stamps))
    found = stream(sent['stamps_s'], {row['stamp_s']: row['received_s'] for row in rows})
    if not rows:
        return found
    inference_ms = statistics.median(row['inference_ms'] for row in rows)
    count = Counter(row['faces'] for row in rows)
    return found | {
        'faces_found': count.most_common(1)[0][0], 'pipeline_ms': round(inference_ms, 2),
        'latency_over_pipeline': round(found['P50_LATENCY'] / inference_ms, 3),
        'publish_image_ms': round(sent['publish_ms'], 2), 'message_bytes': rows[-1]['bytes'],
        'node_cpu_ms_a_frame': round(1e3 * node_cpu_s / len(rows), 2),
        'node_cpu_cores': round(node_cpu_s / elapsed_s, 3),
        'stage_ms': _stages(heard['diagnostics'])
    }


def _matched(rows: Iterable[dict[str, Any]], stamps: Iterable[float]) -> Iterator[dict[str, Any]]:
    # A stamp went through two integers: what is within a microsecond is the same.
    near = {round(stamp * 1e6): stamp for stamp in stamps}
    for row in rows:
        micro = round(row['stamp_s'] * 1e6)
        stamp = next((near[at] for at in (micro, micro - 1, micro + 1) if at in near), None)
        if stamp is not None:
            yield row | {'stamp_s': stamp}


def _stages(diagnostics: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Median milliseconds of each stage as the node says it, once a second."""
    values: dict[str, list[float]] = {}
    for status in diagnostics:
        for key, value in status.items():
            if key.endswith(' (ms)'):
                values.setdefault(key.removesuffix(' (ms)'), []).append(float(value))
    return {stage: round(statistics.median(some), 2) for stage, some in values.items()}


def measure_node(args: argparse.Namespace) -> Report:
    """Every size and number of faces on the runtime that `auto` takes; the middle one on the
    others, and with one thread, too."""
    first = first_on_cpu()
    report = {}
    for backend in (first, *({'onnxruntime', 'openvino'} - {first})):
        some = STREAMS if backend == first else STREAMS[:1]
        try:
            report[backend] = _on_runtime(backend, some, args.seconds)
        except RuntimeError as error:
            report[backend] = {
                'skipped': str(error).replace(f'{ROOT}/', '').splitlines()[-1], 'streams': {}
            }
    return {'auto': first, 'runtimes': report,
            'one_thread': _on_runtime(first, STREAMS[:1], args.seconds, threads=1)}


PRINTED = ('MEAN_FRAME_RATE', 'NUM_MISSED_FRAMES', 'P50_LATENCY', 'P95_LATENCY',
           'latency_over_pipeline', 'faces_found', 'node_cpu_ms_a_frame')


def _on_runtime(backend: str, streams: Iterable[tuple[int, int]], seconds: float,
                **parameters: object) -> Report:
    with ready_node(backend, **parameters) as (process, listener):
        figures = {}
        for height, faces in streams:
            for name, rate in RATES.items():
                key = f'{height}p_{faces}faces_{name}'
                figures[key] = one_stream(process, listener, height, faces, rate, seconds)
                print(backend, key, {k: figures[key].get(k) for k in PRINTED}, flush=True)
        first = next(iter(figures.values()))
        return {'engines': _engines(process), 'torch_loaded': loads(process.pid, 'libtorch'),
                'steady_memory_mb': first['memory_mb'], 'streams': figures}


def _engines(process: Child) -> str:
    line = next((line for line in process.output.splitlines() if 'ready in' in line), '')
    return line.partition('ready in ')[2]


def measure_cold_start(args: argparse.Namespace) -> Report:
    """Seconds from the start of the node's process to the first face message, a camera publishing
    already; files are cached."""
    report = {}
    with Listener() as listener, Camera(720, 4, 30., 600., wait=0) as camera:
        listener.wait_for('listening')
        camera.wait_for('measuring')
        for backend in ('openvino', 'onnxruntime'):
            times = []
            for _ in range(args.starts):
                before = listener.output.count('first at ')
                with node(backend) as process:
                    end = time.monotonic() + 60
                    while listener.output.count('first at ') == before and time.monotonic() < end:
                        time.sleep(.02)
                    if listener.output.count('first at ') == before:
                        raise RuntimeError('no face message within 60 s:\n'
                                           f'{process.output[-2000:]}')
                    first_s = float(listener.output.rpartition('first at ')[2].split()[0])
                    times.append(first_s - process.started_s)
                listener.heard()
            report[backend] = {
                'seconds': [round(value, 2) for value in times],
                'median_s': round(statistics.median(times), 2)
            }
            print('cold start', backend, report[backend], flush=True)
    return report


def measure_soak(args: argparse.Namespace) -> Report:
    """720p, 4 faces at 30 Hz while two other processes want both cores: does latency grow?"""
    busy = [Child('-c', BUSY) for _ in range(2)]
    try:
        with ready_node() as (process, listener), Camera(720, 4, 30., args.soak_seconds) as camera:
            camera.wait_for('measuring')
            memory, cpu = memory_mb(process.pid), cpu_s(process.pid)
            camera.wait_for('done', args.soak_seconds + 60)
            sent, cpu, after = camera.sent(), cpu_s(process.pid) - cpu, memory_mb(process.pid)
            time.sleep(.5)
            rows = list(_matched(listener.heard()['rows'], set(sent['stamps_s'])))
    finally:
        for process in busy:
            process.__exit__()
    received = {row['stamp_s']: row['received_s'] for row in rows}
    report = {
        'seconds': args.soak_seconds, 'busy_processes': len(busy),
        'whole': stream(sent['stamps_s'], received),
        'windows_10s': windows(sent['stamps_s'], received, 10.),
        'node_cpu_ms_a_frame': round(1e3 * cpu / max(1, len(rows)), 2),
        'rss_mb_start': memory['rss'], 'rss_mb_end': after['rss']
    }
    print('soak', report['whole'], [(w['P50_LATENCY'], w['P99_LATENCY'], w['MAX_LATENCY'])
                                    for w in report['windows_10s'] if 'P50_LATENCY' in w],
          flush=True)
    return report


def measure_dds(args: argparse.Namespace) -> Report:
    """Images alone, best effort at 30 Hz, with the shipped Fast DDS profile and with Fast DDS's
    defaults."""
    report = {}
    for profile, env in (('shipped', {}), ('defaults', DEFAULT_TRANSPORTS)):
        for height in (480, 720, 1080):
            with Listener('image', env=env) as listener:
                listener.wait_for('listening')
                with Camera(height, 4, 30., args.seconds, env=env) as camera:
                    camera.wait_for('measuring')
                    cpu = cpu_s(listener.pid)
                    sent = camera.sent()
                    cpu = cpu_s(listener.pid) - cpu
                time.sleep(.3)
                rows = list(_matched(listener.heard()['rows'], set(sent['stamps_s'])))
            received = {row['stamp_s']: row['received_s'] for row in rows}
            figures: Report = stream(sent['stamps_s'], received)
            missed = figures['NUM_MISSED_FRAMES'] / max(1, figures['NUM_FRAMES_SENT'])
            figures |= {
                'delivered': round(1 - missed, 4), 'publish_ms': round(sent['publish_ms'], 2),
                'subscriber_cpu_ms_a_frame': round(1e3 * cpu / len(rows), 2) if rows else None
            }
            report[f'{height}p_{profile}'] = figures
            print('dds', height, profile,
                  {k: figures.get(k) for k in ('delivered', 'P50_LATENCY', 'P95_LATENCY')},
                  flush=True)
    return report


PARTS = {
    'node': measure_node, 'cold_start': measure_cold_start, 'soak': measure_soak,
    'dds': measure_dds
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--part', choices=PARTS, default='node')
    parser.add_argument('--seconds', type=float, default=5., help='of each stream')
    parser.add_argument('--soak-seconds', type=float, default=60.)
    parser.add_argument('--starts', type=int, default=3, help='cold starts of each runtime')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    lock, about, start = own_domain(), machine.about(), time.monotonic()
    report = {
        'machine': about, **PARTS[args.part](args), 'took_s': round(time.monotonic() - start)
    }
    args.out.write_text(json.dumps(report))
    lock.close()


if __name__ == '__main__':
    main()
