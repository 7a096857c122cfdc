# SPDX-License-Identifier: Apache-2.0
"""The processes of the benchmarks over DDS: the node, a camera, a listener; and what the kernel
says of them."""

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.
C = TypeVar('C', bound='Child')
IMAGE, FACES = 'image', '/face_attributes/faces'
ENCODINGS = ('bgr8', 'rgb8', 'mono8', 'mono16', 'bgra8', 'bayer_rggb8', 'jpeg')
"""What a camera sends; jpeg is a CompressedImage."""
BUSY = 'import os; parent = os.getppid()\nwhile os.getppid() == parent: pass'
"""The program of a neighbour that takes a core, and ends when nobody is left to end it."""


def own_domain() -> IO[str]:
    """Takes a ROS domain that no test or benchmark on this machine uses and talks on this host
    only; it is taken while the lock lives."""
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.setdefault('ROS_LOG_DIR', tempfile.mkdtemp(prefix='face_attributes_log_'))
    for domain in range(1, 102):
        lock = open(Path(tempfile.gettempdir()) / f'face_attributes_domain_{domain}.lock', 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        return lock
    raise SystemExit('no free ROS domain from 1 to 101')


def _end_with_parent() -> None:
    # However a benchmark ends: a node left behind would answer in later ones.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG


class Child:
    """A Python process whose output goes to a file; a context that ends it."""

    def __init__(self, *command: object, env: Mapping[str, str] | None = None) -> None:
        self._log = tempfile.NamedTemporaryFile('w+', prefix='face_attributes_bench_',
                                                suffix='.log')
        self.started_s = time.time()
        self._command = ' '.join(map(str, command))
        self.process = subprocess.Popen([sys.executable, '-u', *map(str, command)],
                                        stdin=subprocess.PIPE, stdout=self._log,
                                        stderr=subprocess.STDOUT, cwd=ROOT,
                                        preexec_fn=_end_with_parent,
                                        env={**os.environ, **(env or {})}, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return Path(self._log.name).read_text(errors='replace')

    def wait_for(self, text: str, patience_s: float = PATIENCE_S) -> None:
        """Waits until the output contains a text; RuntimeError if the process ends before, or
        takes too long."""
        end = time.monotonic() + patience_s
        while text not in self.output:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    f'{self._command} did not say {text!r}:\n{self.output[-2000:]}')
            time.sleep(.01)

    def tell(self, line: str) -> None:
        """Writes a line to the process."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._log.close()


def node(backend: str = 'auto', **parameters: object) -> Child:
    """The real node on a runtime, not yet ready."""
    values = {'detector.backend': backend, 'attributes.backend': backend, **parameters}
    arguments = [part for name, value in values.items() for part in ('-p', f'{name}:={value}')]
    return Child('-m', 'face_attributes_ros.ros.run', 'face_attributes_node', '--ros-args',
                 *arguments)


class Camera(Child):
    """Publishes one picture with `faces` faces at `rate` Hz; its measured part comes after
    `warm_up` seconds."""

    def __init__(self, height: int, faces: int, rate: float, seconds: float, *,
                 warm_up: float = 1.5, wait: int = 1, encoding: str = 'bgr8',
                 reliable: bool = False, env: Mapping[str, str] | None = None) -> None:
        self._out = tempfile.NamedTemporaryFile(prefix='face_attributes_bench_', suffix='.json')
        super().__init__('-m', 'bench.rig.traffic', 'camera', '--height', height, '--faces', faces,
                         '--rate', rate, '--seconds', seconds, '--warm-up', warm_up, '--wait',
                         wait, '--out', self._out.name, '--encoding', encoding,
                         *(['--reliable'] if reliable else []), env=env)

    def sent(self) -> Any:
        """Waits for its end: {'stamps_s': those measured, 'publish_ms': median}."""
        self.process.wait(PATIENCE_S)
        if self.process.returncode:
            raise RuntimeError(
                f'the camera ended with {self.process.returncode}:\n{self.output[-2000:]}')
        return json.loads(Path(self._out.name).read_text())


class Listener(Child):
    """Subscribes to the faces, or to the image itself, and keeps when what arrived."""

    def __init__(self, kind: str = 'faces', env: Mapping[str, str] | None = None) -> None:
        super().__init__('-m', 'bench.rig.traffic', 'listener', '--kind', kind, env=env)
        self._dumps = 0

    def heard(self) -> Any:
        """What arrived since the last call: [{'stamp_s', 'received_s', ...}], and what diagnostics
        said."""
        self._dumps += 1
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'heard.json'
            self.tell(f'dump {path}')
            self.wait_for(f'dumped {self._dumps}\n')
            return json.loads(path.read_text())


def cpu_s(pid: int) -> float:
    """Seconds of CPU time that a process has used."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def memory_mb(pid: int) -> dict[str, float]:
    """Resident memory of a process now, and at most, in MB (10^6 bytes)."""
    lines = dict(
        line.split(':', 1) for line in Path(f'/proc/{pid}/status').read_text().splitlines())
    return {
        name: round(int(lines[key].split()[0]) * 1024 / 1e6, 1)
        for name, key in (('rss', 'VmRSS'), ('peak', 'VmHWM'))
    }


def threads_and_files(pid: int) -> tuple[int, int]:
    """Threads of a process, and descriptors that it holds open."""
    return len(os.listdir(f'/proc/{pid}/task')), len(os.listdir(f'/proc/{pid}/fd'))


def loads(pid: int, library: str) -> bool:
    """Whether a process has mapped a file with this in its name."""
    return library in Path(f'/proc/{pid}/maps').read_text()
