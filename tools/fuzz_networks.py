# SPDX-License-Identifier: Apache-2.0
"""Whole odd weight files for `tools.fuzz_kinds`: ONNX networks of any inputs and outputs, and the
headers of safetensors files."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.heads import HEADS
from face_attributes_ros.settings import Settings

FOLDER = tempfile.TemporaryDirectory(prefix='face_attributes_fuzz_')
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
_FLOAT, _UINT8, _INT64 = (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8, onnx.TensorProto.INT64)
_TYPES = (_FLOAT, _UINT8, _INT64, onnx.TensorProto.BOOL, onnx.TensorProto.DOUBLE,
          onnx.TensorProto.FLOAT16, onnx.TensorProto.INT32)
_INPUTS: tuple[list[Any] | None, ...] = (
    ['b', 'h', 'w', 3], ['b', 3, 'h', 'w'], [1, 64, 64, 3], ['b', 'h', 'w'], [], None,
    ['b', 'h', 'w', 0], [2**40, 'h', 'w', 3], ['b', 'h', 'w', 3, 1])
_VALUES = (0., 1., .5, -1., 40., 1e38, -1e38, math.inf, -math.inf, math.nan, 1e-45)

Case = tuple[str, str, bytes]
"""Task, backend and the file's bytes."""


def _mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((usual, ) * 14 + others)


@st.composite
def _arrays(draw: st.DrawFn, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    array: np.ndarray = (rng.random(shape) * draw(_mostly(1., 60., 1e30, -1.))).astype(np.float32)
    if array.size and draw(st.integers(0, 3)) == 0:
        array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from(_VALUES))
    return array


def _output(draw: st.DrawFn, name: str, shape: tuple[int, ...],
            input_: str) -> tuple[list[Any], Any]:
    # Nodes that give a constant, once for each picture of the batch unless the draw forgets it.
    shape = draw(_mostly(shape, (), (0, ), (*shape, 1), shape[1:], (2, *shape)))
    constant = numpy_helper.from_array(draw(_arrays((1, *shape))), f'{name}_value')
    value, kind = f'{name}_value', draw(_mostly(_FLOAT, *_TYPES))
    nodes = [helper.make_node('Constant', [], [value], value=constant)]
    if input_ and draw(_mostly(True, False)):
        nodes += [helper.make_node('Shape', [input_], [f'{name}_all'], end=1),
                  helper.make_node('Constant', [], [f'{name}_rest'], value=numpy_helper.from_array(
                      np.array(shape, np.int64), f'{name}_rest')),
                  helper.make_node('Concat', [f'{name}_all', f'{name}_rest'], [f'{name}_shape'],
                                   axis=0),
                  helper.make_node('Expand', [value, f'{name}_shape'], [f'{name}_many'])]
        value = f'{name}_many'
    return [*nodes, helper.make_node('Cast', [value], [name], to=kind)], kind


@st.composite
def networks(draw: st.DrawFn) -> Case:
    """A task, a backend, and a network for it that may be anything but what it should be."""
    task = draw(st.sampled_from(('detector', 'attributes')))
    inputs = [helper.make_tensor_value_info(f'image{i}', draw(_mostly(_UINT8, *_TYPES)),
                                            draw(_mostly(*_INPUTS)))
              for i in range(draw(_mostly(1, 0, 2)))]
    usual = {'detections': (draw(st.integers(0, 4)), 5)} if task == 'detector' else {
        name: head.shape for name, head in HEADS.items()}
    wanted = draw(_mostly(usual, {}, usual | {'smile': (3, )}, {'age': ()},
                          {'landmarks': (68, 2)}))
    nodes, outputs = [], []
    for name, shape in wanted.items():
        more, kind = _output(draw, name, shape, 'image0' if inputs else '')
        nodes += more
        outputs.append(helper.make_tensor_value_info(
            name, draw(_mostly(kind, _FLOAT)), draw(_mostly(None, ['b'], [1, 2, 3]))))
    if draw(_mostly(False, True)):
        nodes.append(helper.make_node(draw(st.sampled_from(('Relu', 'NoSuchLayer', 'Loop'))),
                                      ['nowhere'], ['odd']))
    graph = helper.make_graph(nodes, draw(_mostly('g', '')), inputs, outputs)
    model = helper.make_model(
        graph, ir_version=draw(_mostly(9, 3, 8, 99)),
        opset_imports=[helper.make_opsetid(draw(_mostly('', 'ai.nowhere')),
                                           draw(_mostly(18, 7, 13, 99)))])
    return task, draw(_mostly('onnxruntime', 'openvino')), model.SerializeToString()


@lru_cache
def _detector() -> str:
    # One face in the middle, for attribute networks to look at.
    box = np.array([[[16, 16, 48, 48, .9]]], np.float32)
    nodes = [helper.make_node('Constant', [], ['box'], value=numpy_helper.from_array(box)),
             helper.make_node('Shape', ['image'], ['all'], end=1),
             helper.make_node('Constant', [], ['rest'],
                              value=numpy_helper.from_array(np.array([1, 5], np.int64))),
             helper.make_node('Concat', ['all', 'rest'], ['shape'], axis=0),
             helper.make_node('Expand', ['box', 'shape'], ['detections'])]
    graph = helper.make_graph(
        nodes, 'one', [helper.make_tensor_value_info('image', _UINT8, ['b', 'h', 'w', 3])],
        [helper.make_tensor_value_info('detections', _FLOAT, ['b', 1, 5])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
    return _written('detector', 'one', model.SerializeToString())


def _written(task: str, name: str, data: bytes) -> str:
    folder = Path(FOLDER.name, name)
    folder.mkdir(exist_ok=True)
    (folder / 'm.onnx').write_bytes(data)
    (folder / 'manifest.toml').write_text(
        f'[models.m]\ntask = "{task}"\nfile = "m.onnx"\nlicence = "x"\ndata = "x"\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\ninput_px = 64\n'
        'thresholds = {score = 0.3, gender = 0.6, expression = 0.4}\n')
    return f'{folder}/manifest.toml:m'


def try_network(case: Case) -> None:
    """Configures a pipeline with it, warms it up and shows it a picture, as the node does."""
    task, backend, data = case
    model = _written(task, 'odd', data)
    one, other = (model, '') if task == 'detector' else (_detector(), model)
    pipeline = build_pipeline(Settings(
        detector_model=one, attributes_model=other, detector_backend=backend,
        attributes_backend=backend, device='cpu', precision='fp32', threads=1))
    pipeline.warm_up(image_sizes=((64, 48), ), face_counts=(1, 2))
    for track in pipeline.process({'': (PICTURE, 1.)})['']:
        x0, y0, x1, y1 = track.face.box_xyxy
        assert 0 <= x0 < x1 <= 64 and 0 <= y0 < y1 <= 48, track.face


# --- safetensors

_SIZES = {'stem': 8, 'stages': [[8, 1], [16, 1], [16, 2]], 'adapter': 8, 'reduced': 8,
          'shared': 16, 'deep': 8, 'deep_fc': 16, 'grid': 2}
_MODEL = {'nc': 1, 'reg_max': 4, 'depth_multiple': 1., 'width_multiple': 1.,
          'backbone': [[-1, 1, 'Conv', [8, 3, 2]], [-1, 1, 'Conv', [16, 3, 2]]],
          'head': [[[0, 1], 1, 'Detect', ['nc']]]}
_CALIBRATION = {'temperatures': {'age': .7}, 'offsets': {'expression': [0.] * 7}}
_LEAVES = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.none(),
    st.sampled_from((10**12, 0, -1, 4096, 'Conv', 'nn.Upsample', 'nc', 'self', 'locals()',
                     "__import__('os')", 'torch.nn.ReLU()', 'torch.nn.LeakyReLU(.1)',
                     'mobilenet_v1', 'plain_and_mobilenet_v1', '', [], {}, [8], [[8, 1]])))


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    # A value of JSON with one of its parts, anywhere in it, replaced, dropped or new.
    if isinstance(value, dict) and value and draw(_mostly(True, False)):
        key = draw(st.sampled_from((*value, 'end2end', 'activation', 'body', 'dropout', 'width')))
        if draw(st.integers(0, 7)) == 0:
            return {name: one for name, one in value.items() if name != key}
        return value | {key: draw(_changed(value.get(key)))}
    if isinstance(value, list) and value and draw(_mostly(True, False)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], draw(_changed(value[at])), *value[at + 1:]]
    return draw(_LEAVES)


@st.composite
def headers(draw: st.DrawFn) -> dict[str, str]:
    """The metadata of a safetensors file: of a detector or of an attribute network, changed."""
    about = draw(st.sampled_from(({'model': _MODEL},
                                  {'network': _SIZES, 'calibration': _CALIBRATION})))
    for _ in range(draw(st.integers(0, 2))):
        about = draw(_changed(about))
        if not isinstance(about, dict):
            about = {'model': about}
    texts = {str(key): json.dumps(value) for key, value in about.items()}
    if texts and draw(st.integers(0, 9)) == 0:
        texts[next(iter(texts))] = draw(st.sampled_from(('[' * 9000, '{', '', '\0', '9' * 9000)))
    return texts


def try_header(about: dict[str, str]) -> None:
    """Opens a file with this header; the weights are those of the unchanged network."""
    from safetensors.torch import save_file

    from face_attributes_ros.engines.torch import open_file

    path = Path(FOLDER.name, 'm.safetensors')
    save_file(_weights('model' not in about), path, about)
    network = open_file(path, 'cpu', 'fp32', 1)
    rows = network(np.zeros((1, 64, 64, 3), np.uint8))
    assert len(rows) == len(network.outputs)


@lru_cache
def _weights(attributes: bool) -> dict[str, Any]:
    from face_attributes_ros.networks.bodies import build, config_of
    from face_attributes_ros.networks.yolov3 import build_yolov3

    network: Any = build(config_of(_SIZES)) if attributes else build_yolov3(_MODEL)
    state: dict[str, Any] = network.state_dict()
    return state
