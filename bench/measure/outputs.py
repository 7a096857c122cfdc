# SPDX-License-Identifier: Apache-2.0
"""What the added outputs (REP 155 with crops, vision_msgs, TF) cost while nobody listens to them:
CPU time a frame of a node that was asked for all of them, over that of one that was not.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.measure.outputs --out FILE

Two real nodes in this process, with their own networks, publishers and DDS writers; somebody
listens to the `~/faces` of both. They take the same image in turn: it is read, looked at and
published. Then somebody listens to everything of the one that was asked, and they do the same
again: a measurement that could not tell would find nothing there either.

The networks are the same for both and take nearly all of the time, and on a busy machine they
differ from one frame to the next by more than what is looked for. So what lies outside of the
pipeline is timed by itself, and `ratio` counts the networks' time of the plain node for both.

What is asked for is what is installed of hri_msgs, vision_msgs and tf2_msgs.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.report.figures import Report, cpu_ms, summary
from bench.rig import frames, machine
from bench.rig.contenders import first_on_cpu
from bench.rig.processes import own_domain

HEIGHT, FACES, WARM_UP, PATIENCE_S = 720, 4, 10, 30.
PLAIN, ASKED = 'plain', 'asked'
Take = Callable[[], tuple[float, float]]
"""Has a node take one image; CPU ms of all that, and of what of it was outside of the pipeline."""


def asked_for() -> dict[str, bool]:
    """The parameters that ask for outputs whose packages are installed."""
    from face_attributes_ros.errors import ParameterError
    from face_attributes_ros.options import options
    from face_attributes_ros.ros.outputs.publishers import KINDS, check
    from face_attributes_ros.settings import Settings

    names, found = {one.field: one.name for one in options(Settings)}, dict[str, bool]()
    for kind in KINDS:
        asked: dict[str, Any] = {kind.SWITCH: True}
        if not kind.SWITCH:
            continue
        try:
            check(Settings(**asked))
        except ParameterError:
            continue
        found[names[kind.SWITCH]] = True
    if 'rep155.enable' in found:
        found['privacy.publish_crops'] = True
    return found


class Robot:
    """The two nodes, and who listens to them."""

    def __init__(self, asked: Mapping[str, bool]) -> None:
        import rclpy

        from face_attributes_ros.ros.environment import prepare_environment

        prepare_environment()
        rclpy.init()
        self._listener = rclpy.create_node('bench_listener')
        self._heard: list[Any] = []
        self.nodes = {name: _active(name, parameters)
                      for name, parameters in ((PLAIN, {}), (ASKED, asked))}
        self.frames = {name: _taker(node) for name, node in self.nodes.items()}
        for node in self.nodes.values():
            self._listen(node, ['faces'])

    def engines(self) -> dict[str, str]:
        """What the networks run on."""
        about = self.nodes[ASKED].work.pipeline.description
        return {key: value for key, value in about.items() if key.endswith('_engine')}

    def hear_everything(self) -> None:
        """Listens to all that the asked node has and the plain one has not: the topics of the
        faces as well, which are there once somebody listens to the others."""
        others = self._by_name(PLAIN).keys()
        for _ in range(2):
            self._listen(self.nodes[ASKED], self._by_name(ASKED).keys() - others)
            for _ in range(WARM_UP):
                self.frames[ASKED]()

    def close(self) -> None:
        """Ends the nodes."""
        import rclpy

        for node in self.nodes.values():
            node.trigger_deactivate()
            node.end()
        rclpy.shutdown()

    def _by_name(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.nodes[name].work.publishers[''].by_name
        return found

    def _listen(self, node: Any, names: Sequence[str] | set[str]) -> None:
        outputs = node.work.publishers['']
        for name in names:
            publisher = outputs.by_name[name]
            if publisher.get_subscription_count() == 0:
                self._heard.append(self._listener.create_subscription(
                    publisher.msg_type, publisher.topic_name, lambda _: None, 1))
        end = time.monotonic() + PATIENCE_S
        while not all(map(outputs.wanted, names)):
            if time.monotonic() > end:
                raise RuntimeError(f'nobody hears {", ".join(sorted(names))}')
            time.sleep(.02)


def _active(name: str, parameters: Mapping[str, bool]) -> Any:
    # Nobody spins it: frames are handed to it one by one.
    from rclpy.parameter import Parameter

    from face_attributes_ros.ros.calibration import Calibration
    from face_attributes_ros.ros.node import FaceAttributesNode

    backend = first_on_cpu()
    values = {'autostart': False, 'threads': 1, 'precision': 'fp32', 'detector.backend': backend,
              'attributes.backend': backend, 'max_frame_age': 0., **parameters}
    node = FaceAttributesNode(name=f'bench_{name}', parameter_overrides=[
        Parameter(key, value=value) for key, value in values.items()])
    node.trigger_configure()
    node.trigger_activate()
    if node.work is None:
        raise RuntimeError(f'the node with {dict(parameters)} does not configure')
    node.work.cameras[''].calibration = Calibration((1., 1., .5, .28))
    return node


def _taker(node: Any) -> Take:
    # As the node's worker has it.
    from std_msgs.msg import Header

    from face_attributes_ros.ros import images
    from face_attributes_ros.ros.processor import Processor
    from face_attributes_ros.ros.work import random_prefix

    work, networks_ms = node.work, [0.]
    prefix = random_prefix() if node.settings.rep155_enable else ''
    processor = Processor(work.cameras, work.publishers, work.pipeline, work.dropped,
                          node.get_clock(), node.get_logger(), prefix)
    look, found = work.pipeline.process, dict[str, Any]()
    pixels, _ = frames.frame(*frames.SIZES[HEIGHT], FACES)
    message = images.from_array(pixels, Header(frame_id='camera'))

    def timed(given: Any) -> Any:
        networks_ms[0] = cpu_ms(lambda: found.update(look(given)))
        return found

    def take() -> tuple[float, float]:
        message.header.stamp = node.get_clock().now().to_msg()
        whole_ms = cpu_ms(lambda: processor.process({'': message}, node.settings))
        return whole_ms, whole_ms - networks_ms[0]

    work.pipeline.process = timed
    return take


def in_turn(takes: Mapping[str, Take], rounds: int) -> list[dict[str, tuple[float, float]]]:
    """What each take says in each round; who begins changes from round to round."""
    for take in takes.values():
        for _ in range(WARM_UP):
            take()
    names, rows = list(takes), []
    for number in range(rounds):
        first = number % len(names)
        rows.append({name: takes[name]() for name in names[first:] + names[:first]})
    return rows


def figures(rows: Sequence[Mapping[str, tuple[float, float]]]) -> Report:
    """Of both the CPU ms a frame, least and summary, and those outside of the pipeline; how much
    more of the latter ASKED takes, and what that makes of the whole."""
    whole, rest = (np.array([[row[name][part] for name in (PLAIN, ASKED)] for row in rows]).T
                   for part in (0, 1))
    more_ms = rest[1] - rest[0]
    return {**{name: {'least': round(float(whole[at].min()), 2), **summary(whole[at]),
                      'outside': summary(rest[at])} for at, name in enumerate((PLAIN, ASKED))},
            'least_ratio': round(float(whole[1].min() / whole[0].min()), 3),
            'more_us': round(1e3 * float(np.median(more_ms))),
            'ratio': round(float(np.median((whole[0] + more_ms) / whole[0])), 4)}


def measure(rounds: int) -> Report:
    """What was asked for, and the figures while nobody hears it and while somebody does; why not,
    under `not_here`, where nothing can be asked for."""
    asked = asked_for()
    if not asked:
        return {'not_here': 'none of hri_msgs, vision_msgs and tf2_msgs is installed'}
    lock, robot = own_domain(), Robot(asked)
    try:
        unheard = figures(in_turn(robot.frames, rounds))
        robot.hear_everything()
        heard = figures(in_turn(robot.frames, rounds))
        return {'asked_for': sorted(asked), 'engines': robot.engines(), 'faces': FACES,
                'size': frames.SIZES[HEIGHT], 'rounds': rounds, 'unheard': unheard,
                'heard': heard}
    finally:
        robot.close()
        lock.close()


def main() -> None:
    """Measures and writes the JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--rounds', type=int, default=300)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    machine.require_thread_limits(1)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    about, start = machine.about(), time.monotonic()
    report = {'machine': about, **measure(args.rounds)}
    args.out.write_text(json.dumps({**report, 'took_s': round(time.monotonic() - start)}))


if __name__ == '__main__':
    main()
