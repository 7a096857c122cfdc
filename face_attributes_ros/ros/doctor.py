# SPDX-License-Identifier: Apache-2.0
"""What this machine has, what the node would take of it and why, what would make it faster, and
why it could not run: `face-attributes doctor`.

    face-attributes doctor                       # exit status 1 where the node could not run
    face-attributes doctor --json                # the same as one JSON object
    face-attributes doctor --set device=cuda:0 --set detector.backend=torch

It opens the networks as the node does, and takes more time than a start for what `auto` measures.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from face_attributes_ros import options
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.console import say
from face_attributes_ros.engines import cpu
from face_attributes_ros.engines import machine as facts
from face_attributes_ros.engines.models import load_manifest, models_directory
from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.pipeline import CAMERA_SIZES
from face_attributes_ros.ros import environment
from face_attributes_ros.settings import Settings

Section = dict[str, Any]
Report = dict[str, Any]

PATIENCE = 20.
DISTRIBUTIONS = {'3': 'humble', '4': 'iron', '7': 'jazzy', '9': 'kilted'}
"""By rclpy's major version, for a shell in which ROS_DISTRO is not set."""
MIB = 1 << 20


class Doctor:
    """Looks at everything, one section after the other; `troubles` are why the node could not run,
    `faster` what to install."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.troubles: list[str] = []
        self.faster: list[str] = []
        self.machine = facts.look(sure=settings.device.startswith('cuda'))

    def report(self) -> Report:
        """Every section by name, then `faster` and `troubles`."""
        sections: dict[str, Callable[[], Section]] = {
            'machine': self.computer, 'gpus': self.gpus, 'runtimes': self.runtimes,
            'ros': self.ros, 'shared memory': self.shared_memory, 'weights': self.weights,
            'networks': self.networks}
        found: Report = {name: look() for name, look in sections.items()}
        return found | {'faster': self.faster, 'troubles': self.troubles}

    def computer(self) -> Section:
        """CPU, memory, system."""
        return {'cpu': cpu.model(), 'cpus': cpu.usable(), 'features': list(cpu.features()),
                'memory (GiB)': round(_memory_bytes() / 2**30, 1),
                'system': f'{platform.system()} {platform.machine()}',
                'python': platform.python_version()}

    def gpus(self) -> Section:
        """What the driver and torch say of GPUs."""
        found: Section = {f'nvidia-smi {number}': line for number, line in enumerate(_smi())}
        if self.machine.jetson:
            found['jetson'] = facts.TEGRA_RELEASE.read_text(errors='replace').splitlines()[:1]
        torch = self.machine.torch
        for number, gpu in enumerate(torch.gpus if torch else ()):
            capability = '.'.join(map(str, gpu.capability))
            found[f'cuda:{number}'] = f'{gpu.name}, compute capability {capability}'
        return found or {'none': facts.NO_GPU}

    def runtimes(self) -> Section:
        """Versions, and what each can do here."""
        machine, broken = self.machine, dict(self.machine.broken)
        found: Section = {}
        providers = machine.providers
        if 'onnxruntime' in machine.versions and not machine.gpu:
            providers = facts.onnxruntime_providers(broken)
        for package, version in machine.versions.items():
            trouble = broken.get(package)
            found[package] = f'{version}, cannot be imported: {trouble}' if trouble else version
        if providers:
            found['onnxruntime providers'] = list(providers)
        if 'openvino' in machine.versions:
            found['openvino on this CPU'] = list(_openvino())
        if machine.torch is not None:
            found['torch built with CUDA'] = machine.torch.cuda or 'no'
        if 'openvino' not in machine.versions and platform.machine() == 'x86_64':
            self.faster.append('pip install openvino: on many x86 CPUs the faster runtime')
        return found or {'none': 'pip install onnxruntime'}

    def ros(self) -> Section:
        """Distribution, middleware, messages, DDS profile, cv_bridge."""
        if self._fails('import rclpy', 'source /opt/ros/DISTRIBUTION/setup.bash, or pip install '
                                       'this package with the wheels of ROS 2; RMW_IMPLEMENTATION '
                                       'has to name an installed one') is None:
            return {'distribution': os.environ.get('ROS_DISTRO') or 'none'}
        self._fails('from face_attributes_ros.msg import FaceAttributesArray as message; '
                    'message.__class__.__import_type_support__()',
                    'build the package (colcon build, pip install), and source the workspace')
        rmw = self._fails('from rclpy.utilities import get_rmw_implementation_identifier as rmw; '
                          'print(rmw())', 'install the middleware that RMW_IMPLEMENTATION names')
        version = facts.version('rclpy')
        guess = DISTRIBUTIONS.get(version.partition('.')[0], 'unknown')
        distribution = os.environ.get('ROS_DISTRO') or f'{guess} (ROS_DISTRO is not set)'
        return {'distribution': distribution, 'rclpy': version, 'rmw': rmw or 'none',
                'DDS profile': self._profile(), 'cv_bridge': _cv_bridge()}

    def shared_memory(self) -> Section:
        """Size, what is free, what DDS takes."""
        free = environment.free_shared_memory()
        if free is None:
            return {'none': f'{environment.SHARED_MEMORY} is not there'}
        status = os.statvfs(environment.SHARED_MEMORY)
        need = environment.shared_memory_need(self._profile_path())
        if free < need:
            self.troubles.append(f'{environment.SHARED_MEMORY} has {free // MIB} MiB free, Fast '
                                 f'DDS needs {need // MIB}: give a container more (docker run '
                                 '--shm-size=1g)')
        size = status.f_blocks * status.f_frsize
        return {'size (MiB)': size // MIB, 'free (MiB)': free // MIB, 'needed (MiB)': need // MIB}

    def weights(self) -> Section:
        """Each shipped network: whether its files are what the manifest says."""
        try:
            models = load_manifest(models_directory() / 'manifest.toml')
        except FaceAttributesError as error:
            self.troubles.append(str(error))
            return {'none': str(error)}
        found: Section = {}
        for name, model in models.items():
            try:
                model.checked()
                files = ['onnx', *(['int8'] if model.int8_file else ())]
                if model.torch_file:
                    model.torch_weights()
                    files.append('safetensors')
                found[name] = f'{", ".join(files)}: as the manifest says, {model.sha256[:12]}'
            except FaceAttributesError as error:
                found[name] = str(error)
        return found

    def networks(self) -> Section:
        """What the settings come to on this machine; opened and run once."""
        try:
            pipeline = build_pipeline(self.settings, PATIENCE)
            pipeline.warm_up(CAMERA_SIZES[:1], (1, ))
        except FaceAttributesError as error:
            self.troubles.append(str(error))
            return {'none': str(error)}
        device = pipeline.description.get('device_choice', '')
        taken, _, reasons = device.partition(': ')
        if self.machine.gpu and reasons:
            self.faster.append(f'a GPU is here, {taken} is taken: {reasons} (docs/gpu.md)')
        return dict(pipeline.description)

    def _fails(self, code: str, cure: str) -> str | None:
        # What the code prints; None where it fails, which is then trouble.
        done = tried(code)
        if done.returncode == 0:
            return done.stdout.strip()
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        self.troubles.append(f'{code.partition(";")[0]!r} fails '
                             f'({lines[-1] if lines else "without a word"}): {cure}')
        return None

    def _profile(self) -> str:
        given = {name: os.environ[name] for name in environment.TRANSPORTS if os.environ.get(name)}
        if given:
            return ', '.join(f'{name}={value}' for name, value in given.items())
        path = self._profile_path() or ''
        small = path.endswith(Path(environment.SMALL).name)
        if small:
            self.faster.append('more shared memory (docker run --shm-size=1g): raw images above '
                               '1920x1200 are lost')
        return f'{environment.SMALL if small else environment.LARGE}, set by the node'

    @staticmethod
    def _profile_path() -> str | None:
        # None where somebody has decided already.
        if any(os.environ.get(name) for name in environment.TRANSPORTS):
            return None
        with contextlib.redirect_stderr(io.StringIO()):
            return str(environment.dds_profile())


def tried(code: str) -> subprocess.CompletedProcess[str]:
    """Python code in a process of its own: where ROS is set up wrongly, its C libraries end the
    process that they are loaded into."""
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=120, check=False)


def _memory_bytes() -> int:
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')


def _smi() -> list[str]:
    command = ['nvidia-smi', '--query-gpu=name,driver_version,compute_cap,memory.total',
               '--format=csv,noheader']
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True,
                              timeout=30).stdout.strip().splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _openvino() -> tuple[str, ...]:
    try:
        from face_attributes_ros.engines.openvino import offers

        return offers('cpu')
    except Exception as error:  # what is broken in it, its makers know
        return (str(error).splitlines()[0] if str(error) else type(error).__name__, )


def _cv_bridge() -> str:
    if find_spec('cv_bridge') is None:
        return 'none: needed only for encodings that the node does not know itself'
    try:
        import_module('cv_bridge')
    except Exception as error:  # built for another numpy, mostly
        return f'cannot be imported: {(str(error).splitlines() or [type(error).__name__])[0]}'
    return _version_of('cv_bridge')


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'there'


def text(report: Mapping[str, Any]) -> str:
    """A report as people read it."""
    lines: list[str] = []
    for title, section in report.items():
        if isinstance(section, Mapping):
            lines += [title, *(f'  {key:<24}{_shown(value)}' for key, value in section.items())]
    faster, troubles = report['faster'], report['troubles']
    lines += ['to go faster', *(f'  {line}' for line in faster)] if faster else []
    lines += (['the node could not run', *(f'  {line}' for line in troubles)] if troubles else
              ['the node can run'])
    return '\n'.join(lines)


def _shown(value: Any) -> str:
    return (', '.join(map(str, value)) or 'none') if isinstance(value, list) else str(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `face-attributes doctor`."""
    parser.add_argument('--json', action='store_true', help='one JSON object')
    options.add_arguments(parser, Settings, {})


def run(args: argparse.Namespace) -> int:
    """Prints what was found; 1 where the node could not run, else 0."""
    report = Doctor(options.from_arguments(Settings, args, {})).report()
    say(json.dumps(report, indent=1) if args.json else text(report))
    return 1 if report['troubles'] else 0
