# SPDX-License-Identifier: Apache-2.0
"""Whom our processes talk to and what they write: the node, the image source and the recorder at
work on faces, each under strace from its first instruction, whatever language does it.

    python -m bench.measure.traced --pictures FOLDER --seconds 60 --out bench/results/traced.json

Says and exits with 1 where a process looks up a host, sends to another machine, or writes a file
outside of ROS's logs, shared memory, the times that `auto` keeps (engines/kept.py) and what it was
asked for.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.rig.processes import own_domain

RUN = (sys.executable, '-m', 'face_attributes_ros.ros.run')
CALLS = 'connect,sendto,sendmsg,sendmmsg,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2'
LOOK_UPS = ('/etc/resolv.conf', '/etc/hosts', '/run/systemd/resolve', 'nscd', 'avahi')
"""What the C library opens or connects to when somebody asks for a host. It asks nscd for users
too, in vain where there is no such daemon; a host would then go on to /etc/hosts."""
HARMLESS = ('/dev/', '/proc/', 'memfd:', '/sys/')
"""Devices (shared memory among them) and the process's own state, which are no files."""


def strace(log: Path) -> tuple[str, ...]:
    """The beginning of a command line that runs the rest and writes its system calls to `log`."""
    return ('strace', '-f', '--seccomp-bpf', '-qq', '-s', '300', '-e', f'trace={CALLS}', '-e',
            'signal=none', '-o', str(log))


def report(log: Path, allowed: Sequence[Path]) -> dict[str, Any]:
    """What a log of strace holds: calls, and the hosts looked up, other machines talked to, and
    files written that lie in none of the `allowed` folders."""
    lines = log.read_text(errors='replace').splitlines()
    ours = {*own_addresses(), '239.255.0.1', '0.0.0.0', '::1', '::'}
    found: dict[str, Any] = {'calls': len(lines), 'looked_up': set(), 'hosts': set(),
                             'files': set(), 'addresses': set()}
    for line in lines:
        _judge(line, ours, tuple(map(str, allowed)), found)
    return {key: sorted(value) if isinstance(value, set) else value
            for key, value in found.items()}


def _judge(line: str, ours: set[str], allowed: tuple[str, ...], found: dict[str, Any]) -> None:
    for address in re.findall(r'inet_(?:addr|pton)\((?:AF_INET6, )?"([^"]+)"', line):
        found['addresses'].add(address)
        if address not in ours and not ipaddress.ip_address(address).is_loopback:
            found['hosts'].add(address)
    if 'htons(53)' in line:
        found['looked_up'].add('port 53')
    for path in re.findall(r'"([^"]*)"', line if 'sin_' not in line else ''):
        if any(name in path for name in LOOK_UPS) and ' = -1 ' not in line:
            found['looked_up'].add(path)
        writes = re.search(r'O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir|rename', line)
        made = writes and ' = -1 ' not in line and path.startswith('/')
        if made and not path.startswith((*HARMLESS, *allowed)):
            found['files'].add(path)


def own_addresses() -> set[str]:
    """The IPv4 addresses of this machine, to which DDS sends too."""
    trie = Path('/proc/net/fib_trie')
    text = trie.read_text() if trie.exists() else ''
    return set(re.findall(r'\|-- (\S+)\n\s+/32 host LOCAL', text))


def run_traced(pictures: Path, seconds: float, folder: Path) -> dict[str, dict[str, Any]]:
    """Runs the three for so long, all below `folder`; a report each, with the recorder's count of
    messages and faces."""
    home, recording = folder / 'home', folder / 'recording'
    (home / '.cache').mkdir(parents=True)
    env = {**os.environ, 'HOME': str(home), 'ROS_LOG_DIR': str(folder / 'ros'),
           'PYTHONDONTWRITEBYTECODE': '1'}
    env.pop('ORT_DISABLE_TELEMETRY', None)  # ours to set
    env.pop('XDG_CACHE_HOME', None)
    arguments = {
        'recorder': ['-p', f'folder:={recording}'],
        'face_attributes_node': [],
        'image_source': ['-p', f'sources:=["{pictures}"]', '-p', 'rate:=5.0'],
    }
    children = {}
    for name, given in arguments.items():
        command = [*strace(folder / f'{name}.strace'), *RUN, name, '--ros-args', *given]
        children[name] = subprocess.Popen(command, env=env, cwd=folder, start_new_session=True)
    time.sleep(seconds)
    ended = {name: _end(child) for name, child in children.items()}
    allowed = [folder / 'ros', recording, home / '.cache' / 'face_attributes_ros']
    reports = {name: {**report(folder / f'{name}.strace', allowed), 'exit': ended[name]}
               for name in arguments}
    lines = (recording / 'messages.jsonl').read_text().splitlines()
    messages = [json.loads(line) for line in lines]
    reports['recorder'] |= {'messages': len(messages),
                            'faces': sum(len(message['faces']) for message in messages)}
    return reports


def _end(child: subprocess.Popen[bytes]) -> int:
    os.killpg(child.pid, signal.SIGINT)
    try:
        return child.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return child.wait()


def offences(reports: dict[str, dict[str, Any]]) -> list[str]:
    """One line for each thing that should not be."""
    return [f'{name}: {kind} {what}' for name, each in reports.items()
            for kind in ('looked_up', 'hosts', 'files') for what in each[kind]]


def main() -> int:
    """Runs, writes the reports, and says what should not be."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--pictures', type=Path, required=True, help='pictures with faces')
    parser.add_argument('--seconds', type=float, default=60.)
    parser.add_argument('--out', type=Path, default=Path('bench/results/traced.json'))
    args = parser.parse_args()
    if shutil.which('strace') is None:
        sys.exit('strace is not installed: apt-get install strace')
    lock = own_domain()
    with tempfile.TemporaryDirectory() as folder:
        reports = run_traced(args.pictures.resolve(), args.seconds, Path(folder))
        text = json.dumps({'seconds': args.seconds, **reports}, indent=1)
        args.out.write_text(text.replace(folder, 'FOLDER') + '\n')
    lock.close()
    wrong = offences(reports)
    if not reports['recorder']['faces']:
        wrong.append(f'no face in {args.pictures}, or no time for one: this shows nothing')
    print('\n'.join(wrong) or f'nothing in {args.seconds:.0f} s: {args.out}')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
