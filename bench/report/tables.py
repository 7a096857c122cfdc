# SPDX-License-Identifier: Apache-2.0
"""Tables and sentences out of bench/results/speed.json, for docs/results.md, docs/performance.md
and the terminal."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from bench.report.figures import Report
from bench.report.goals import as_named, busy, goals
from bench.report.plots import STAGES
from face_attributes_ros.markdown import grid

NETWORKS = ('detect', 'attributes')
NOT_MEASURED = 'Not measured yet: `make bench`.\n'


def overview(report: Report) -> str:
    """CPU milliseconds a frame of ours and the peers, and the node over DDS in a sentence."""
    frames = {key: row for key, row in report.get('pipeline', {}).get('frames', {}).items()
              if key.endswith('faces_1t')}
    if not frames:
        return NOT_MEASURED
    names = list(next(iter(frames.values())))
    rows = [[name.replace('_', ' '), *(_with_ratio(row, name) for row in frames.values())]
            for name in names]
    counts = [f'{_faces(key)} {"face" if _faces(key) == "1" else "faces"}' for key in frames]
    table = grid(['720p', *counts], rows)
    about = report['machine']
    note = (
        'CPU milliseconds a frame at one thread, median (times faster than naive), taken in turn '
        f'in one run of `make bench` on {about["cpu"]} ({", ".join(about["flags"])}). '
        f'{_skipped(report)}')
    return table + '\n' + note + '\n' + _node_sentence(report)


def _with_ratio(row: dict[str, Any], name: str) -> str:
    median = row[name]['median']
    ratio = f' ({row["naive"]["median"] / median:.1f}x)' if 'naive' in row else ''
    return f'{median:.1f}{ratio}'


def _faces(key: str) -> str:
    return re.findall(r'_(\d+)faces', key)[0]


def contenders(report: Report) -> str:
    """Every contender on every frame: median, the middle half, faces that it found."""
    rows = [[key.replace('_', ' '), name.replace('_', ' '), f'{row["median"]:.1f}',
             f'{row["low"]:.1f} to {row["high"]:.1f}', row['faces_found'], values['unit']]
            for values in (report.get('pipeline', {}), report.get('pipeline_2t', {}))
            for key, frame in values.get('frames', {}).items()
            for name, row in frame.items()]
    heads = ['frame', 'contender', 'median, ms', 'middle half', 'faces found', 'what is measured']
    return grid(heads, rows) if rows else NOT_MEASURED


def _skipped(report: Report) -> str:
    by_reason: dict[str, list[str]] = {}
    for name, reason in report['pipeline']['skipped'].items():
        by_reason.setdefault(reason, []).append(name.replace('_', ' '))
    return ' '.join(f'{" and ".join(names)}: {reason}.' for reason, names in by_reason.items())


def _node_sentence(report: Report) -> str:
    node = report.get('node', {})
    row = node.get('runtimes', {}).get(node.get('auto'), {}).get('streams', {})
    at_30, peak = (row.get(f'720p_4faces_{rate}', {}) for rate in ('30Hz', 'peak'))
    if 'P95_LATENCY' not in at_30 or 'P95_LATENCY' not in peak:
        return ''
    others = busy(node).replace('; ', ', while ')
    return (
        f'\nThe node over DDS, 720p, 4 faces, {node["machine"]["cores"]} cores{others}: '
        f'{at_30["P50_LATENCY"]:.0f} ms from image to result (p95 {at_30["P95_LATENCY"]:.0f} ms) '
        f'at 30 Hz, {peak["MEAN_FRAME_RATE"]:.0f} results a second at most. '
        '[performance.md](performance.md) has the rest, and the reasons where a goal was '
        'missed.\n')


def goals_table(report: Report) -> str:
    """Each goal, what was measured, whether that is enough, and why not."""
    return grid(['goal', 'needed', 'measured', 'reached', 'why not'],
                [row.cells() for row in goals(report)])


def machines(report: Report) -> str:
    """What each part was measured on, and how busy that machine was."""
    rows = [[part, about['time'], about['cpu'], about['cores'], ' '.join(about['flags']),
             about['load_1min'], about['busy_others'], took_s]
            for part, about, took_s in _parts(report)]
    heads = ['part', 'when', 'CPU', 'cores', 'features', 'load', 'cores busy with other work',
             'took, s']
    return grid(heads, rows)


def _parts(report: Report) -> list[tuple[str, Report, Any]]:
    return [(part, values['machine'], values['took_s'])
            for part, values in report.items()
            if 'took_s' in values]


def stages(report: Report) -> str:
    """CPU milliseconds by stage of one frame."""
    found = report.get('pipeline', {}).get('stages')
    if not found:
        return NOT_MEASURED
    rows = [[key.removesuffix('_1t').replace('_', ' '), name.replace('_', ' '),
             *(f'{row.get(stage, 0):.2f}' for stage in STAGES), f'{not_network(row):.2f}']
            for key, runtimes in found.items()
            for name, row in runtimes.items()]
    return grid(['frame', 'runtime', *STAGES, 'not network'], rows)


def not_network(row: Mapping[str, float]) -> float:
    """Milliseconds of a frame's stages that are not the networks."""
    return sum(ms for stage, ms in row.items() if stage not in NETWORKS)


def where(report: Report) -> str:
    """The paragraph that says where the time goes."""
    found = report.get('pipeline', {}).get('stages', {}).get('720p_4faces_1t')
    if not found:
        return NOT_MEASURED
    return '\n'.join(_where(name, row) for name, row in found.items()) + '\n'


def _where(name: str, row: Mapping[str, float]) -> str:
    total, rest = sum(row.values()), not_network(row)
    largest = sorted(((ms, stage) for stage, ms in row.items() if stage not in NETWORKS),
                     reverse=True)[:3]
    listed = ', '.join(f'{stage} {ms:.2f} ms' for ms, stage in largest)
    return (
        f'- {name.replace("_", " ")}: of {total:.1f} ms CPU a frame (720p, 4 faces, one thread) '
        f'the detector takes {row["detect"]:.1f} ({row["detect"] / total:.0%}), the attribute '
        f'network {row["attributes"]:.1f} ({row["attributes"] / total:.0%}), everything else '
        f'{rest:.1f} ({rest / total:.0%}); the largest of that are {listed}.')


def floor(report: Report) -> str:
    """Each network against what the core can compute."""
    found = report.get('floor', {})
    if 'networks' not in found:
        return NOT_MEASURED
    rows = [[network, f'{about["gflop"]:.2f}', 'x'.join(map(str, about['input'])),
             name.replace('_', ' '), f'{row["median"]:.1f}', f'{row["floor_ms"]:.1f}',
             f'{row["times_floor"]:.2f}']
            for network, about in found['networks'].items()
            for name, row in as_named(about['runtimes']).items()]
    rates = ', '.join(f'{rate:.0f} in {name}' for name, rate in found['gemm_gops_1t'].items())
    heads = ['network', 'GFLOP', 'input', 'runtime', 'CPU ms', 'floor, ms', 'times the floor']
    note = f'\nMatrix product of this core, one thread, giga-operations a second: {rates}.\n'
    return grid(heads, rows) + note


STREAM_FIGURES = {
    'results/s': 'MEAN_FRAME_RATE', 'p50, ms': 'P50_LATENCY', 'p95': 'P95_LATENCY',
    'p99': 'P99_LATENCY', 'jitter': 'MEAN_JITTER', 'pipeline, ms': 'pipeline_ms',
    'latency / pipeline': 'latency_over_pipeline', 'CPU ms a frame': 'node_cpu_ms_a_frame'}


def node(report: Report) -> str:
    """The node over DDS, a row a stream."""
    runtimes = report.get('node', {}).get('runtimes')
    if not runtimes:
        return NOT_MEASURED
    rows = []
    for backend, runtime in runtimes.items():
        for key, row in runtime.get('streams', {}).items():
            size, faces, rate = key.split('_')
            missed = f'{row["NUM_MISSED_FRAMES"]} of {row["NUM_FRAMES_SENT"]}'
            rows.append([backend, size, faces.removesuffix('faces'), rate,
                         row.get('faces_found', ''), missed,
                         *(_number(row.get(name)) for name in STREAM_FIGURES.values()),
                         row['memory_mb']['rss']])
    heads = ['runtime', 'image', 'faces', 'sent at', 'found', 'missed', *STREAM_FIGURES, 'RSS, MB']
    return grid(heads, rows)


def _number(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}' if value < 10 else f'{value:.1f}'


def outputs(report: Report) -> str:
    """What the added outputs cost while nobody hears them, and while somebody does."""
    found = report.get('outputs', {})
    if 'unheard' not in found:
        return NOT_MEASURED
    rows = [[words, f'{part["plain"]["least"]:.1f}', f'{part["asked"]["least"]:.1f}',
             *(f'{part[name]["outside"]["median"]:.2f}' for name in ('plain', 'asked')),
             part['more_us'], f'{part["ratio"]:.3f}']
            for words, part in (('nobody', found['unheard']), ('somebody', found['heard']))]
    heads = ['who listens to them', 'without, least CPU ms', 'with', 'outside of the pipeline, '
             'without', 'with', 'more, microseconds', 'with / without']
    asked = ', '.join(f'`{name}`' for name in found['asked_for'])
    return grid(heads, rows) + (
        f'\nAsked for: {asked}. {found["rounds"]} images each, 720p, {found["faces"]} faces, '
        f'{found["engines"]["detector_engine"]}, one thread; `~/faces` is heard throughout.\n')


def dds(report: Report) -> str:
    """What the shipped Fast DDS profile is worth."""
    found = report.get('dds', {})
    figures = ('P50_LATENCY', 'P95_LATENCY', 'publish_ms', 'subscriber_cpu_ms_a_frame')
    rows = [[f'{height}p', profile, f'{row["delivered"]:.0%}',
             *(_number(row.get(name)) for name in figures)]
            for height in (480, 720, 1080)
            for profile in ('shipped', 'defaults')
            if (row := found.get(f'{height}p_{profile}'))]
    heads = [
        'image', 'profile', 'delivered', 'p50, ms', 'p95, ms', 'publish(), ms',
        'subscriber CPU ms a frame'
    ]
    return grid(heads, rows) if rows else NOT_MEASURED


def soak(report: Report) -> str:
    """Latency in windows of ten seconds under competing load."""
    found = report.get('soak', {})
    if 'windows_10s' not in found:
        return NOT_MEASURED
    rows = [[
        f'{10 * number} to {10 * number + 10} s', row['NUM_FRAMES_SENT'], row['NUM_MISSED_FRAMES'],
        *(_number(row.get(name)) for name in ('P50_LATENCY', 'P99_LATENCY', 'MAX_LATENCY'))
    ] for number, row in enumerate(found['windows_10s'])]
    return grid(['window', 'sent', 'dropped', 'p50, ms', 'p99, ms', 'max, ms'], rows) + (
        f'\n{found["busy_processes"]} busy processes beside it, {found["seconds"]:.0f} s at 30 '
        f'Hz, 720p, 4 faces: resident memory {found["rss_mb_start"]:.0f} MB at the start, '
        f'{found["rss_mb_end"]:.0f} MB at the end.\n')


def start(report: Report) -> str:
    """Cold start and memory by runtime."""
    cold, runtimes = report.get('cold_start', {}), report.get('node', {}).get('runtimes', {})
    rows = [[
        name,
        _number(cold.get(name, {}).get('median_s')),
        ', '.join(map(str,
                      cold.get(name, {}).get('seconds', []))),
        _number(runtimes.get(name, {}).get('steady_memory_mb', {}).get('rss')),
        {True: 'yes', False: 'no', None: ''}[runtimes.get(name, {}).get('torch_loaded')]
    ] for name in ('openvino', 'onnxruntime') if name in cold or name in runtimes]
    heads = [
        'runtime', 'start to first result, s (median)', 'each', 'steady RSS, MB', 'torch loaded'
    ]
    return grid(heads, rows) if rows else NOT_MEASURED


TABLES: dict[str, Callable[[Report], str]] = {
    'speed-goals': goals_table, 'speed-contenders': contenders, 'speed-where': where,
    'speed-stages': stages, 'speed-floor': floor, 'speed-node': node, 'speed-start': start,
    'speed-outputs': outputs, 'speed-dds': dds, 'speed-soak': soak, 'speed-machines': machines
}
"""Those of docs/performance.md by the name of their markers; `overview` is for docs/results.md."""


def plain(report: Report) -> str:
    """Everything, for the terminal."""
    return '\n'.join(
        f'{name}\n\n{table(report)}' for name, table in {'speed': overview, **TABLES}.items())
