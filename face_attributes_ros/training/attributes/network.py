# SPDX-License-Identifier: Apache-2.0
"""A trained attribute network from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.bodies import AttributeNet, build, config_of
from face_attributes_ros.training.common.checkpoint import load_tensors


def load_network(path: Path) -> tuple[AttributeNet, dict[str, Any]]:
    """(network in evaluation mode, metadata) of a training run's averaged weights. Raises
    `DataError` on another file.
    """
    tensors, metadata = load_tensors(path)
    if 'network' not in metadata:
        raise DataError(f'{path} holds no attribute network')
    network = build(config_of(metadata['network']))
    network.load_state_dict(tensors)
    return network.eval(), metadata
