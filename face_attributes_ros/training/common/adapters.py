# SPDX-License-Identifier: Apache-2.0
"""Other people's networks, run through a Python file in a folder of theirs; never part of the
product."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import torch

from face_attributes_ros.errors import DataError


def load_module(folder: Path, name: str) -> ModuleType:
    """The module `name`.py of the peers' folder. Raises `DataError` where there is none."""
    path = Path(folder) / f'{name}.py'
    if not path.is_file():
        raise DataError(f'{path} does not exist: --peers needs the folder that holds {name}.py')
    spec = importlib.util.spec_from_file_location(f'peer_{name}', path)
    if spec is None or spec.loader is None:
        raise DataError(f'{path} is not a Python file')
    module = importlib.util.module_from_spec(spec)
    threads = torch.get_num_threads()
    spec.loader.exec_module(module)
    torch.set_num_threads(threads)
    return module
