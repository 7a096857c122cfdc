# SPDX-License-Identifier: Apache-2.0
"""How long the node takes to end after SIGINT or SIGTERM, at any moment of its life, while a
camera sends and other processes want the cores.

    python -m bench.measure.stop --starts 200 --out bench/results/stop.json

Each start is told to end after a random while, with one signal or two, every fourth once it is at
work, which on a busy machine takes longer; exits with 1 where one took longer than two seconds, or
ended with another code than 0 or a traceback. `before_us` counts those
that a signal reached before our first line, where Python does what it does with any program.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.rig import machine
from bench.rig.processes import BUSY, Camera, Child, Listener, node, own_domain

PROMISED_S = 2.
PATIENCE_S = 20.
SIGNALS = {'SIGTERM': (signal.SIGTERM, ), 'SIGINT': (signal.SIGINT, ),
           'SIGTERM twice': (signal.SIGTERM, signal.SIGTERM),
           'SIGINT, SIGTERM': (signal.SIGINT, signal.SIGTERM)}
SAYS = {'working': 'takes images from', 'loaded': 'ready in'}
"""What the node was doing: the last of its lines."""


def one_stop(after_s: float, name: str, at_work: bool = False) -> dict[str, Any]:
    """Starts the node, tells it to end so long after that, or after it is at work: what it was
    doing, seconds to its end, exit code."""
    with node() as child:
        if at_work:
            child.wait_for(SAYS['working'])
        time.sleep(after_s)
        output = child.output
        doing = next((words for words, text in SAYS.items() if text in output), 'starting')
        start = time.monotonic()
        for number in SIGNALS[name]:
            child.process.send_signal(number)
            time.sleep(.05 if len(SIGNALS[name]) > 1 else 0.)
        try:
            code = child.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.process.kill()
            code = child.process.wait()
        took_s = time.monotonic() - start
        output = child.output
    stop = {'signals': name, 'after_s': round(after_s, 2), 'doing': doing,
            'seconds': round(took_s, 3), 'code': code, 'traceback': 'Traceback' in output,
            'before_us': code in (-signal.SIGTERM, -signal.SIGINT) or
            'KeyboardInterrupt' in output}
    return stop | {'output': output[-2000:]} if is_odd(stop) else stop


def is_odd(stop: dict[str, Any]) -> bool:
    """Whether it ended in a way that it should not."""
    ended_well = stop['before_us'] or (stop['code'] == 0 and not stop['traceback'])
    return not ended_well or stop['seconds'] > PROMISED_S


def distribution(stops: list[dict[str, Any]]) -> dict[str, Any]:
    """How many, and how long: median, 95th and 99th percentile, most, and how many took longer
    than promised."""
    seconds = sorted(one['seconds'] for one in stops)
    cuts = statistics.quantiles(seconds, n=100, method='inclusive') if len(seconds) > 1 else []
    return {'stops': len(seconds), 'median_s': statistics.median(seconds),
            **{f'p{at}_s': round(cuts[at - 1], 3) for at in (95, 99) if cuts},
            'most_s': seconds[-1], 'over_2s': sum(value > PROMISED_S for value in seconds)}


def summary(stops: list[dict[str, Any]]) -> dict[str, Any]:
    """The distribution of all, by signals, and by what the node was doing; exit codes."""
    groups = {key: sorted({one[key] for one in stops}) for key in ('signals', 'doing')}
    return {'all': distribution(stops),
            **{f'by_{key}': {name: distribution([one for one in stops if one[key] == name])
                             for name in names} for key, names in groups.items()},
            'codes': dict(Counter(str(one['code']) for one in stops)),
            'before_us': sum(one['before_us'] for one in stops),
            'tracebacks': sum(one['traceback'] and not one['before_us'] for one in stops)}


def measure(starts: int, longest_s: float, busy: int, seed: int) -> list[dict[str, Any]]:
    """One stop after the other."""
    chance, stops = random.Random(seed), []
    with contextlib.ExitStack() as others:
        for _ in range(busy):
            others.enter_context(Child('-c', BUSY))
        others.enter_context(Listener())
        others.enter_context(Camera(480, 1, 15., 36_000., wait=0))
        for number in range(starts):
            stops.append(one_stop(chance.uniform(0, longest_s), chance.choice(list(SIGNALS)),
                                  at_work=number % 4 == 3))
            print(number, {k: v for k, v in stops[-1].items() if k != 'output'}, flush=True)
    return stops


def main() -> int:
    """Measures, writes the report, prints the distribution."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--starts', type=int, default=200)
    parser.add_argument('--longest-s', type=float, default=5., help='before the signal')
    parser.add_argument('--busy', type=int, default=2, help='processes that want a core each')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    # A shell that starts us in the background has us, and all that we start, ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lock, about = own_domain(), machine.about()
    stops = measure(args.starts, args.longest_s, args.busy, args.seed)
    report = {'machine': about, 'busy_processes': args.busy, **summary(stops), 'each': stops}
    args.out.write_text(json.dumps(report, indent=1) + '\n')
    lock.close()
    print(json.dumps({key: report[key] for key in ('all', 'by_signals', 'by_doing', 'codes')},
                     indent=1))
    odd = [one for one in stops if is_odd(one)]
    for one in odd:
        print(one.pop('output'), one, sep='\n')
    return 1 if odd else 0


if __name__ == '__main__':
    sys.exit(main())
