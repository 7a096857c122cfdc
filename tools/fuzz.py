# SPDX-License-Identifier: Apache-2.0
"""Inputs that nobody would think of, a kind at a time, each kind in a process of its own: only our
own errors may come out.

    python -m tools.fuzz --n 100000 --out bench/results/fuzz.json
    python -m tools.fuzz --n 1000000 --out bench/results/fuzz.json --resume

Prints inputs taken, refused and broken by kind; exits with 1 where one broke, or a process died.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from face_attributes_ros.errors import FaceAttributesError
from tools.evidence import fuzz_rows
from tools.fuzz_kinds import KINDS, Kind

ROOT = Path(__file__).resolve().parents[1]
BLOCK = 2000
"""Inputs that hypothesis remembers at a time."""

ROUND = 100_000
"""Inputs of all kinds after which the report is written; the rest goes on from there."""

MOST_FINDS = 20
COUNTED = ('taken', 'refused', 'broken')


class Tally:
    """Counts of one kind, and the first input of each way to break, by exception and place."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.finds: dict[str, dict[str, str]] = {}

    def judge(self, kind: Kind, value: Any) -> None:
        """Tries an input."""
        try:
            kind.trial(value)
            self.counts['taken'] += 1
        except FaceAttributesError:
            self.counts['refused'] += 1
        except Exception as error:
            self.counts['broken'] += 1
            frames = traceback.extract_tb(error.__traceback__)
            ours = next((f for f in reversed(frames) if str(ROOT) in f.filename), frames[-1])
            where = f'{type(error).__name__} in {Path(ours.filename).name}:{ours.lineno}'
            if len(self.finds) < MOST_FINDS:
                self.finds.setdefault(where, {'error': str(error)[:300],
                                              'input': repr(value)[:1000]})


def fuzz(kind: Kind, count: int, first_seed: int = 0) -> Tally:
    """Tries `count` inputs of a kind, or fewer where there are no more different ones."""
    tally, number = Tally(), 0
    while sum(tally.counts.values()) < count:
        left = count - sum(tally.counts.values())
        _block(kind, min(BLOCK, left), first_seed + number, tally)
        number += 1
        if number > 4 * count / BLOCK + 4:
            break
    return tally


def _block(kind: Kind, count: int, number: int, tally: Tally) -> None:
    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(kind.inputs)
    def one(value: Any) -> None:
        tally.judge(kind, value)

    one()


def one_kind(name: str, count: int, first_seed: int) -> dict[str, Any]:
    """The report of one kind, made in this process."""
    start = time.monotonic()
    tally = fuzz(KINDS[name], count, first_seed)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    counts = {key: tally.counts[key] for key in COUNTED}
    return {'about': KINDS[name].about, 'inputs': sum(counts.values()), **counts,
            'seconds': round(time.monotonic() - start), 'peak_mb': round(peak_mb),
            'finds': tally.finds}


def in_a_process(name: str, count: int, first_seed: int) -> dict[str, Any]:
    """The report of one kind, made in a process that may die of it."""
    command = [sys.executable, '-m', 'tools.fuzz', '--only', name, '--inputs', str(count),
               '--seed', str(first_seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors='replace')
    if done.returncode:
        died = {'error': f'process ended with {done.returncode}', 'input': done.stderr[-1000:]}
        return {'about': KINDS[name].about, 'inputs': 0, 'taken': 0, 'refused': 0, 'broken': 1,
                'seconds': 0, 'peak_mb': 0, 'finds': {'died': died}}
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two reports of a kind as one."""
    sums = {name: one[name] + other[name] for name in ('inputs', *COUNTED, 'seconds')}
    return {**other, **sums, 'peak_mb': max(one['peak_mb'], other['peak_mb']),
            'finds': {**other['finds'], **one['finds']}}


def _say(report: dict[str, dict[str, Any]]) -> None:
    print(fuzz_rows(report))
    for name, one in report.items():
        for where, find in one['finds'].items():
            print(f'{name}: {where}: {find["error"]}\n    {find["input"]}')


def main(arguments: Sequence[str] | None = None) -> int:
    """Tries all kinds, prints the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--n', type=int, default=20_000, help='inputs of all kinds together')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--resume', action='store_true',
                        help='add to the report in OUT what it lacks of N, with further seeds')
    parser.add_argument('--only', choices=KINDS, help='one kind, its report as JSON')
    parser.add_argument('--inputs', type=int, default=1000, help='inputs of --only')
    args = parser.parse_args(arguments)
    if args.only:
        print(json.dumps(one_kind(args.only, args.inputs, args.seed)))
        return 0
    if args.resume and not args.out:
        parser.error('--resume needs --out')
    report: dict[str, dict[str, Any]] = json.loads(args.out.read_text()) if args.resume else {}
    for start in range(sum(one['inputs'] for one in report.values()), args.n, ROUND):
        number, count = -(-start // ROUND), min(ROUND, args.n - start)
        new = {name: in_a_process(name, round(count * kind.share), args.seed + 1000 * number)
               for name, kind in KINDS.items()}
        report |= {name: added(report[name], one) if name in report else one
                   for name, one in new.items()}
        if args.out:
            args.out.write_text(json.dumps(report, indent=1) + '\n')
    _say(report)
    return 1 if any(one['broken'] for one in report.values()) else 0


if __name__ == '__main__':
    sys.exit(main())
