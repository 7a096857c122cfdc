# SPDX-License-Identifier: Apache-2.0
"""The paper's systems for the live pipeline: weights from the user's folder to a Network.

    export FACE_ATTRIBUTES_PAPER_WEIGHTS=~/paper_weights
    attributes.model: all_in_one

The folder holds `all_in_one.safetensors`, `vgg_age.safetensors` and `pool5_svm.safetensors`, as
far as you use them; `train paper` and `evaluate pool5 --save` write them. 70 and 163 million
parameters do not fit this repository. torch is imported when a model is opened, not before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from face_attributes_ros.build import PAPER_MODELS, AttributeModel, open_attributes
from face_attributes_ros.engines.request import Measuring
from face_attributes_ros.errors import ModelError
from face_attributes_ros.paths import expanded
from face_attributes_ros.weights import read_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

    from face_attributes_ros.engines.torch import TorchNetwork

    Opened = tuple[nn.Module, dict[str, Any]]
    Tensors = Mapping[str, Tensor]
    Module = TypeVar('Module', bound=nn.Module)

MEASURING = Measuring()
WEIGHTS_FOLDER = 'FACE_ATTRIBUTES_PAPER_WEIGHTS'
COMPACT_M = 'attributes_m'
LIVE_HEADS = ('age', 'gender', 'expression', 'smile', 'pose', 'face')
"""What of these networks the pipeline takes; 21 landmarks and their visibility are for the
two-stage test."""


def open_paper_model(name: str, device: str = 'auto', *, folder: str | Path | None = None,
                     heads: Sequence[str] | None = LIVE_HEADS, backend: str = 'auto',
                     precision: str = 'auto', threads: int = 0,
                     measuring: Measuring = MEASURING) -> AttributeModel:
    """The system `name` of PAPER_MODELS; ModelError without its weights in `folder` (default: the
    environment's).

    `heads` limits its outputs; None gives all that it has. `backend` and `measuring`
    are for `compact_m`: the others run on torch.
    """
    if name not in PAPER_MODELS:
        raise ModelError(f'paper model {name!r} is not one of {", ".join(PAPER_MODELS)}')
    if name == 'compact_m':
        return open_attributes(COMPACT_M, device=device, backend=backend, precision=precision,
                               threads=threads, measuring=measuring)
    parts = [_opened(part, weights_path(part, folder)) for part in name.split('+')]
    network = _network([module for module, _ in parts], heads, device, precision, threads)
    about = parts[0][1]
    thresholds = {name: 0. for name in ('gender', 'expression') if name in network.outputs}
    return AttributeModel(network, network.outputs, about['input_px'],
                          about.get('crop_scale', 1.3), thresholds | about.get('thresholds', {}))


def _network(modules: Sequence[nn.Module], heads: Sequence[str] | None, device: str,
             precision: str, threads: int) -> TorchNetwork:
    import torch

    from face_attributes_ros.engines.torch import TorchNetwork
    from face_attributes_ros.paper.joined import Joined
    given = [name for module in modules for name in _outputs(module)]
    outputs = tuple(name for name in heads or given if name in given)
    if threads:
        torch.set_num_threads(threads)
    return TorchNetwork(Joined(modules, outputs), outputs, device, precision)


def _outputs(module: Any) -> Sequence[str]:
    return module.outputs


def _opened(part: str, path: Path) -> Opened:
    return _OPENERS[part](path, *read_weights(path))


def weights_path(part: str, folder: str | Path | None = None) -> Path:
    """Where the user's weights of a network are; ModelError names the folder and the file where
    they are not."""
    folder = folder or os.environ.get(WEIGHTS_FOLDER)
    if not folder:
        raise ModelError(
            f'{part} needs weights of yours: set {WEIGHTS_FOLDER} to the folder of '
            f'{part}.safetensors (docs/paper.md says how to make it)')
    path = expanded(folder) / f'{part}.safetensors'
    if not path.is_file():
        raise ModelError(f'{part} needs weights of yours: {path} is missing')
    return path


def _filled(module: Module, tensors: Tensors, path: Path) -> Module:
    own = {name: value.shape for name, value in module.state_dict().items()}
    if own != {name: value.shape for name, value in tensors.items()}:
        raise ModelError(f'{path} does not fit the network that its metadata describes')
    module.load_state_dict(tensors)
    return module


def _described(metadata: dict[str, Any], path: Path, system: str) -> dict[str, Any]:
    if metadata.get('system') != system:
        raise ModelError(
            f'{path}: its metadata says system {metadata.get("system")!r}, needs {system!r}')
    return metadata


def _open_all_in_one(path: Path, tensors: Tensors, metadata: dict[str, Any]) -> Opened:
    from face_attributes_ros.paper.all_in_one import (
        INPUT_PX,
        AllInOneConfig,
        AllInOneContract,
        AllInOneNet,
    )
    about = _described(metadata, path, 'all_in_one')
    network = _filled(AllInOneNet(AllInOneConfig(**about['network'])), tensors, path)
    return AllInOneContract(network), {**about, 'input_px': INPUT_PX}


def _open_vgg_age(path: Path, tensors: Tensors, metadata: dict[str, Any]) -> Opened:
    from face_attributes_ros.paper.vgg_age import INPUT_PX, VggAgeConfig, VggAgeContract, VggAgeNet
    about = _described(metadata, path, 'vgg_age')
    if about.get('convolutions') == 'random':
        raise ModelError(f'{path} was trained on random convolutions: a rehearsal, not a model')
    network = _filled(VggAgeNet(VggAgeConfig(**about['network'])), tensors, path)
    return VggAgeContract(network), {**about, 'input_px': INPUT_PX}


def _open_pool5_svm(path: Path, tensors: Tensors, metadata: dict[str, Any]) -> Opened:
    from face_attributes_ros.paper.pool5 import Features, Pool5Contract, SvmHead, new_trunk
    about = _described(metadata, path, 'pool5_svm')
    empty = new_trunk(about['trunk'], about.get('network'))
    trunk = _filled(empty, _under('trunk.', tensors), path)
    head = _filled(SvmHead(len(tensors['head.mean'])), _under('head.', tensors), path)
    return Pool5Contract(Features(trunk), head), about


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name[len(prefix):]: tensor
            for name, tensor in tensors.items() if name.startswith(prefix)}


_OPENERS = {'all_in_one': _open_all_in_one, 'vgg_age': _open_vgg_age, 'pool5_svm': _open_pool5_svm}
