# SPDX-License-Identifier: Apache-2.0
"""What an int8 file costs and gains on test, beside its float file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import Model
from face_attributes_ros.engines.seam import OpenNetwork
from face_attributes_ros.markdown import grid
from face_attributes_ros.training.common.onnx_file import installed
from face_attributes_ros.training.int8.rooms import Room
from face_attributes_ros.training.int8.scores import cpu_ms, failures

SPEED_SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    'detector': ((1, 256, 448), (1, 448, 448)), 'attributes': ((1,), (4,), (16,))
}


def opened(path: Path, precision: str, backend: str) -> OpenNetwork:
    """The file on a runtime, one thread."""
    return open_network(path, int8_path=path, backend=backend, device='cpu', precision=precision,
                        threads=1)


def measure(model: Model, room: Room, int8: Path) -> dict[str, Any]:
    """Figures of float and int8 on test, and by runtime what dropped too much."""
    floats = room.figures(opened(model.path, 'fp32', 'onnxruntime'), 'test')
    runtimes = {}
    for backend in installed():
        found = room.figures(opened(int8, 'int8', backend), 'test')
        runtimes[backend] = {'figures': _rounded(found), 'failures': failures(floats, found)}
    return {'fp32': _rounded(floats), 'runtimes': runtimes}


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in figures.items()}


def speed(model: Model, int8: Path) -> dict[str, dict[str, float]]:
    """{runtime precision: {batch shape: CPU ms at one thread}} of float and int8, taking turns."""
    networks = {
        f'{backend} {precision}': opened(path, precision, backend)
        for backend in installed()
        for precision, path in (('fp32', model.path), ('int8', int8))
    }
    side = (model.input_px, model.input_px)
    found: dict[str, dict[str, float]] = {name: {} for name in networks}
    for shape in SPEED_SHAPES[model.task]:
        full = (*(shape if model.task == 'detector' else (*shape, *side)), 3)
        for name, spent in cpu_ms(networks, full).items():
            found[name]['x'.join(map(str, full[:-1]))] = spent
    return found


def table(result: Mapping[str, Any]) -> str:
    """Float and int8 on test, and the speed, as Markdown."""
    runtimes, times = result['runtimes'], result['speed_cpu_ms']
    rows = [[name, f'{value:.4f}', *(_cell(name, value, row) for row in runtimes.values())]
            for name, value in result['fp32'].items()]
    quality = grid(['test', 'fp32', *(f'int8 {backend}' for backend in runtimes)], rows)
    shapes = list(next(iter(times.values())))
    spent = [[name, *(f'{row[shape]:.2f}' for shape in shapes)] for name, row in times.items()]
    return quality + '\n' + grid(['CPU ms, one thread', *shapes], spent)


def _cell(name: str, whole: float, row: Mapping[str, Any]) -> str:
    found = row['figures'][name]
    too_much = ' too much' if name in row['failures'] else ''
    return f'{found:.4f} ({found - whole:+.4f}){too_much}'
