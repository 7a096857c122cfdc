# SPDX-License-Identifier: Apache-2.0
"""Shows pictures to the node over real DDS, as three processes, and says what it saw:

    python -m face_attributes_ros.ros.companions.demo [PICTURE|FOLDER ...] [--out build/demo]

Without paths it takes the photographs that the package ultralytics carries, or scikit-image's.
`-p NAME:=VALUE` sets a parameter of the node. Exit code 1 if any picture brought no message.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TextIO

from face_attributes_ros import captions
from face_attributes_ros.console import say
from face_attributes_ros.errors import FaceAttributesError, ParameterError
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures.writer import make_folder
from face_attributes_ros.ros.companions.pictures import expand
from face_attributes_ros.ros.companions.recorder import FOUND
from face_attributes_ros.ros.messages import to_track

Process = subprocess.Popen[bytes]
_OWN = re.compile(r'recording|(recorder|node|image_source)\.log|\d+_.*\.png', re.DOTALL)
PHOTOGRAPHS = {'ultralytics': 'assets/*.jpg', 'skimage': 'data/astronaut.png'}
"""Where photographs of people are, by the package that carries them."""
START_S = 60.
"""How long loading and warming up may take on a slow machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demonstration; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('paths', nargs='*', help='pictures or folders')
    parser.add_argument('--out', type=Path, default=Path('build/demo'),
                        help='where annotated PNGs and logs go')
    parser.add_argument('--seconds', type=float, default=3., help='how long each picture is shown')
    parser.add_argument('--rate', type=float, default=10., help='images a second')
    parser.add_argument('-p', '--parameter', action='append', default=[], metavar='NAME:=VALUE',
                        help='a parameter of the node; may be given several times')
    parser.add_argument('--node-command', help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    try:
        sources = [str(Path(source).resolve()) if os.path.isfile(source) else source
                   for source in expand(options.paths or photographs())]
        options.out = own_folder(options.out)
    except FaceAttributesError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    problem = run(sources, options)
    return report(sources, options.out, problem)


def photographs() -> list[str]:
    """The photographs in a package that is installed; it is found but not imported."""
    for package, pattern in PHOTOGRAPHS.items():
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            found = sorted(map(str, Path(spec.origin).parent.glob(pattern)))
            if found:
                return found
    raise ParameterError('no picture given, and neither ultralytics nor scikit-image, whose '
                         'photographs would do, is installed')


def own_folder(path: Path) -> Path:
    """The folder, made if need be; ParameterError if it holds what no earlier demo put there."""
    folder = make_folder(path)
    names = os.listdir(folder)
    strange = [name for name in names if not _OWN.fullmatch(name)]
    if strange or names and 'recording' not in names:
        first = printable((strange or names)[0])
        raise ParameterError(f'--out {printable(folder)} holds {first}, needs an empty folder or '
                             'that of an earlier demo')
    return folder


def run(sources: list[str], options: argparse.Namespace) -> str | None:
    """Runs node, image source and recorder until every picture was shown; what went wrong, or
    None."""
    recording = options.out / 'recording'
    shutil.rmtree(recording, ignore_errors=True)
    recording.mkdir(mode=0o700)
    namespace = f'__ns:=/demo_{os.getpid()}'  # somebody else's demo on this network is not ours
    node = shlex.split(options.node_command) if options.node_command else [
        '-m', 'face_attributes_ros.ros.run', 'face_attributes_node'
    ]
    commands = {
        'recorder': [
            '-m', 'face_attributes_ros.ros.run', 'recorder', '--ros-args', '-r', namespace, '-p',
            f'folder:={json.dumps(str(recording))}', '-p', 'seconds_between_pictures:=0.3'
        ],
        'node': [*node, '--ros-args', '-r', namespace,
                 *(word for given in options.parameter for word in ('-p', given))],
        'image_source': [
            '-m', 'face_attributes_ros.ros.run', 'image_source', '--ros-args', '-r', namespace,
            '-p', f'sources:={json.dumps(sources)}', '-p', f'rate:={options.rate}', '-p',
            'loop:=false', '-p', f'seconds_each:={options.seconds}', '-p',
            'wait_for_subscribers:=1', '-p',
            f'published_log:={json.dumps(str(recording / "published.jsonl"))}'
        ],
    }
    processes: dict[str, Process] = {}
    logs = {name: open(options.out / f'{name}.log', 'w') for name in commands}
    try:
        for name in ('recorder', 'node'):
            processes[name] = _start(commands[name], logs[name])
        heard = options.out / 'recorder.log'
        problem = _wait(processes, lambda: FOUND in heard.read_text(errors='replace'), START_S,
                        options.out)
        if problem:
            return problem
        source = processes['image_source'] = _start(commands['image_source'], logs['image_source'])
        limit_s = START_S + len(sources) * (options.seconds + 1)
        problem = _wait(processes, lambda: source.poll() is not None, limit_s, options.out)
        time.sleep(.5)  # the last picture is still on its way through the node
        return problem
    finally:
        _stop(processes.values())
        for log in logs.values():
            log.close()


def _start(command: list[str], log: TextIO) -> Process:
    return subprocess.Popen([sys.executable, *command], stdout=log, stderr=subprocess.STDOUT)


def _wait(processes: Mapping[str, Process], done: Callable[[], bool], limit_s: float,
          out: Path) -> str | None:
    """Waits until `done()`; what went wrong meanwhile, or None."""
    end = time.monotonic() + limit_s
    while True:
        dead = [name for name, process in processes.items() if process.poll()]
        if dead:
            return f'{dead[0]} ended early: {_last_line(out / f"{dead[0]}.log")}'
        if done():
            return None
        if time.monotonic() > end:
            return f'not done after {limit_s:.0f} s; logs are in {out}'
        time.sleep(.05)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors='replace').strip().splitlines()
    return lines[-1] if lines else 'without a word'


def _stop(processes: Iterable[Process]) -> None:
    for process in processes:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def report(sources: list[str], out: Path, problem: str | None) -> int:
    """Prints what was seen in each picture and leaves its annotated PNG in `out`; 0 if every
    picture brought a message."""
    recording = out / 'recording'
    sent, seen = (_json_lines(recording / name) for name in ('published.jsonl', 'messages.jsonl'))
    source_of = {(line['sec'], line['nanosec']): line['source'] for line in sent}
    messages = defaultdict(list)
    for message in seen:
        stamp = message['header']['stamp']
        messages[source_of.get((stamp['sec'], stamp['nanosec']))].append(message)
    say(
        f'{"picture":<24}{"size":>11}{"sent":>6}{"seen":>6}{"rate":>9}'
        f'{"latency ms (median, p95)":>27}{"faces":>7}'
    )
    for number, source in enumerate(sources):
        count = sum(line['source'] == source for line in sent)
        _print_picture(source, messages[source], count)
        _keep_picture(messages[source], recording, out / f'{number + 1}_{Path(source).stem}.png')
    missing = [source for source in sources if not messages[source]]
    names = ', '.join(map(printable, missing))
    unseen = missing and f'no message came for {names}; logs are in {out}'
    for text in filter(None, [problem, unseen]):
        print(f'demo: {text}', file=sys.stderr)
    models = sorted({message['model_id'] for message in seen})
    say(f'models: {", ".join(models) or "none"}; annotated pictures: {out}')
    return 1 if problem or missing else 0


def _json_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _print_picture(source: str, messages: list[dict[str, Any]], sent: int) -> None:
    name = printable(Path(source).name)
    if not messages:
        say(f'{name:<24}{"":>11}{sent:>6}{0:>6}')
        return
    received = [message['received_s'] for message in messages]
    rate = (len(received) - 1) / (received[-1] - received[0]) if len(received) > 1 else 0.
    latencies = [message['latency_ms'] for message in messages
                 if message['latency_ms'] is not None]
    last = messages[-1]
    size = f'{last["image_width"]}x{last["image_height"]}'
    latency = ', '.join(f'{value:.0f}' for value in _median_and_p95(latencies)) or 'unknown'
    say(
        f'{name:<24}{size:>11}{sent:>6}{len(messages):>6}{rate:>6.1f} Hz{latency:>27}'
        f'{len(last["faces"]):>7}'
    )
    for face in last['faces']:
        say('    ' + describe(face))


def _median_and_p95(values: list[float]) -> list[float]:
    if len(values) < 2:
        return values * 2
    return [median(values), quantiles(values, n=20)[-1]]


def describe(face: Mapping[str, Any]) -> str:
    """One line about a face of a message in JSON; see `captions.sentence`."""
    return captions.sentence(to_track(face))


def _keep_picture(messages: list[dict[str, Any]], recording: Path, target: Path) -> None:
    """Copies the latest annotated picture of these messages to `target`."""
    target.unlink(missing_ok=True)
    stamps = [message['header']['stamp'] for message in messages]
    paths = [recording / f'{stamp["sec"]}.{stamp["nanosec"]:09d}.png' for stamp in stamps]
    kept = [path for path in paths if path.exists()]
    if kept:
        shutil.copy(kept[-1], target)  # and its mode


if __name__ == '__main__':
    sys.exit(main())
