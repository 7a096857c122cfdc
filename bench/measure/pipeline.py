# SPDX-License-Identifier: Apache-2.0
"""The pipeline without ROS, beside its peers, frame by frame in turn.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.measure.pipeline --threads 1 \
        --out FILE [--peers DIR]

With one thread, CPU milliseconds a frame, on one core; with more, milliseconds by the clock, which
only an idle machine tells.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from bench.report.figures import Report, cpu_ms, ratio_keys, summary, wall_ms
from bench.rig import frames, machine
from bench.rig.contenders import Contender, Ours, chosen, ours, peers
from bench.rig.frames import Boxes
from face_attributes_ros.engines.models import shipped
from face_attributes_ros.faces import Track

Compared = tuple[str, Report, dict[str, float], Report, dict[str, str], Report]
HEIGHT, EXTRA_DETECTOR = 720, 'detector_small'
BUDGET_S = 60.
"""A row ends early after this, for with two threads on a busy machine torch may take seconds a
frame."""


def interleaved(contenders: Mapping[str, Contender], image: np.ndarray, boxes: Boxes, rounds: int,
                timed: Callable[[Callable[[], object]], float]) -> dict[str, np.ndarray]:
    """Milliseconds of each contender in each round, taken in turn, so that a machine that changes
    its speed changes it for all."""
    for call in contenders.values():
        for _ in range(2):
            call(image, boxes)
    rows, end = [], time.monotonic() + BUDGET_S
    for number in range(rounds):
        if number >= 3 and time.monotonic() > end:
            break
        names = list(contenders)
        first = number % len(names)  # nobody is always the one after the greediest
        rows.append({name: timed(partial(contenders[name], image, boxes))
                     for name in names[first:] + names[:first]})
    return {name: np.array([row[name] for row in rows]) for name in contenders}


def stages(one: Ours, image: np.ndarray, boxes: Boxes, rounds: int) -> dict[str, float]:
    """Median CPU ms of each stage of a frame of ours, with what the node adds: reading the message
    and making the answer."""
    from std_msgs.msg import Header

    from face_attributes_ros.ros import images

    message, rows = images.from_array(image, Header()), []
    for watch in one.watches:
        watch.clock = time.process_time
    for _ in range(rounds + 2):  # the first two import and allocate
        start = time.process_time()
        pixels = images.to_bgr(message)
        decode_ms = 1e3 * (time.process_time() - start)
        start = time.process_time()
        tracks = one(pixels, boxes)
        pipeline_ms = 1e3 * (time.process_time() - start)
        stages = one.pipeline.stage_ms
        row = {'decode': decode_ms, **stages, 'other': pipeline_ms - sum(stages.values())}
        row['publish'] = cpu_ms(partial(_serialized, (image.shape[1], image.shape[0]), tracks))
        rows.append(row)
    for watch in one.watches:
        watch.clock = time.perf_counter
    return {stage: round(float(np.median([row[stage] for row in rows[2:]])), 3)
            for stage in rows[0]}


def _serialized(size: tuple[int, int], tracks: list[Track]) -> bytes:
    """The answer as it goes on the wire."""
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    from face_attributes_ros.ros.messages import faces_array

    wire: bytes = serialize_message(faces_array(Header(), '', size, tracks))
    return wire


def compare(count: int, threads: int, rounds: int, folder: Path | None, detector: str) -> Compared:
    """One row of the report: times of all contenders on a frame with `count` faces, ratios,
    stages."""
    able, skipped = ours(threads, detector)
    others, more = peers(threads, folder, detector)
    image, boxes = frames.frame(*frames.SIZES[HEIGHT], count)
    torch.set_num_threads(threads)
    everybody: dict[str, Contender] = {**able, **others}
    values = interleaved(everybody, image, boxes, rounds,
                         cpu_ms if threads == 1 else wall_ms)
    row = {name: {**summary(v), 'frames': len(v), 'faces_found': everybody[name].found}
           for name, v in values.items()}
    label = '' if detector == 'detector_tiny' else f'_{detector.removeprefix("detector_")}'
    ratios: dict[str, float] = {}
    for peer in others:
        for name in able:
            precision = name.split('_')[1]
            for key in ratio_keys(f'{peer}{label}', name, precision, HEIGHT, count, threads,
                                  name == chosen(able, precision)):
                ratios[key] = round(float(np.median(values[peer] / values[name])), 2)
    about = {name: one.about for name, one in everybody.items()}
    timed = {name: stages(one, image, boxes, rounds)
             for name, one in able.items()} if threads == 1 else {}
    missing = {f'{name}{label}': reason for name, reason in {**skipped, **more}.items()}
    return f'{HEIGHT}p_{count}faces_{threads}t{label}', row, ratios, timed, missing, about


def measure(args: argparse.Namespace) -> Report:
    """The report of one thread count."""
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    jobs = [(count, 'detector_tiny') for count in args.faces]
    if EXTRA_DETECTOR in shipped():
        jobs.append((4, EXTRA_DETECTOR))
    report: Report = {
        'unit': 'CPU ms a frame' if args.threads == 1 else 'ms a frame by the clock',
        'rounds': args.rounds, 'frames': {}, 'ratios': {}, 'stages': {}, 'skipped': {},
        'contenders': {}
    }
    for count, detector in jobs:
        key, row, ratios, timed, skipped, about = compare(count, args.threads, args.rounds,
                                                          args.peers, detector)
        report['frames'][key] = row
        report['ratios'] |= ratios
        report['skipped'] |= skipped
        report['contenders'] |= about if detector == 'detector_tiny' else {}
        report['stages'] |= {key: timed} if timed else {}
        print(key,
              {name: (values['median'], values['faces_found']) for name, values in row.items()},
              flush=True)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--faces', type=int, nargs='+', default=list(frames.COUNTS))
    parser.add_argument('--peers', type=Path)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    machine.require_thread_limits(args.threads)
    if args.threads == 1:  # some peers cannot be told how many threads to use: one core is one
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about, start = machine.about(), time.monotonic()
    report = {'machine': about, **measure(args), 'took_s': round(time.monotonic() - start)}
    args.out.write_text(json.dumps(report))


if __name__ == '__main__':
    main()
