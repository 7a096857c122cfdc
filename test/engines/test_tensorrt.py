# SPDX-License-Identifier: Apache-2.0
"""TensorRT against a fake runtime: no GPU was at hand, so nothing here runs a network."""

from types import SimpleNamespace

import pytest

from face_attributes_ros.engines import tensorrt
from face_attributes_ros.errors import DeviceError

GPU_BUILD = SimpleNamespace(
    __version__='1.32.0',
    get_available_providers=lambda: [tensorrt.PROVIDER, 'CPUExecutionProvider'])
CPU_BUILD = SimpleNamespace(__version__='1.32.0',
                            get_available_providers=lambda: ['CPUExecutionProvider'])


@pytest.fixture(autouse=True)
def gpu(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    monkeypatch.setattr(tensorrt, 'gpu_name', lambda index: f'NVIDIA Orin {index}, 8.7')
    monkeypatch.setattr(tensorrt, 'tensorrt_version', lambda: '10.3.0')


@pytest.mark.parametrize('precision, half', [('fp32', False), ('fp16', True)])
def test_the_precision_and_the_gpu_are_asked_for(precision, half):
    provider, options = tensorrt.tensorrt_provider('cuda:1', precision, GPU_BUILD)
    assert provider == 'TensorrtExecutionProvider'
    assert (options['device_id'], options['trt_fp16_enable'],
            options['trt_engine_cache_enable']) == (1, half, True)


def test_an_engine_is_kept_for_this_gpu_and_these_versions_only(tmp_path):
    _, options = tensorrt.tensorrt_provider('cuda:0', 'fp16', GPU_BUILD)
    engine = 'NVIDIA_Orin_0_8.7_tensorrt_10.3.0_onnxruntime_1.32.0'
    folder = tmp_path / 'face_attributes_ros' / 'tensorrt' / engine
    assert options['trt_engine_cache_path'] == str(folder) and folder.is_dir()


@pytest.mark.parametrize('change', [('NVIDIA H100, 9.0', '10.3.0', '1.32.0'),
                                    ('NVIDIA Orin, 8.7', '10.4.0', '1.32.0'),
                                    ('NVIDIA Orin, 8.7', '10.3.0', '1.33.0')])
def test_another_gpu_or_version_has_another_folder(change):
    assert tensorrt.cache_folder(*change) != tensorrt.cache_folder('NVIDIA Orin, 8.7', '10.3.0',
                                                                   '1.32.0')


@pytest.mark.parametrize('device, precision, runtime, message', [
    ('cpu', 'fp16', GPU_BUILD, "'cpu' is not offered by tensorrt: needs cuda:N"),
    ('cuda:0', 'fp16', CPU_BUILD,
     'this ONNX Runtime has no TensorRT .it has CPUExecutionProvider.'),
    ('cuda:0', 'bf16', GPU_BUILD, "'bf16' is not offered by tensorrt on cuda:0: needs fp16, fp32"),
])
def test_what_is_missing_is_named(device, precision, runtime, message):
    with pytest.raises(DeviceError, match=message):
        tensorrt.tensorrt_provider(device, precision, runtime)


def test_a_gpu_that_the_driver_does_not_know_is_an_error(monkeypatch, tmp_path):
    monkeypatch.undo()
    monkeypatch.setenv('PATH', str(tmp_path))
    with pytest.raises(DeviceError, match='cuda:3: nvidia-smi does not name this GPU'):
        tensorrt.gpu_name(3)
