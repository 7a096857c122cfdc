# SPDX-License-Identifier: Apache-2.0
"""The pipeline without ROS, beside its peers, frame by frame in turn.

    python -m bench.measure.pipeline --threads 1 --out FILE [--peers DIR]

With one thread, CPU milliseconds a frame, on one core; with more, milliseconds by the clock, which
only an idle machine tells.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

_THREADS = sys.argv[sys.argv.index('--threads') + 1] if '--threads' in sys.argv else '1'
for _name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'):
    os.environ[_name] = _THREADS
ROOT = Path(__file__).resolve().parents[2]

import cv2
import numpy as np
import torch

from bench.report.figures import cpu_ms, ratio_keys, summary, wall_ms
from bench.rig import frames, machine
from bench.rig.contenders import chosen, ours, peers
from face_attributes_ros.engines.models import shipped

HEIGHT, EXTRA_DETECTOR = 720, 'detector_small'
BUDGET_S = 60.
"""A row ends early after this, for with two threads on a busy machine torch may take seconds a
frame."""


def interleaved(contenders, image, boxes, rounds, timed):
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
        names = names[number % len(names):] + names[:number % len(
            names)]  # nobody is always the one after the greediest
        rows.append({name: timed(lambda: contenders[name](image, boxes)) for name in names})
    return {name: np.array([row[name] for row in rows]) for name in contenders}


def stages(one, image, boxes, rounds):
    """Median CPU ms of each stage of a frame of ours, with what the node adds: reading the message
    and making the answer."""
    from rclpy.serialization import serialize_message
    from std_msgs.msg import Header

    from face_attributes_ros.ros import images
    from face_attributes_ros.ros.messages import faces_array

    watch, message, size = one.pipeline.watch, images.from_array(image,
                                                                 Header()), image.shape[1::-1]
    clock, watch.clock, rows = watch.clock, time.process_time, []
    for _ in range(rounds + 2):  # the first two import and allocate
        start = time.process_time()
        pixels = images.to_bgr(message)
        decode_ms = 1e3 * (time.process_time() - start)
        start = time.process_time()
        tracks = one(pixels, boxes)
        pipeline_ms = 1e3 * (time.process_time() - start)
        row = {
            'decode': decode_ms,
            **one.pipeline.stage_ms, 'other': pipeline_ms - sum(one.pipeline.stage_ms.values())
        }
        row['publish'] = cpu_ms(
            lambda: serialize_message(faces_array(Header(), '', size, tracks, smoothed=True)))
        rows.append(row)
    watch.clock = clock
    return {
        stage: round(float(np.median([row[stage] for row in rows[2:]])), 3) for stage in rows[0]
    }


def compare(count, threads, rounds, folder, detector):
    """One row of the report: times of all contenders on a frame with `count` faces, ratios,
    stages."""
    able, skipped = ours(threads, detector)
    others, more = peers(threads, folder, detector)
    image, boxes = frames.frame(*frames.SIZES[HEIGHT], count)
    torch.set_num_threads(threads)
    values = interleaved({**able, **others}, image, boxes, rounds,
                         cpu_ms if threads == 1 else wall_ms)
    row = {
        name: {**summary(v), 'frames': len(v), 'faces_found': {**able, **others}[name].found}
        for name, v in values.items()
    }
    label = '' if detector == 'detector_tiny' else f'_{detector.removeprefix("detector_")}'
    ratios = {}
    for peer in others:
        for name in able:
            precision = name.split('_')[1]
            for key in ratio_keys(f'{peer}{label}', name, precision, HEIGHT, count, threads,
                                  name == chosen(able, precision)):
                ratios[key] = round(float(np.median(values[peer] / values[name])), 2)
    about = {name: one.about for name, one in {**able, **others}.items()}
    timed = {name: stages(one, image, boxes, rounds)
             for name, one in able.items()} if threads == 1 else {}
    missing = {f'{name}{label}': reason for name, reason in {**skipped, **more}.items()}
    return f'{HEIGHT}p_{count}faces_{threads}t{label}', row, ratios, timed, missing, about


def measure(args):
    """The report of one thread count."""
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    jobs = [(count, 'detector_tiny') for count in args.faces]
    if EXTRA_DETECTOR in shipped():
        jobs.append((4, EXTRA_DETECTOR))
    report = {
        'unit': 'CPU ms a frame' if args.threads == 1 else 'ms a frame by the clock',
        'rounds': args.rounds, 'frames': {}, 'ratios': {}, 'stages': {}, 'skipped': {},
        'contenders': {}
    }
    for count, detector in jobs:
        key, row, ratios, timed, skipped, about = compare(count, args.threads, args.rounds,
                                                          args.peers, detector)
        report['frames'][key], report['ratios'], report[
            'skipped'] = row, report['ratios'] | ratios, report['skipped'] | skipped
        report['contenders'] |= about if detector == 'detector_tiny' else {}
        report['stages'] |= {key: timed} if timed else {}
        print(key,
              {name: (values['median'], values['faces_found']) for name, values in row.items()},
              flush=True)
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=30)
    parser.add_argument('--faces', type=int, nargs='+', default=list(frames.COUNTS))
    parser.add_argument('--peers', type=Path)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    if args.threads == 1:  # some peers cannot be told how many threads to use: on one core they use one
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about, start = machine.about(), time.monotonic()
    report = {'machine': about, **measure(args), 'took_s': round(time.monotonic() - start)}
    args.out.write_text(json.dumps(report))


if __name__ == '__main__':
    main()
