# SPDX-License-Identifier: Apache-2.0
"""Whether an ONNX file is whole: its checksum says nothing of weights that lie in other files.

Reads the protobuf's tags and lengths only, without the package onnx and without the weights; field
numbers are those of onnx.proto, which never change.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from face_attributes_ros.errors import ModelError

# By message: its fields that are messages in which tensors may lie.
_INSIDE = {
    'model': {7: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse'},
    'sparse': {1: 'tensor', 2: 'tensor'},
    'tensor': {},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_VARINT, _BYTES_8, _LENGTH, _BYTES_4 = 0, 1, 2, 5


def refuse_external_data(name: str, path: Path) -> None:
    """ModelError where the ONNX file of the model `name` keeps weights in other files, or is no
    ONNX file."""
    try:
        with path.open('rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            external = _has_external_data(data)
    except (IndexError, ValueError) as error:  # an empty file cannot be mapped
        raise ModelError(f'model {name}: {path} is not an ONNX file') from error
    if external:
        raise ModelError(
            f'model {name}: {path} keeps weights in other files, which its sha256 says nothing '
            'of: needs them inside (onnx.save_model of the loaded model does that)')


def _has_external_data(data: mmap.mmap) -> bool:
    if not len(data):
        raise ValueError
    waiting = [('model', 0, len(data))]
    while waiting:  # a list, not recursion: graphs may lie in graphs as deep as their maker liked
        kind, start, end = waiting.pop()
        for field, wire, begin, stop in _fields(data, start, end):
            if kind == 'tensor' and (field == _EXTERNAL_DATA or
                                     (field == _DATA_LOCATION and data[begin] != 0)):
                return True
            if wire == _LENGTH and field in _INSIDE[kind]:
                waiting.append((_INSIDE[kind][field], begin, stop))
    return False


def _fields(data: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    # (field, wire type, begin, end) of each field of a message; ValueError where it is none
    while at < end:
        tag, at = _varint(data, at)
        field, wire = tag >> 3, tag & 7
        begin = at
        if wire == _VARINT:
            _, stop = _varint(data, at)
        elif wire == _LENGTH:
            length, begin = _varint(data, at)
            stop = begin + length
        elif wire in (_BYTES_8, _BYTES_4):
            stop = at + (8 if wire == _BYTES_8 else 4)
        else:
            raise ValueError(f'wire type {wire}')
        if field == 0 or stop > end:
            raise ValueError(f'field {field} ends at {stop}')
        yield field, wire, begin, stop
        at = stop


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        if byte < 0x80:
            return value, at
    raise ValueError('a number of more than ten bytes')
