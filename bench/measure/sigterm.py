# SPDX-License-Identifier: Apache-2.0
"""How long the node takes to end after SIGTERM on a machine without a core to spare.

    python -m bench.measure.sigterm --runs 200 --out bench/results/sigterm.json

An image source floods the node and a recorder listens; a busy loop for each core competes. The
node is started again and again, and told to end at a moment of its life that is drawn at random:
while it imports, loads, works. Says how many took longer than two seconds. The exit code is 0, or
-15 where Python had not yet come to our first line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bench.rig.processes import own_domain

RUN = (sys.executable, '-m', 'face_attributes_ros.ros.run')
PROMISE_S = 2.
LONGEST_LIFE_S = 4.


def start(*command: str) -> subprocess.Popen[bytes]:
    """A process whose output is of no interest."""
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def load(folder: Path) -> list[subprocess.Popen[bytes]]:
    """What keeps the node and the machine busy."""
    picture = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    cv2.imwrite(str(folder / 'a.png'), picture)
    busy = [start(sys.executable, '-c', 'while True: pass') for _ in range(os.cpu_count() or 1)]
    source = start(*RUN, 'image_source', '--ros-args', '-p', f'sources:=["{folder}/a.png"]', '-p',
                   'rate:=30.0')
    recorder = start(*RUN, 'recorder', '--ros-args', '-p', f'folder:={folder}/recording')
    return [*busy, source, recorder]


def one_run(rng: random.Random) -> dict[str, Any]:
    """A life of the node: how long it lived, how long its end took, and its exit code."""
    node = start(*RUN, 'face_attributes_node')
    lived_s = rng.uniform(.3, LONGEST_LIFE_S)
    time.sleep(lived_s)
    began = time.monotonic()
    node.send_signal(signal.SIGTERM)
    code = node.wait()
    return {'lived_s': round(lived_s, 2), 'took_s': round(time.monotonic() - began, 3),
            'code': code}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts and percentiles of `took_s`."""
    took = [run['took_s'] for run in runs]
    return {'runs': len(runs), 'over_two_seconds': sum(each > PROMISE_S for each in took),
            'codes': {str(code): sum(run['code'] == code for run in runs)
                      for code in sorted({run['code'] for run in runs})},
            'median_s': float(np.median(took)), 'p95_s': float(np.percentile(took, 95)),
            'max_s': max(took), 'cores': os.cpu_count(), 'load_average': os.getloadavg()[0]}


def main() -> int:
    """Runs, writes every run and the summary; 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--runs', type=int, default=200)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, default=Path('bench/results/sigterm.json'))
    args = parser.parse_args()
    rng, lock = random.Random(args.seed), own_domain()
    with tempfile.TemporaryDirectory() as folder, lock:
        others = load(Path(folder))
        try:
            runs = [one_run(rng) for _ in range(args.runs)]
        finally:
            for other in others:
                other.terminate()
                other.wait()
    found = summary(runs)
    args.out.write_text(json.dumps({**found, 'each': runs}, indent=1) + '\n')
    print(json.dumps(found))
    return 1 if found['over_two_seconds'] or not set(found['codes']) <= {'0', '-15'} else 0


if __name__ == '__main__':
    sys.exit(main())
