# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from threading import Event, Thread, get_native_id

import numpy as np
import pytest

from face_attributes_ros.engines import choose as engines
from face_attributes_ros.engines import openvino
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import DeviceError, ModelError, ParameterError

onnx = pytest.importorskip('onnx', reason='onnx writes the tiny network of these tests')
BACKENDS = [name for name in ('onnxruntime', 'openvino') if find_spec(name)]


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """A network that gives the mean and the doubled maximum of each uint8 picture."""
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node('Cast', ['image'], ['x'], to=kind.FLOAT),
             helper.make_node('ReduceMean', ['x', 'axes'], ['mean'], keepdims=0),
             helper.make_node('ReduceMax', ['x', 'axes'], ['peak'], keepdims=0),
             helper.make_node('Add', ['peak', 'peak'], ['twice'])]
    graph = helper.make_graph(
        nodes, 'tiny', [helper.make_tensor_value_info('image', kind.UINT8, ['b', 'h', 'w', 3])],
        [helper.make_tensor_value_info(name, kind.FLOAT, ['b']) for name in ('mean', 'twice')],
        [helper.make_tensor('axes', kind.INT64, [3], [1, 2, 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9)
    out = tmp_path_factory.mktemp('network') / 'tiny.onnx'
    onnx.save(model, out)
    return out


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('count', [1, 3])
def test_every_runtime_gives_the_same_answer(path, backend, count):
    network = engines.open_network(path, backend=backend, device='cpu', precision='fp32',
                                   threads=1)
    batch = np.random.default_rng(0).integers(0, 255, (count, 4, 6, 3), np.uint8)
    mean, twice = network(batch)
    np.testing.assert_allclose(mean, batch.reshape(count, -1).mean(1), rtol=1e-5)
    np.testing.assert_allclose(twice, 2. * batch.reshape(count, -1).max(1))
    assert network.outputs == ('mean', 'twice')
    assert backend in network.description and 'fp32' in network.description


@pytest.mark.parametrize('backend', BACKENDS)
@pytest.mark.parametrize('inputs', [[], ['UINT8', 'UINT8'], ['FLOAT'], ['UINT8', 'FLOAT']])
def test_odd_inputs_are_one_line_when_opened_or_when_asked(backend, inputs, tmp_path):
    helper, kinds = onnx.helper, onnx.TensorProto
    nodes = [helper.make_node('Constant', [], ['y'], value=helper.make_tensor(
        'value', kinds.FLOAT, [1, 1, 5], [0.] * 5))]
    nodes += [helper.make_node('Shape', [f'x{n}'], [f's{n}']) for n in range(len(inputs))]
    ends = [helper.make_tensor_value_info(f'x{n}', getattr(kinds, kind), ['b', 2, 'w'])
            for n, kind in enumerate(inputs)]
    outputs = [helper.make_tensor_value_info('y', kinds.FLOAT, [1, 1, 5])] + [
        helper.make_tensor_value_info(f's{n}', kinds.INT64, [3]) for n in range(len(inputs))]
    onnx.save(helper.make_model(helper.make_graph(nodes, 'odd', ends, outputs), ir_version=9,
                                opset_imports=[helper.make_opsetid('', 18)]), tmp_path / 'm.onnx')
    with pytest.raises(ModelError, match='m.onnx: ') as error:
        network = engines.open_network(tmp_path / 'm.onnx', backend=backend, device='cpu',
                                       precision='fp32', threads=1)
        network(np.zeros((1, 4, 6, 3), np.uint8))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('backend', BACKENDS)
def test_an_output_keeps_its_name_where_a_step_before_it_was_fused_away(backend, tmp_path):
    helper, kind = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node('Cast', ['image'], ['a'], to=kind.FLOAT),
        helper.make_node('Identity', ['a'], ['zzz']),
        helper.make_node('Identity', ['zzz'], ['landmarks'])
    ]
    graph = helper.make_graph(
        nodes, 'fused', [helper.make_tensor_value_info('image', kind.UINT8, ['b', 2, 2, 3])],
        [helper.make_tensor_value_info('landmarks', kind.FLOAT, ['b', 2, 2, 3])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=9),
              tmp_path / 'fused.onnx')
    network = engines.open_network(tmp_path / 'fused.onnx', backend=backend, device='cpu',
                                   precision='fp32', threads=1)
    assert network.outputs == ('landmarks',)


def test_auto_says_what_it_chose(path):
    assert engines.open_network(path).description.split(',')[1].strip() in ('cpu', 'cuda:0')


def test_auto_takes_fp32_for_a_file_that_no_manifest_speaks_for(path, leaky):
    network = engines.open_network(path, int8_path=leaky, device='cpu', threads=1)
    assert network.description.endswith('cpu, fp32') and network.outputs == ('mean', 'twice')


@pytest.mark.skipif('openvino' not in BACKENDS, reason='OpenVINO is not installed')
def test_bf16_is_refused_where_openvino_would_compute_in_fp32(path, monkeypatch):
    monkeypatch.setattr(openvino, 'has_bf16', lambda: False)
    with pytest.raises(DeviceError, match="'bf16' is not offered by openvino on this CPU"):
        engines.open_network(path, backend='openvino', device='cpu', precision='bf16')
    assert openvino.offers('cpu') == ('fp32', 'int8')
    monkeypatch.setattr(openvino, 'has_bf16', lambda: True)
    assert openvino.offers('cpu') == ('fp32', 'bf16', 'int8')


@pytest.mark.skipif('openvino' not in BACKENDS, reason='OpenVINO is not installed')
@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='no affinities here')
@pytest.mark.parametrize('threads', [0, 1])
def test_openvino_leaves_the_caller_on_all_cores(threads):
    """Two nodes, each pinned to the first core while it computed, had half a core each."""
    network = engines.open_network(find_model('attributes_m', 'attributes').path,
                                   backend='openvino', device='cpu', threads=threads)
    caller, allowed, done, seen = get_native_id(), os.sched_getaffinity(0), Event(), []

    def watch():
        while not done.wait(.0005):
            seen.append(os.sched_getaffinity(caller))

    watcher = Thread(target=watch)
    watcher.start()
    for _ in range(20):
        network(np.zeros((4, 80, 80, 3), np.uint8))
    done.set()
    watcher.join()
    assert len(seen) > 10 and all(cores == allowed for cores in seen)


@pytest.mark.parametrize('request_, error, message', [
    ({'device': 'gpu'}, ParameterError, "'gpu', needs auto, cpu or cuda:N"),
    ({'device': 'cuda'}, ParameterError, 'needs auto, cpu or cuda:N'),
    ({'backend': 'tflite'}, ParameterError, 'needs one of auto, onnxruntime'),
    ({'backend': 'ultralytics'}, (ParameterError, DeviceError), 'ultralytics'),
    ({'precision': 'int3'}, ParameterError, 'needs one of auto, fp32'),
    ({'backend': 'openvino', 'device': 'cuda:0'
      }, DeviceError, "'cuda:0' is not offered by openvino: needs cpu|not installed"),
    ({'backend': 'onnxruntime', 'device': 'cpu', 'precision': 'fp16'
      }, DeviceError, "'fp16' is not offered by onnxruntime"),
    ({'device': 'cpu', 'precision': 'int8'
      }, ModelError, 'tiny.onnx has no int8_file in the manifest'),
    ({'backend': 'onnxruntime', 'device': 'cuda:0', 'precision': 'int8'
      }, DeviceError, "'int8' is not offered by onnxruntime on cuda:0: needs a CPU"),
    ({'backend': 'tensorrt', 'device': 'cpu'
      }, DeviceError, "'cpu' is not offered by tensorrt: needs cuda:N"),
    ({'backend': 'tensorrt', 'device': 'cuda:0', 'precision': 'bf16'}, DeviceError, 'tensorrt'),
    ({'backend': 'tensorrt', 'device': 'cuda:0', 'precision': 'int8'
      }, DeviceError, "'int8' is not offered by tensorrt"),
])
def test_a_wrong_request_is_an_error_and_no_fallback(path, request_, error, message):
    with pytest.raises(error, match=message):
        engines.open_network(path, **request_)


def test_a_gpu_that_is_not_there_is_an_error(path):
    import onnxruntime
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this machine has the GPU build of ONNX Runtime')
    with pytest.raises(DeviceError, match='cuda:0: this ONNX Runtime has no CUDA'):
        engines.open_network(path, backend='onnxruntime', device='cuda:0')


@pytest.fixture(scope='module')
def leaky(tmp_path_factory):
    """A convolution, rounded to int8 before and after a leaky activation: what `export int8`
    writes for a YOLOv3."""
    helper, kind, numpy_helper = onnx.helper, onnx.TensorProto, onnx.numpy_helper
    constants = {
        'weights': np.array([[[[-3]]], [[[2]]]],
                            np.int8).repeat(3, 1), 'one': np.float32(1), 'sixth': np.float32(.5),
        'zero': np.uint8(0), 'middle': np.uint8(200), 'scale': np.float32(10), 'level': np.int8(0)
    }
    make = helper.make_node
    nodes = [
        make('Transpose', ['image'], ['nchw'], perm=[0, 3, 1, 2]),
        make('Cast', ['nchw'], ['x'], to=kind.FLOAT),
        make('QuantizeLinear', ['x', 'one', 'zero'], ['xq']),
        make('DequantizeLinear', ['xq', 'one', 'zero'], ['xd']),
        make('DequantizeLinear', ['weights', 'sixth', 'level'], ['w']),
        make('Conv', ['xd', 'w'], ['c']),
        make('QuantizeLinear', ['c', 'scale', 'middle'], ['cq']),
        make('DequantizeLinear', ['cq', 'scale', 'middle'], ['cd']),
        make('LeakyRelu', ['cd'], ['a'], alpha=.1),
        make('QuantizeLinear', ['a', 'scale', 'middle'], ['aq']),
        make('DequantizeLinear', ['aq', 'scale', 'middle'], ['y'])
    ]
    graph = helper.make_graph(
        nodes, 'leaky', [helper.make_tensor_value_info('image', kind.UINT8, ['b', 'h', 'w', 3])],
        [helper.make_tensor_value_info('y', kind.FLOAT, ['b', 2, 'h', 'w'])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()])
    out = tmp_path_factory.mktemp('int8') / 'leaky_int8.onnx'
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8),
              out)
    return out


@pytest.mark.parametrize('backend', BACKENDS)
def test_int8_opens_the_int8_file_and_every_runtime_gives_its_answer(path, leaky, backend):
    network = engines.open_network(path, int8_path=leaky, backend=backend, device='cpu',
                                   precision='int8', threads=1)
    batch = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    sums = batch.astype(np.float32).sum(3) * .5
    expected = np.stack([-3 * sums * .1, 2 * sums], 1)
    np.testing.assert_allclose(network(batch)[0], expected.clip(-2000, 550),
                               atol=5.6)  # half a level, and a tenth of one before
    assert 'int8' in network.description


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_file_that_is_no_network_is_a_model_error(tmp_path, backend):
    path = tmp_path / 'x.onnx'
    path.write_bytes(b'nothing')
    with pytest.raises(ModelError, match='x.onnx'):
        engines.open_network(path, backend=backend, device='cpu', precision='fp32')


def test_opening_a_network_does_not_import_torch(path):
    code = textwrap.dedent(f'''
        import sys
        from face_attributes_ros.engines.choose import open_network
        open_network({str(path)!r}, device='cpu')
        import face_attributes_ros.build
        sys.exit(any(name in sys.modules for name in ('torch', 'ultralytics', 'rclpy')))
    ''')
    subprocess.run([sys.executable, '-c', code], check=True, timeout=120)


@pytest.mark.skipif('onnxruntime' not in BACKENDS, reason='ONNX Runtime is not installed')
def test_cuda_as_pip_installs_it_is_loaded_before_a_session_that_needs_it(path, monkeypatch):
    import onnxruntime

    from face_attributes_ros.engines import onnxruntime as engine
    loaded = []
    monkeypatch.setattr(onnxruntime, 'preload_dlls', lambda **given: loaded.append(given),
                        raising=False)
    engine.open_file(path, 'cpu', 'fp32')
    assert loaded == []
    if 'CUDAExecutionProvider' in onnxruntime.get_available_providers():
        pytest.skip('this machine has the GPU build of ONNX Runtime')
    with pytest.raises(DeviceError, match='could not start'), pytest.warns(UserWarning):
        engine.OnnxRuntime(path, ('CUDAExecutionProvider', {}), 1, 'a test')
    assert loaded == [{'msvc': False}]


@pytest.mark.skipif('openvino' not in BACKENDS, reason='OpenVINO is not installed')
def test_openvino_is_not_imported_to_be_asked_for_bf16_that_the_cpu_cannot_have(monkeypatch):
    def imported():
        raise AssertionError('imported')

    monkeypatch.setattr(openvino, '_openvino', imported)
    monkeypatch.setattr(openvino.cpu, 'flags', lambda: frozenset({'avx2'}))
    assert openvino.has_bf16() is False
    monkeypatch.setattr(openvino.cpu, 'flags', lambda: frozenset({'avx2', 'avx512f'}))
    with pytest.raises(AssertionError, match='imported'):
        openvino.has_bf16()
