# SPDX-License-Identifier: Apache-2.0
"""models/manifest.toml: which weights there are, what they take and give, under which terms, and
how good they were measured."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from face_attributes_ros.engines.manifest import TASKS, read_tables, tomllib
from face_attributes_ros.engines.onnx_file import refuse_external_data
from face_attributes_ros.errors import ModelError
from face_attributes_ros.paths import expanded
from face_attributes_ros.runtimes import BY_NAME
from face_attributes_ros.share import share_file

__all__ = ['TASKS', 'Model', 'file_sha256', 'find_model', 'load_manifest', 'models_directory',
           'shipped', 'tomllib']


@dataclass(frozen=True)
class Model:
    """One entry of the manifest: a checked claim about a file.

    `input_px` is the longest canvas side of a detector, or the crop side of an attribute network.
    `crop_scale` is the crop's side over the longer side of the detector's box. `torch_file` holds
    the same weights as safetensors, for torch. `int8_file` is the same network in int8, made from
    the file with the checksum `int8_made_from`, and `int8_metrics` are its figures. `thresholds`
    and `metrics` were measured, not guessed. `auto_precisions` are those beside fp32 that kept the
    bars on test, of which `precision: auto` may take the fastest on a CPU.
    """

    name: str
    task: str
    path: Path
    sha256: str
    licence: str
    data: str
    input_px: int
    crop_scale: float = 1.0
    torch_file: str = ''
    torch_sha256: str = ''
    int8_file: str = ''
    int8_sha256: str = ''
    int8_made_from: str = ''
    auto_precisions: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    int8_metrics: Mapping[str, Any] = field(default_factory=dict)

    def checked(self) -> Model:
        """This model, once its ONNX files have been found to have the manifest's checksums and all
        their weights inside; ModelError otherwise."""
        files = [(self.path, self.sha256)]
        if self.int8_path:
            files.append((self.int8_path, self.int8_sha256))
        for path, sha256 in files:
            _check_file(self.name, path, sha256)
            refuse_external_data(self.name, path)
        return self

    @property
    def int8_path(self) -> Path | None:
        """The path of the int8 file; None where the manifest has none."""
        return self.path.parent / self.int8_file if self.int8_file else None

    def weights(self, backend: str) -> Path:
        """The file that a backend runs: the safetensors file, checked, or the ONNX file."""
        wants_torch = backend in BY_NAME and BY_NAME[backend].torch_weights
        return self.torch_weights() if wants_torch else self.path

    def torch_weights(self) -> Path:
        """The path of the safetensors file, checked; ModelError where there is none."""
        if not self.torch_file:
            raise ModelError(f'model {self.name} has no torch_file in the manifest: it runs on '
                             'onnxruntime and openvino only')
        path = self.path.parent / self.torch_file
        _check_file(self.name, path, self.torch_sha256)
        return path


def _check_file(name: str, path: Path, sha256: str) -> None:
    try:
        if not path.is_file():
            raise ModelError(f'model {name}: file {path} is missing')
        found = file_sha256(path)
    except OSError as error:
        raise ModelError(f'model {name}: file {path}: {error.strerror}') from error
    if found != sha256:
        raise ModelError(f'model {name}: {path} has sha256 {found}, the manifest says {sha256}: '
                         'the file is damaged or was changed')


def file_sha256(path: str | Path) -> str:
    """The file's SHA-256 as lower-case hex."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def models_directory() -> Path:
    """The folder of the shipped models."""
    return share_file('models/manifest.toml').parent


def load_manifest(path: str | Path) -> dict[str, Model]:
    """The manifest's models by name; ModelError names the file, the table and the key that is
    wrong."""
    path = expanded(path)
    return {
        name: Model(name=name, path=path.parent / table['file'],
                    **{key: value for key, value in table.items() if key != 'file'})
        for name, table in read_tables(path).items()
    }


@lru_cache(maxsize=1)
def shipped() -> dict[str, Model]:
    """The shipped models by name."""
    return load_manifest(models_directory() / 'manifest.toml')


def find_model(name: str, task: str) -> Model:
    """The shipped model `name`, or one of a user's manifest given as PATH/manifest.toml:NAME, its
    file checked."""
    manifest, _, entry = str(name).rpartition(':')
    models = load_manifest(manifest) if manifest else shipped()
    if entry not in models:
        raise ModelError(f'{task} model {str(name)[:300]!r} is not in the manifest, which has: '
                         f'{", ".join(sorted(models)) or "nothing"}')
    model = models[entry]
    if model.task != task:
        raise ModelError(f'model {name!r} is for {model.task}, needed one for {task}')
    return model.checked()
