# SPDX-License-Identifier: Apache-2.0
"""The one reader of weight files: safetensors with JSON in the header, never a pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import ModelError


def read_weights(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Torch tensors and metadata of a safetensors file, metadata values that are JSON decoded;
    ModelError where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework='pt') as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            return tensors, {key: _decoded(text) for key, text in (file.metadata() or {}).items()}
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f'{path} is not a readable safetensors file: {error}') from error
    except RecursionError as error:
        raise ModelError(f'{path}: its metadata nest too deeply') from error


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
