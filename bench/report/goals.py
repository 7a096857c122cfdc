# SPDX-License-Identifier: Apache-2.0
"""The goals for speed and what was measured against them; a goal that was missed says why, from
the same figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.report.figures import Report

FASTER = {'int8': 4., 'bf16': 4., 'fp32': 1.7}
STRONG, RESULTS_HZ, P95_MS, OVER_PIPELINE = 1.3, 30., 60., 1.15
ABOVE_PIPELINE_MS, CPU_OVER_PIPELINE, UNHEARD = 4.5, 1.5, 1.01
TIMES_FLOOR, NOT_NETWORK_MS, RSS_MB, START_S = 1.6, 3., 450., 5.


@dataclass
class Goal:
    """One line: `value` against `needed`, which is a least value, or with `at_most` a greatest."""

    name: str
    needed: float
    value: float | None
    unit: str = ''
    at_most: bool = False
    reason: str = ''

    @property
    def reached(self) -> bool | None:
        """True, False, or None where there is no value."""
        if self.value is None:
            return None
        return self.value <= self.needed if self.at_most else self.value >= self.needed

    def cells(self) -> list[str]:
        """The table's row."""
        needed = f'{"at most" if self.at_most else "at least"} {self.needed:g}{self.unit}'
        digits = 2 if (self.value or 0) < 10 else 1
        value = '–' if self.value is None else f'{self.value:.{digits}f}{self.unit}'
        reached = {True: 'yes', False: '**no**', None: 'not measured'}[self.reached]
        return [self.name, needed, value, reached, '' if self.reached else self.reason]


def goals(report: Report) -> list[Goal]:
    """Every goal that the report says something about."""
    return [*_ratios(report), *_node(report), *_outputs(report), *_floor(report), *_rest(report)]


def _ratios(report: Report) -> Iterator[Goal]:
    ratios, skipped = report.get('ratios', {}), report.get('pipeline', {}).get('skipped', {})
    for precision, least in FASTER.items():
        value = ratios.get(f'naive_{precision}_720p_4faces_1t')
        reason = _slower_than_hoped(report, precision) if value else _why(skipped, precision)
        yield Goal(f'naive peer / ours, {precision}, 720p, 4 faces, CPU', least, value, 'x',
                   reason=reason)
    best = max(
        (precision for precision in FASTER if f'strong_{precision}_720p_4faces_1t' in ratios),
        key=lambda precision: ratios[f'strong_{precision}_720p_4faces_1t'], default='fp32')
    value = ratios.get(f'strong_{best}_720p_4faces_1t')
    yield Goal(f'strong peer / ours, {best}, 720p, 4 faces, CPU', STRONG, value, 'x',
               reason=_against_strong(report, best))


def _why(skipped: dict[str, str], precision: str) -> str:
    reasons = {reason for name, reason in skipped.items() if name.endswith(precision)}
    return '; '.join(sorted(reasons)) or 'not measured'


def _slower_than_hoped(report: Report, precision: str) -> str:
    row = next((row for name, row in _runtimes(report).items() if name.endswith(precision)), None)
    flags = report.get('machine', {}).get('flags', [])
    if precision == 'int8' and not any('vnni' in flag or 'amx' in flag for flag in flags):
        rates = report.get('floor', {}).get('gemm_gops_1t', {})
        known = {'int8', 'fp32'} <= set(rates)
        gain = (f': its int8 matrix product is {rates["int8"] / rates["fp32"]:.1f} times as fast '
                'as fp32') if known else ''
        return f'this CPU has no int8 dot product (VNNI){gain}{_in_float(report)}'
    return (f'the networks are {_networks_share(row):.0%} of our time, and the peer runs the same '
            'ones') if row else ''


def _in_float(report: Report) -> str:
    """Says which network stayed in float in the int8 row; empty where none did."""
    contenders = report['pipeline']['contenders']
    about: dict[str, str] = next(
        (row for name, row in contenders.items() if name.endswith('int8')), {})
    floats = [
        part for part in ('detector', 'attributes')
        if not about.get(f'{part}_engine', 'int8').endswith('int8')
    ]
    return f'; no int8 file ships for {" and ".join(floats)}, which ran in float' if floats else ''


def _against_strong(report: Report, precision: str) -> str:
    row = next((row for name, row in _runtimes(report).items() if name.endswith(precision)), None)
    return (
        'it runs the same networks, the detector on the same runtime; networks are '
        f'{_networks_share(row):.0%} of our time, so in equal precision only the rest can differ'
    ) if row else ''


def _runtimes(report: Report) -> dict[str, dict[str, float]]:
    return report.get('pipeline', {}).get('stages', {}).get('720p_4faces_1t', {})


def _networks_share(row: Mapping[str, float]) -> float:
    return (row['detect'] + row['attributes']) / sum(row.values())


def _node(report: Report) -> Iterator[Goal]:
    node = report.get('node', {})
    streams = node.get('runtimes', {}).get(node.get('auto'), {}).get('streams', {})
    at_30, peak = (streams.get(f'720p_4faces_{rate}', {}) for rate in ('30Hz', 'peak'))
    loaded = busy(node).removeprefix('; ')
    yield Goal('node over DDS, 720p, 4 faces: results a second', RESULTS_HZ,
               peak.get('MEAN_FRAME_RATE'), reason=loaded)
    yield Goal('the same at 30 Hz: p95 latency', P95_MS, at_30.get('P95_LATENCY'), ' ms', True,
               loaded)
    yield Goal('the same: latency / pipeline\'s own time', OVER_PIPELINE,
               at_30.get('latency_over_pipeline'), 'x', True,
               '; '.join(filter(None, [_transport(report, at_30), loaded])))
    alone = node.get('one_thread', {}).get('streams', {}).get('720p_4faces_30Hz', {})
    for threads, stream in (('all threads', at_30), ('threads: 1', alone)):
        yield from _costs(threads, stream, alone.get('pipeline_ms'))


def _costs(threads: str, stream: Report, pipeline_cpu_ms: float | None) -> Iterator[Goal]:
    """What the node takes beyond its pipeline, whose CPU time at one thread is `pipeline_cpu_ms`.
    """
    above = stream['P50_LATENCY'] - stream['pipeline_ms'] if stream else None
    yield Goal(f'node at 30 Hz, {threads}: p50 latency above the pipeline', ABOVE_PIPELINE_MS,
               above, ' ms', True, 'the image through DDS and into Python, and publish()')
    times = stream['node_cpu_ms_a_frame'] / pipeline_cpu_ms if stream and pipeline_cpu_ms else None
    reason = 'a second thread of a small network waits, awake, for the first for much of its time'
    yield Goal('the same: CPU time / that of the pipeline at one thread', CPU_OVER_PIPELINE,
               times, 'x', True, reason if threads != 'threads: 1' else '')


def _outputs(report: Report) -> Iterator[Goal]:
    found = report.get('outputs', {}).get('unheard', {})
    yield Goal('added outputs that nobody hears: CPU time / without them', UNHEARD,
               found.get('ratio'), 'x', True,
               f'{found.get("more_us", 0)} microseconds more outside of the pipeline')


def _transport(report: Report, stream: Report) -> str:
    image = report.get('dds', {}).get('720p_shipped', {}).get('P50_LATENCY')
    if image is None or 'pipeline_ms' not in stream:
        return ''
    return (
        f'the image alone is {image:.1f} ms on its way through DDS before the node sees it, '
        f'publish() in Python included; the pipeline takes {stream["pipeline_ms"]:.1f} ms')


def _floor(report: Report) -> Iterator[Goal]:
    for network, about in report.get('floor', {}).get('networks', {}).items():
        for name, row in as_named(about['runtimes']).items():
            reason = 'small layers do not reach the rate of a large matrix product'
            if name.endswith('int8'):
                reason += ', and quantising between layers is work that the floor does not count'
            goal = f'{network}, {name.replace("_", " ")}: times its arithmetic floor'
            yield Goal(goal, TIMES_FLOOR, row['times_floor'], 'x', True, reason)


def as_named(runtimes: dict[str, Any]) -> dict[str, Any]:
    """The rows that ran in the precision of their name: where a network has no int8 file, its int8
    row is a second fp32 one."""
    return {name: row for name, row in runtimes.items() if name.endswith(row['precision'])}


def _rest(report: Report) -> Iterator[Goal]:
    for name, row in _runtimes(report).items():
        rest = {stage: ms for stage, ms in row.items() if stage not in ('detect', 'attributes')}
        most = max(rest, key=rest.__getitem__)
        goal = f'not network, {name.replace("_", " ")}, 720p, 4 faces, CPU'
        yield Goal(goal, NOT_NETWORK_MS, round(sum(rest.values()), 2), ' ms', True,
                   f'most of it is {most}, {rest[most]:.2f} ms{busy(report["pipeline"])}')
    for name, runtime in report.get('node', {}).get('runtimes', {}).items():
        yield Goal(f'steady memory of the node, {name}', RSS_MB,
                   runtime.get('steady_memory_mb', {}).get('rss'), ' MB', True)
    for name in ('openvino', 'onnxruntime'):
        value = report.get('cold_start', {}).get(name, {}).get('median_s')
        yield Goal(f'start to first result, {name}', START_S, value, ' s', True,
                   busy(report.get('cold_start', {})).removeprefix('; '))


def busy(part: Report) -> str:
    """What to add to a figure by the clock where other work took part of the machine; empty where
    none did."""
    about = part.get('machine', {})
    if about.get('busy_others', 0) <= .2:
        return ''
    return f'; {about["busy_others"]:.1f} of {about["cores"]} cores were busy with other work'
