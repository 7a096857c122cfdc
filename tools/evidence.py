# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reliability.md: what `make fuzz`, `make stop`, `make soak` and
bench.measure.traced measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from face_attributes_ros.markdown import grid
from tools.pages import RESULTS

FUZZ = ('inputs', 'taken', 'refused', 'broken', 'seconds', 'peak_mb')


def _measured(name: str) -> Any:
    return json.loads((RESULTS / f'{name}.json').read_text())


def fuzz_rows(report: Mapping[str, Mapping[str, Any]]) -> str:
    """Inputs by kind."""
    lines = [[kind, one['about'], *(f'{one[name]:,}' for name in FUZZ)]
             for kind, one in report.items()]
    sums = [sum(one[name] for one in report.values()) for name in FUZZ[:5]]
    lines.append(['all', '', *(f'{value:,}' for value in sums), ''])
    return grid(['kind', 'what', 'inputs', 'taken', 'refused', 'broken', 's', 'peak MB'], lines)


def fuzz() -> str:
    """Inputs by kind, as they were measured."""
    return fuzz_rows(_measured('fuzz'))


def stop() -> str:
    """How long the node took to end."""
    report = _measured('stop')
    groups = {'all': report['all'], **report['by_signals'], **report['by_doing']}
    lines = [[name, one['stops'], *(f'{one.get(key, one["most_s"]):.2f}'
                                    for key in ('median_s', 'p95_s', 'most_s')), one['over_2s']]
             for name, one in groups.items()]
    codes = ', '.join(f'{code} ({count})' for code, count in report['codes'].items())
    about = report['machine']
    return (grid(['signal, or what it was doing', 'ends', 'median s', 'p95 s', 'most s',
                  'over 2 s'], lines)
            + f'\nExit codes: {codes}; before our first line: {report["before_us"]}; tracebacks: '
            f'{report["tracebacks"]}; told to end after up to '
            f'{max(one["after_s"] for one in report["each"])} s; load average before: '
            f'{about["load_1min"]} on {about["cores"]} cores, and {report["busy_processes"]} busy '
            f'processes of ours; {about["time"]}.\n')


def soak() -> str:
    """What a soak found."""
    report = _measured('soak')
    about, memory = report['machine'], report['memory_mb']
    lines = [
        ['seconds', report['seconds']], ['cameras that came and went', report['cameras']],
        ['parameters set, refused', f'{report["parameters_set"]}, {report["parameters_refused"]}'],
        ['lifecycle transitions', report['transitions']],
        ['wrong answers', len(report['wrong_answers'])],
        ['memory MB: first, after the warm-up, last, most',
         ', '.join(f'{memory[name]:.0f}' for name in ('first', 'warm', 'last', 'most'))],
        ['memory, MB a minute after the warm-up', report['memory_slope_mb_a_minute']],
        ['threads, more than after the warm-up', f'{report["threads"]}, {report["more_threads"]}'],
        ['descriptors, more than after the warm-up', f'{report["files"]}, {report["more_files"]}'],
        ['ids of a face that stands still that changed', report['ids_changed']],
        ['times that nothing came for longer than tracking.max_coast', report['pauses']],
        ['results', report['results']],
        ['results a second of a camera of 8 Hz', report['results_a_second']],
        ['latency ms: median, p95',
         f'{report["latency_ms"]["median"]}, {report["latency_ms"]["p95"]}'],
        ['errors in the log', report['log_errors']],
        [f'end after {report["signal"]}: s, exit code', f'{report["end_s"]}, {report["code"]}']]
    return (grid(['what', 'measured'], lines)
            + f'\nLoad average before: {about["load_1min"]} on {about["cores"]} cores; '
            f'{about["time"]}.\n')


def traced() -> str:
    """What strace saw of three processes."""
    report = _measured('traced')
    kinds = ('calls', 'looked_up', 'hosts', 'files')
    lines = [[name, *(len(one[kind]) if isinstance(one[kind], list) else f'{one[kind]:,}'
                      for kind in kinds), one['exit']]
             for name, one in report.items() if isinstance(one, dict)]
    seen = report['recorder']
    return (grid(['process', 'calls that connect, send, open, make or rename', 'hosts looked up',
                  'other machines', 'files elsewhere', 'exit code'], lines)
            + f'\n{report["seconds"]:.0f} s; the recorder wrote {seen["messages"]:,} messages '
            f'with {seen["faces"]:,} faces.\n')


TABLES = {'fuzz': fuzz, 'stop': stop, 'soak': soak, 'traced': traced}
