# SPDX-License-Identifier: Apache-2.0
"""What can be said of the CUDA graph without a GPU: nothing in the captured work looks at the
host, and calls come in order."""
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')

from device_rig import Rig, people
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from face_attributes_ros.boxes import Letterbox
from face_attributes_ros.device import plan as device_plan
from face_attributes_ros.device.plan import DeviceNetworks, Plan
from face_attributes_ros.device.yolov3 import CapturableDetector
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import DeviceError
from face_attributes_ros.networks.attributes import OUTPUTS, with_fixed_pool

META = torch.device('meta')


class HostTensors(TorchDispatchMode):
    """Collects the operations that read or make a tensor of the host. Reading a value off the
    device fails by itself."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        given = operation(*args, **(kwargs or {}))
        tensors = [
            value for value in tree_flatten((args, kwargs, given))[0]
            if isinstance(value, torch.Tensor)
        ]
        if any(tensor.device != META for tensor in tensors):
            self.found.append(str(operation))
        return given


def on_meta(name, task):
    module = open_network(find_model(name, task).weights('torch'), backend='torch',
                          device='cpu').module
    return module.to(META, torch.float16)


@pytest.mark.parametrize('slots', [0, 1, 16])
@torch.inference_mode()
def test_the_work_of_a_graph_never_looks_at_the_host(slots):
    attributes = with_fixed_pool(on_meta('attributes_m', 'attributes'), 80)
    detector = CapturableDetector(on_meta('detector_tiny', 'detector'))
    networks = DeviceNetworks(detector, attributes, OUTPUTS, 80, .9)
    plan = Plan(networks, Letterbox(1280, 720, 448, 256), 2, torch.zeros(4, device=META))
    plan._work(slots)       # as the warm-up does
    with HostTensors() as host:
        rows, packed = plan._work(slots)
    assert host.found == []
    assert rows.shape == (2, 2352, 5) and packed.shape == (2, 2 + 5 * 256 + slots * networks.width)


@torch.inference_mode()
def test_what_is_not_made_for_capture_is_caught():
    with pytest.raises(RuntimeError), HostTensors():
        torch.zeros(1, device=META).item()
    with HostTensors() as host:
        on_meta('attributes_m', 'attributes')(torch.zeros(1, 80, 80, 3, dtype=torch.uint8,
                                                          device=META))
    assert host.found


class Pretended:
    """Streams, events and graphs that do nothing but write down what was asked of them."""

    def __init__(self, monkeypatch):
        self.calls, real_empty = [], torch.empty
        note = self.note

        class Stream:
            def __init__(self, name):
                self.name = name

            def wait_stream(self, other):
                note(f'{self.name} waits for {other.name}')

            def synchronize(self):
                note(f'host waits for {self.name}')

        class Event:
            def record(self, stream):
                note(f'event on {stream.name}')

            def synchronize(self):
                note('host waits for event')

        class Graph:
            def replay(self):
                note('replay')

        @contextmanager
        def graph(graph, pool=None, stream=None, capture_error_mode='global'):
            note('capture begins')
            yield
            note('capture ends')

        class Captured(device_plan.Captured):
            """Runs the work where a real graph would be replayed, into the outputs that the
            capture left."""

            def __init__(self, work, stream, pool):
                super().__init__(work, stream, pool)
                self.work = work

            def __call__(self):
                outputs = super().__call__()
                for static, new in zip(outputs, self.work()):
                    static.copy_(new)
                return outputs

        for name, fake in {
                'stream': lambda stream: nullcontext(), 'Event': Event, 'CUDAGraph': Graph,
                'graph': graph, 'graph_pool_handle': lambda: 1
        }.items():
            monkeypatch.setattr(torch.cuda, name, fake)
        monkeypatch.setattr(torch, 'empty',
                            lambda *shape, pin_memory=False, **kind: real_empty(*shape, **kind))
        monkeypatch.setattr(device_plan, 'Captured', Captured)
        self.stream, self.uploads = Stream('compute'), Stream('uploads')

    def note(self, what):
        self.calls.append(what)


@pytest.fixture
def pretended(monkeypatch):
    return Pretended(monkeypatch)


@pytest.fixture
def rig(pretended):
    rig = Rig(detector_min_face_px=0)
    rig.path.stream, rig.path.upload.stream = pretended.stream, pretended.uploads
    rig.finds(*people(3))
    return rig


def process(rig, number, sizes=((64, 48),)):
    frames = {f'c{i}': (np.full((height, width, 3), 40 * number + i, np.uint8), number / 30)
              for i, (width, height) in enumerate(sizes)}
    return rig.device.process(frames)


def test_every_number_of_slots_is_captured_when_a_size_is_first_seen(rig, pretended):
    process(rig, 0)
    assert pretended.calls.count('capture begins') == pretended.calls.count('capture ends') == len(
        device_plan.BUCKETS)
    pretended.calls.clear()
    process(rig, 1)
    assert 'capture begins' not in pretended.calls


def test_what_cannot_be_captured_is_done_without_a_graph_and_said(rig, pretended, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError('operation not permitted\nCompile with TORCH_USE_CUDA_DSA')

    monkeypatch.setattr(torch.cuda, 'graph', refuse)
    said = []
    rig.path.say = said.append
    assert len(process(rig, 0)['c0']) == 3
    assert said == ['this GPU could not capture the work as a CUDA graph (operation not '
                    'permitted): goes on without CUDA graphs, with 1 images and 8 faces at a time']
    assert torch.backends.cudnn.benchmark is False
    pretended.calls.clear()
    assert len(process(rig, 1)['c0']) == 3 and 'replay' not in pretended.calls
    with pytest.raises(DeviceError, match='could not capture'):
        device_plan.Captured(lambda: None, pretended.stream, None)


def test_a_frame_is_one_upload_one_replay_and_one_wait(rig, pretended):
    process(rig, 0)
    pretended.calls.clear()
    tracks = process(rig, 1)['c0']
    assert pretended.calls == [
        'uploads waits for compute', 'event on uploads', 'compute waits for uploads', 'replay',
        'host waits for compute'
    ]
    assert len(tracks) == 3 and tracks[0].raw.p_female == pytest.approx(40 / 255, abs=1e-3)


def test_cameras_of_other_sizes_still_wait_once(rig, pretended):
    process(rig, 0, sizes=((64, 48), (48, 64), (64, 48)))
    pretended.calls.clear()
    found = process(rig, 1, sizes=((64, 48), (48, 64), (64, 48)))
    assert pretended.calls.count('replay') == 2 and pretended.calls.count(
        'host waits for compute') == 1
    assert [round(255 * found[f'c{i}'][0].raw.p_female) for i in range(3)] == [40, 41, 42]


def test_a_buffer_of_the_ring_is_filled_again_only_when_its_copy_is_over(rig, pretended):
    for number in range(5):
        pretended.calls.clear()
        process(rig, number)
        assert ('host waits for event' in pretended.calls) == (number >= 3)


def test_a_larger_frame_gets_a_larger_buffer(rig):
    for number, size in enumerate([(64, 48), (64, 48), (64, 48), (96, 64), (32, 32)]):
        seen = [
            track.raw.p_female for track in process(rig, number, sizes=(size, ))['c0'] if track.raw
        ]
        assert seen == pytest.approx([40 * number / 255] * 3, abs=1e-3)
