# SPDX-License-Identifier: Apache-2.0
"""The node through a long day in minutes: cameras, subscribers, parameters and transitions come
and go; then it is told to end.

    python -m bench.measure.soak --minutes 10 --out bench/results/soak.json

Writes the figures, and a plot beside them; says and exits with 1 what does not keep to BOUNDS.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.measure.soak_actions import ACTIONS, Robot
from bench.report.figures import Report
from bench.rig import machine
from bench.rig.processes import (
    ENCODINGS,
    Camera,
    Child,
    Listener,
    cpu_s,
    memory_mb,
    node,
    own_domain,
    threads_and_files,
)
from face_attributes_ros.settings import DEFAULTS

BOUNDS = {'memory_slope_mb_a_minute': 2., 'more_threads': 4, 'more_files': 8, 'ids_changed': 0,
          'views_without_results': 0, 'log_errors': 0, 'end_s': 2.}
"""The most of each; memory and descriptors are those after the warm-up."""

WARM_UP = .3
VIEW_S = 6.


class Watch(threading.Thread):
    """Memory, threads, descriptors and CPU time of a process, once a second: `samples` of
    (seconds, rss MB, threads, files, CPU s)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.samples = pid, list[tuple[float, float, int, int, float]]()
        self._start_s, self.done = time.monotonic(), threading.Event()

    def run(self) -> None:
        while not self.done.wait(1.):
            self.samples.append((time.monotonic() - self._start_s, memory_mb(self.pid)['rss'],
                                 *threads_and_files(self.pid), cpu_s(self.pid)))


def view(robot: Robot, listener: Listener, chance: random.Random, number: int) -> Report:
    """One camera comes, sends for VIEW_S, and goes, while something else happens."""
    encoding = 'jpeg' if robot.compressed else chance.choice(ENCODINGS[:-1])
    height, reliable = chance.choice((480, 480, 720, 1080)), chance.random() < .5
    action = list(ACTIONS)[number % len(ACTIONS)]
    listener.heard()
    with Camera(height, 1, 8., VIEW_S, warm_up=2., wait=0, encoding=encoding,
                reliable=reliable) as camera:
        camera.wait_for('measuring')
        forgets = ACTIONS[action](robot, camera, chance)
        camera.wait_for('done', VIEW_S + 60)
        sent = camera.sent()
    rows = [row for row in listener.heard()['rows'] if row['stamp_s'] >= sent['stamps_s'][0]]
    latencies = [1e3 * (row['received_s'] - row['stamp_s']) for row in rows if row['faces']]
    changed, pauses = ids_changed(rows)
    return {'action': action, 'height': height, 'encoding': encoding, 'reliable': reliable,
            'sent': len(sent['stamps_s']), 'results': len(rows), 'ids_changed': changed,
            'pauses': pauses, 'may_forget': forgets,
            'latencies_ms': [round(ms, 1) for ms in latencies]}


def ids_changed(rows: list[Report]) -> tuple[int, int]:
    """How often the one face of results got another id, and how often there was none for longer
    than a face unseen is remembered, after which it rightly may."""
    seen = [(row['stamp_s'], row['ids'][0]) for row in rows if len(row['ids']) == 1]
    steps = [(late - early, one != other) for (early, one), (late, other) in zip(seen, seen[1:])]
    pauses = sum(gap_s > DEFAULTS.tracking_max_coast for gap_s, _ in steps)
    return sum(other and gap_s <= DEFAULTS.tracking_max_coast for gap_s, other in steps), pauses


def soak(minutes: float, seed: int) -> Report:
    """The figures of so many minutes."""
    chance, views = random.Random(seed), list[Report]()
    end_s = time.monotonic() + 60 * minutes
    with node() as process, Listener() as listener, Robot() as robot:
        process.wait_for('takes images from')
        watch = Watch(process.pid)
        watch.start()
        while time.monotonic() < end_s:
            views.append(view(robot, listener, chance, len(views)))
            print({k: v for k, v in views[-1].items() if k != 'latencies_ms'}, flush=True)
        watch.done.set()
        watch.join()
        number = chance.choice((signal.SIGINT, signal.SIGTERM))
        start_s = time.monotonic()
        process.process.send_signal(number)
        code = process.process.wait(30)
        ended = {'signal': number.name, 'end_s': round(time.monotonic() - start_s, 2),
                 'code': code}
        return {**figures(watch.samples, views), **ended, **robot.counts,
                **from_log(process), 'samples': watch.samples, 'views': views}


def figures(samples: list[Any], views: list[Report]) -> Report:
    """Memory, threads and files after the warm-up; results and ids of the views."""
    seconds, rss, threads, files, cpu = np.array(samples).T
    late = seconds >= WARM_UP * seconds[-1]
    slope = np.polyfit(seconds[late] / 60, rss[late], 1)[0]
    tenth = max(1, int(late.sum() / 10))
    grown = [int(np.median(some[late][-tenth:]) - np.median(some[late][:tenth]))
             for some in (threads, files)]
    latencies = [ms for one in views for ms in one['latencies_ms']]
    steady = [one for one in views if not one['may_forget']]
    return {'seconds': round(float(seconds[-1])), 'cameras': len(views),
            'actions': dict(Counter(one['action'] for one in views)),
            'memory_mb': {'first': rss[0], 'warm': float(np.median(rss[late][:tenth])),
                          'last': rss[-1], 'most': rss.max()},
            'memory_slope_mb_a_minute': round(float(slope), 2),
            'threads': int(threads[-1]), 'more_threads': grown[0],
            'files': int(files[-1]), 'more_files': grown[1],
            'results': sum(one['results'] for one in views),
            'results_a_second': round(sum(one['results'] for one in steady) /
                                      max(1., VIEW_S * len(steady)), 2),
            'ids_changed': sum(one['ids_changed'] for one in steady),
            'pauses': sum(one['pauses'] for one in steady),
            'views_without_results': sum(not one['results'] for one in steady),
            'latency_ms': {'median': round(statistics.median(latencies), 1),
                           'p95': round(float(np.percentile(latencies, 95)), 1)},
            'node_cpu_cores': round(float((cpu[-1] - cpu[0]) / (seconds[-1] - seconds[0])), 2)}


def from_log(process: Child) -> Report:
    """What the node's log says is wrong: how many lines, and which."""
    lines = [line for line in process.output.splitlines()
             if '[ERROR]' in line or '[FATAL]' in line or line.startswith('Traceback')]
    return {'log_errors': len(lines), 'log': lines[:20]}


def plot(report: Report, path: Path) -> None:
    """Memory, threads and descriptors over time."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    seconds, rss, threads, files, _ = np.array(report['samples']).T
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5), sharex=True)
    above.plot(seconds / 60, rss)
    above.axvline(WARM_UP * seconds[-1] / 60, color='grey', linestyle=':')
    above.set_ylabel('resident memory, MB')
    above.set_title(f'{report["cameras"]} cameras came and went; '
                    f'{report["memory_slope_mb_a_minute"]} MB a minute after the warm-up')
    below.plot(seconds / 60, threads, label='threads')
    below.plot(seconds / 60, files, label='open descriptors')
    below.set_xlabel('minutes')
    below.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def offences(report: Report) -> list[str]:
    """One line for each bound that was not kept."""
    found = [f'{name} is {report[name]}, may be {most}' for name, most in BOUNDS.items()
             if report[name] > most]
    return found + ([f'exit code {report["code"]}'] if report['code'] else []) + [
        f'wrong answer to {name}' for name in report['wrong_answers']]


def main() -> int:
    """Soaks, writes the report and the plot, and says what should not be."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--minutes', type=float, default=10.)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # see bench.measure.stop
    lock, about = own_domain(), machine.about()
    report = {'machine': about, **soak(args.minutes, args.seed)}
    args.out.write_text(json.dumps(report) + '\n')
    plot(report, args.out.with_suffix('.png'))
    lock.close()
    print(json.dumps({k: v for k, v in report.items() if k not in ('samples', 'views')}, indent=1))
    print('\n'.join(offences(report)) or f'within bounds: {args.out}')
    return 1 if offences(report) else 0


if __name__ == '__main__':
    sys.exit(main())
