# SPDX-License-Identifier: Apache-2.0
"""How fast everything is, beside peers in the same run: writes bench/results/speed.json and plots
beside it.

    python -m bench.measure.speed                           # all parts
    python -m bench.measure.speed --only pipeline floor     # the others stay as they were
    python -m bench.measure.speed --peers DIR               # with YuNet + face-api.js

All parts take under ten minutes on two idle cores; DIR holds the weights of YuNet and face-api.js.

Parts: `pipeline` (CPU milliseconds a frame at one thread, and by the clock at two, in turn with
the peers), `floor` (the networks against the rate of a matrix product), `outputs` (what REP 155,
vision_msgs and TF cost while nobody listens), `node` (processes over DDS: latency, rate, jitter,
CPU, memory), `dds` (images with and without the shipped Fast DDS profile), `cold_start`, `soak`
(under competing load). Each runs in a process of its own and says on what machine, under what
load, it was measured.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report.figures import Report
from bench.report.goals import busy
from bench.rig.machine import thread_limits

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / 'bench'
THREADS = {'pipeline': 1, 'pipeline_2t': 2, 'floor': 1, 'outputs': 1}
PARTS = ('pipeline', 'floor', 'outputs', 'node', 'dds', 'cold_start', 'soak')


def commands(part: str, args: argparse.Namespace) -> dict[str, list[Any]]:
    """The command lines of a part, by where in the report their results go."""
    peers = ['--peers', args.peers] if args.peers else []
    if part == 'pipeline':
        script = ['-m', 'bench.measure.pipeline', '--rounds', args.rounds, *peers]
        return {
            'pipeline': [*script, '--threads', 1],
            'pipeline_2t': [*script, '--threads', 2, '--faces', 4]
        }
    if part == 'floor':
        return {'floor': ['-m', 'bench.measure.floor', '--rounds', args.rounds]}
    if part == 'outputs':
        return {'outputs': ['-m', 'bench.measure.outputs', '--rounds', 10 * args.rounds]}
    return {
        part: [
            '-m', 'bench.measure.node', '--part', part, '--seconds', args.seconds,
            '--soak-seconds', args.soak_seconds
        ]
    }


def run(part: str, args: argparse.Namespace) -> Report:
    """The results of a part; where its process failed, its last words under `failed`."""
    found = {}
    for key, command in commands(part, args).items():
        print(f'--- {key}', flush=True)
        with tempfile.NamedTemporaryFile(suffix='.json') as out:
            limits = thread_limits(THREADS[key]) if key in THREADS else {}
            done = subprocess.run([sys.executable, *map(str, command), '--out', out.name],
                                  stderr=subprocess.PIPE, text=True, cwd=ROOT,
                                  env={**os.environ, **limits})
            text = Path(out.name).read_text()
        if done.returncode or not text:
            print(done.stderr, file=sys.stderr)
            found[key] = {
                'failed': (done.stderr.replace(f'{ROOT}/', '').strip().splitlines()
                           or ['without a word'])[-1]
            }
        else:
            found[key] = json.loads(text)
    return found


def merged(report: Report, found: Report) -> Report:
    """The report with new parts in place of the old ones, and all ratios in one object. A part
    that this machine cannot measure leaves what another one has."""
    report = {**report, **{key: part for key, part in found.items()
                           if 'not_here' not in part or key not in report}}
    ratios: dict[str, float] = {}
    for key in ('pipeline', 'pipeline_2t'):
        part = report.get(key, {})
        # By the clock, a busy machine stalls whoever waits for all threads: no ratio.
        if key == 'pipeline' or not busy(part):
            ratios |= part.get('ratios', {})
    about = report.get('pipeline', {}).get('machine', {})
    rest = {key: value for key, value in report.items() if key not in ('machine', 'ratios')}
    return {'machine': about, 'ratios': dict(sorted(ratios.items())), **rest}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=PARTS, default=list(PARTS))
    parser.add_argument('--rounds', type=int, default=30, help='frames of each contender')
    parser.add_argument('--seconds', type=float, default=5., help='of each stream over DDS')
    parser.add_argument('--soak-seconds', type=float, default=60.)
    parser.add_argument(
        '--peers', type=Path,
        help='folder with yunet/ and attributes.py; without it that peer is left out')
    parser.add_argument('--json', type=Path, default=HERE / 'results' / 'speed.json')
    args = parser.parse_args()
    report: Report = json.loads(args.json.read_text()) if args.json.exists() else {}
    start, failed = time.monotonic(), []
    if 'frames' in report:  # written by an earlier version
        report = {}
    for part in args.only:
        found = run(part, args)
        failed += [key for key, value in found.items() if 'failed' in value]
        report = merged(report, found)
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(report, indent=1) + '\n')
    from bench.report import plots as speed_plots
    from bench.report import tables as speed_tables

    speed_plots.draw(report, args.json.parent)
    print(speed_tables.plain(report))
    print(f'{args.json} and its plots written after {time.monotonic() - start:.0f} s')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
