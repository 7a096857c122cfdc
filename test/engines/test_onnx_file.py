# SPDX-License-Identifier: Apache-2.0
"""Weights that lie outside of an ONNX file are found wherever the format lets them be."""

import random

import numpy as np
import pytest
from places import ROOT

from face_attributes_ros.engines.onnx_file import refuse_external_data
from face_attributes_ros.errors import ModelError

onnx = pytest.importorskip('onnx', reason='onnx, which makes the files, is not installed')
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def tensor(external):
    made = numpy_helper.from_array(np.ones((2, 2), np.float32), 'w')
    if external:
        made.data_location = onnx.TensorProto.EXTERNAL
        made.ClearField('raw_data')
        made.external_data.add(key='location', value='w.bin')
    return made


def graph(nodes=(), tensors=(), sparse=()):
    made = helper.make_graph(list(nodes), 'g', [], [], initializer=list(tensors))
    made.sparse_initializer.extend(sparse)
    return made


def model(made, **more):
    return helper.make_model(made, **more)


def in_function(weights):
    node = helper.make_node('Constant', [], ['y'], value=weights)
    function = helper.make_function('here', 'F', [], ['y'], [node],
                                    [helper.make_opsetid('', 17)])
    return model(graph(), functions=[function])


def in_training(weights):
    made = model(graph())
    made.training_info.add().initialization.CopyFrom(graph(tensors=[weights]))
    return made


def deep(weights, levels=30):
    made = graph(tensors=[weights])
    for _ in range(levels):
        made = graph(nodes=[helper.make_node('Loop', [], [], body=made)])
    return model(made)


def sparse(weights):
    made = onnx.SparseTensorProto(dims=[4])
    made.values.CopyFrom(weights)
    return made


PLACES = {
    'initializer': lambda w: model(graph(tensors=[tensor(False), w])),
    'sparse initializer': lambda w: model(graph(sparse=[sparse(w)])),
    'constant': lambda w: model(graph([helper.make_node('Constant', [], ['y'], value=w)])),
    'list of an attribute': lambda w: model(graph([helper.make_node('X', [], [], values=[w])])),
    'graph of a node': lambda w: model(graph([helper.make_node(
        'If', ['c'], ['y'], then_branch=graph(tensors=[w]), else_branch=graph())])),
    'graphs of a node': lambda w: model(graph([helper.make_node(
        'X', [], [], branches=[graph(tensors=[w])])])),
    'function': in_function, 'training': in_training, 'graph in graph in graph': deep,
}


@pytest.mark.parametrize('place', PLACES)
def test_weights_outside_are_refused_and_weights_inside_are_not(place, tmp_path):
    path = tmp_path / 'm.onnx'
    path.write_bytes(PLACES[place](tensor(False)).SerializeToString())
    refuse_external_data('m', path)
    path.write_bytes(PLACES[place](tensor(True)).SerializeToString())
    with pytest.raises(ModelError, match='keeps weights in other files') as error:
        refuse_external_data('m', path)
    assert str(path) in str(error.value)


def test_what_onnx_itself_writes_outside_is_refused(tmp_path):
    path = tmp_path / 'm.onnx'
    onnx.save_model(model(graph(tensors=[tensor(False)])), str(path), save_as_external_data=True,
                    location='w.bin', size_threshold=0, convert_attribute=True)
    assert (tmp_path / 'w.bin').exists()
    with pytest.raises(ModelError, match='in other files'):
        refuse_external_data('m', path)


@pytest.mark.parametrize('content', [b'', b'weights', b'<net name="ir"/>', b'\x3a\xff\xff\xff\x7f',
                                     b'\x08', b'\x80' * 11, b'\x3a\x01\x00'])
def test_what_is_no_onnx_file_is_refused(content, tmp_path):
    path = tmp_path / 'm.onnx'
    path.write_bytes(content)
    with pytest.raises(ModelError, match='is not an ONNX file'):
        refuse_external_data('m', path)


def test_shipped_files_keep_their_weights_inside():
    for path in sorted((ROOT / 'models').glob('*.onnx')):
        refuse_external_data(path.stem, path)


def test_a_thousand_mutated_files_are_read_or_refused(tmp_path):
    rng = random.Random(0)
    good = PLACES['initializer'](tensor(False)).SerializeToString()
    path = tmp_path / 'm.onnx'
    for _ in range(1000):
        mutated = bytearray(good)
        mutated[rng.randrange(len(good))] = rng.randrange(256)
        path.write_bytes(mutated)
        try:
            refuse_external_data('m', path)
        except ModelError as error:
            assert '\n' not in str(error)
