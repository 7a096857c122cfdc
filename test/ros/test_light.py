# SPDX-License-Identifier: Apache-2.0
"""The node as shipped is light: nothing of PyTorch comes into its process."""

import importlib.util
from pathlib import Path

import pytest
from harness import FACES, RUN_NODE, picture
from sensor_msgs.msg import Image


@pytest.mark.parametrize('backend, library', [('onnxruntime', 'onnxruntime_pybind11_state'),
                                              ('openvino', 'libopenvino.so')])
def test_a_node_at_work_has_not_loaded_torch(child, bench, backend, library):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f'{backend} is not installed')
    messages, _ = bench.listen(FACES)
    publisher = bench.robot.create_publisher(Image, 'image', 1)
    bench.robot.create_timer(
        .1, lambda: publisher.publish(picture(640, 480, stamp=bench.now(), frame_id='eye')))
    node = child(*RUN_NODE, '-p', f'detector.backend:={backend}', '-p',
                 f'attributes.backend:={backend}')
    bench.spin_until(lambda: messages, 60)
    mapped = Path(f'/proc/{node.process.pid}/maps').read_text()
    assert library in mapped and 'libtorch' not in mapped and '/torch/' not in mapped
