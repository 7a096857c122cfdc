# SPDX-License-Identifier: Apache-2.0
"""The device path gives what the plain pipeline gives; here on CPU tensors, with fake networks and
with the shipped ones."""
from dataclasses import replace

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')

from darknet_rig import tiny, write
from detector_rig import photographs
from device_rig import Rig, assert_alike, people

from face_attributes_ros.build import build_pipeline
from face_attributes_ros.device import path as device_path
from face_attributes_ros.device.views import device_views
from face_attributes_ros.device.yolov3 import CapturableDetector
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.engines.torch import open_darknet, open_file
from face_attributes_ros.errors import DeviceError, DeviceLostError, ImageError, ModelError
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

# In fp32 by name: `auto` takes bf16 where the CPU has it.
ON_TORCH = Settings(device='cpu', precision='fp32', detector_backend='torch',
                    attributes_backend='torch', threads=1)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU')


def picture(width=640, height=360, seed=0):
    noise = np.random.default_rng(seed).integers(0, 255, (18, 32, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def both(rig, frames):
    """What both pipelines say of the same frames, checked to be the same."""
    ours, theirs = rig.device.process(frames), rig.plain.process(frames)
    assert_alike(ours, theirs)
    return ours


@pytest.mark.parametrize('count', [0, 1, 2, 4, 5, 16, 17, 40])
def test_any_number_of_faces_also_more_than_there_are_slots(count):
    rig = Rig()
    rig.finds(*people(count))
    for i in range(3):
        tracks, = both(rig, {'': (picture(), i / 30)}).values()
        assert len(tracks) == count and all(track.raw for track in tracks)


def test_faces_come_and_go():
    rig = Rig()
    for i, count in enumerate([0, 3, 20, 0, 1, 6]):
        rig.finds(*people(count))
        both(rig, {'': (picture(), i / 30)})


def test_slots_follow_the_last_frame_and_one_pass_is_enough_then():
    rig = Rig()
    rig.finds(*people(3))
    rig.device.process({'': (picture(), 0.)})
    assert rig.attributes.batches == [
        1, 4
    ]  # one slot for a start, a second pass for the other two, padded to a bucket
    rig.device.process({'': (picture(), .03)})
    assert rig.attributes.batches == [1, 4, 4]
    rig.finds(*people(30))
    rig.device.process({'': (picture(), .06)})
    rig.device.process({'': (picture(), .09)})
    assert rig.attributes.batches == [1, 4, 4, 4, 16, 16, 16, 16]


def test_a_larger_batch_gives_more_slots():
    rig = Rig(batch_max=40)
    assert rig.path.buckets == (0, 1, 4, 16, 40) and [rig.path.bucket(n)
                                                      for n in (0, 3, 17, 99)] == [0, 4, 40, 40]
    rig.finds(*people(30))
    for i in range(2):
        both(rig, {'': (picture(), i / 30)})
    assert rig.attributes.batches[-1] == 40


def test_cameras_of_the_same_and_of_other_sizes():
    rig = Rig()
    rig.finds(*people(3))
    frames = {
        'a': picture(seed=1), 'b': picture(640, 480, seed=2), 'c': picture(seed=3),
        'd': picture(333, 517, seed=4)
    }
    for i in range(3):
        found = both(rig, {camera: (image, i / 30) for camera, image in frames.items()})
    assert {camera: len(tracks) for camera, tracks in found.items()} == dict.fromkeys('abcd', 3)
    levels = {round(tracks[0].raw.p_female, 3) for tracks in found.values()}
    assert len(levels) == 4         # each face was cut from its own camera's frame


def test_the_frame_size_may_change_and_few_plans_are_kept():
    rig = Rig()
    rig.finds(*people(2))
    sizes = [(640, 480), (1280, 720), (640, 480), (64, 48), (1, 1), (1920, 1080), (30, 400),
             (99, 99), (640, 480)]
    for i, size in enumerate(sizes):
        both(rig, {'': (picture(*size), float(i))})
    assert len(rig.path._plans) == device_path.MOST_SIZES


def test_settings_change_live():
    rig = Rig()
    rig.finds(*people(6), [4., 6, 24, 25, .5], [300., 200, 305, 205, .4])
    for i, change in enumerate([{}, {'detector_confidence': .94}, {'detector_max_faces': 2},
                                {'detector_iou': 1.},
                                {'detector_min_face_px': 30,
                                 'detector_confidence': .1}, {'detector_confidence': .1}]):
        for pipeline in (rig.device, rig.plain):
            pipeline.update(replace(Settings(), **change))
        both(rig, {'': (picture(), i / 30)})


def test_more_candidates_than_the_device_sorts_are_suppressed_by_the_host():
    rig = Rig(detector_max_faces=1000, detector_confidence=.1)
    rng = np.random.default_rng(0)
    centre, side = rng.uniform(20, 230, (600, 2)), rng.uniform(10, 30, (600, 1))
    rig.finds(*np.concatenate([centre - side, centre +
                               side, rng.uniform(.2, .9, (600, 1))], 1).tolist())
    tracks, = both(rig, {'': (picture(320, 320), 0.)}).values()
    assert len(tracks) > 20 and all(track.raw for track in tracks)


def test_a_long_chain_of_overlaps_is_settled_by_the_host():
    rig = Rig(detector_iou=.1, detector_confidence=.1)
    rig.finds(*[[10. * i, 20, 10. * i + 15, 35, .9 - .01 * i] for i in range(40)])
    tracks, = both(rig, {'': (picture(), 0.)}).values()
    assert len(tracks) == 20


def test_every_nth_frame_is_looked_at_and_only_then_costs():
    rig = Rig(attributes_every_n_frames=3)
    rig.finds(*people(3))
    looks = []
    for i in range(7):
        rig.attributes.batches.clear()
        track = both(rig, {'': (picture(), i / 30)})[''][0]
        looks.append((track.raw is not None, list(rig.attributes.batches)))
    assert looks == [(True, [1, 4]), (False, []), (True, [4]), (False, []), (False, []),
                     (True, [4]), (False, [])]


def test_switches_hide_or_save_the_work():
    rig = Rig(attributes_enable=False)
    rig.finds(*people(2))
    both(rig, {'': (picture(), 0.)})
    assert rig.attributes.batches == []
    for pipeline in (rig.device, rig.plain):
        pipeline.update(
            replace(pipeline.settings, attributes_enable=True, attributes_enable_gender=False))
    track = rig.device.process({'': (picture(), .03)})[''][0]
    assert track.raw.p_female is None and track.raw.age_years == 40


def test_a_poor_look_is_not_taken():
    rig = Rig(attributes_min_quality=1.)
    rig.finds(*people(1))
    assert both(rig, {'': (picture(), 0.)})[''][0].attributes is None


def test_views_alone_are_a_detector_and_an_estimator():
    rig, image = Rig(), picture()
    rig.finds(*people(3))
    faces = rig.device.detector(image)
    first = rig.device.estimator(image, faces)
    second = rig.device.estimator(
        image, faces)  # the resident frame was used up: through the plain estimator
    assert [a.p_female
            for a in first] == pytest.approx([a.p_female
                                              for a in second], abs=3 / 255) and len(first) == 3
    assert rig.device.estimator(picture(seed=5), []) == [] and rig.device.detector.detect([]) == []
    assert rig.device.estimator.crops([picture(50, 60)])[0].age_years == 40


def test_images_are_read_in_any_layout_and_no_image_is_an_error():
    rig = Rig()
    rig.finds(*people(2))
    image = picture()
    image.flags.writeable = False       # as it comes out of a message
    both(rig, {'': (image, 0.)})
    both(rig, {'': (image[::-1, ::2], .03)})
    with pytest.raises(ImageError):
        rig.device.process({'': (np.zeros((4, 4), np.uint8), 0.)})


def test_warming_up_sees_the_sizes():
    rig = Rig()
    rig.device.warm_up()
    assert {(1, 480, 640), (1, 720, 1280)} <= set(rig.path._plans)


def on_the_device(settings=ON_TORCH):
    """The shipped networks on the device path, on the CPU, where `build_pipeline` would not choose
    it."""
    plain = build_pipeline(settings)
    pipeline = Pipeline(*device_views(plain.detector, plain.estimator), settings,
                        plain.description)
    return pipeline


@pytest.fixture
def bus_and_man():
    found = photographs()
    if len(found) != 2:
        pytest.skip('the package ultralytics, whose photographs these are, is not installed')
    return found


@pytest.mark.parametrize('number', [0, 1])
def test_the_shipped_networks_see_the_same_in_a_photograph(bus_and_man, number):
    settings = replace(ON_TORCH, detector_confidence=.5)  # what is doubtful moves by more
    image, ours = bus_and_man[number], on_the_device(settings)
    numpy_path = build_pipeline(
        replace(settings, precision='fp32', detector_backend='onnxruntime',
                attributes_backend='onnxruntime'))
    for i in range(2):
        mine, theirs = ours.process({'': (image, i / 30)
                                     })[''], numpy_path.process({'': (image, i / 30)})['']
    assert len(mine) == len(theirs) >= 2
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a.face.box_xyxy, b.face.box_xyxy, atol=1)
        assert a.face.score == pytest.approx(b.face.score, abs=.02)
        assert a.raw.age_years == pytest.approx(
            b.raw.age_years, abs=1.5) and a.raw.smile == pytest.approx(b.raw.smile, abs=.05)
        assert a.raw.p_female == pytest.approx(b.raw.p_female, abs=.05)
        np.testing.assert_allclose(a.raw.expression_probs, b.raw.expression_probs, atol=.05)
        angles = [[one.raw.yaw_rad, one.raw.pitch_rad, one.raw.roll_rad] for one in (a, b)]
        np.testing.assert_allclose(*angles, atol=.05)
        side = max(a.face.box_xyxy[2] - a.face.box_xyxy[0],
                   a.face.box_xyxy[3] - a.face.box_xyxy[1])
        np.testing.assert_allclose(a.raw.landmarks_xy, b.raw.landmarks_xy, atol=.02 * side)


def test_half_precision_changes_little(bus_and_man):
    settings = replace(ON_TORCH, detector_confidence=.2)
    whole, half, image = on_the_device(settings), on_the_device(settings), bus_and_man[1]
    networks, half.detector.path.dtype = half.detector.path.networks, torch.float16
    for module in (networks.detector, networks.attributes):
        module.half()       # as on a GPU, in the CPU's own half-precision arithmetic
    mine, theirs = (pipeline.process({'': (image, 0.)})[''] for pipeline in (half, whole))
    assert len(mine) == len(theirs) >= 2
    for a, b in zip(mine, theirs):
        np.testing.assert_allclose(a.face.box_xyxy, b.face.box_xyxy, atol=.5)
        assert a.face.score == pytest.approx(
            b.face.score, abs=.01) and a.raw.age_years == pytest.approx(b.raw.age_years, abs=.7)
        assert a.raw.p_female == pytest.approx(
            b.raw.p_female, abs=.02) and a.raw.yaw_rad == pytest.approx(b.raw.yaw_rad, abs=.02)


def test_a_detector_alone_is_a_path_too():
    rig = Rig(attributes_enable=False)
    rig.path.networks = rig.path.networks._replace(attributes=None, outputs=())
    rig.finds(*people(5))
    assert len(both(rig, {'': (picture(), 0.)})['']) == 5 and rig.attributes.batches == []
    detector, estimator = device_views(
        build_pipeline(replace(ON_TORCH, attributes_model='')).detector, None)
    assert estimator is None and detector.path.networks.width == 0
    assert detector(np.zeros((48, 64, 3), np.uint8)) == []


def test_the_capturable_detector_is_the_contracts(tmp_path):
    shipped = open_file(find_model('detector_tiny', 'detector').torch_weights(), 'cpu').module
    write(tmp_path / 'users.cfg', tiny(2))
    users = open_darknet(tmp_path / 'users.cfg', face_classes=('1', '0'), device='cpu')[0].module
    for contract in (shipped, users):
        capturable = CapturableDetector(contract)
        for shape in ((1, 64, 96), (2, 96, 64), (1, 64, 96)):
            image = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8)
            torch.testing.assert_close(capturable(image.float()), contract(image))


def test_on_the_cpu_torch_runs_through_the_plain_path():
    pipeline = build_pipeline(ON_TORCH)
    assert type(pipeline.detector).__name__ == 'FaceDetector' and pipeline.description[
        'attributes_engine'].endswith('cpu, fp32')


@pytest.mark.skipif(torch.cuda.is_available(), reason='this machine has a GPU')
@pytest.mark.parametrize('part', ['detector', 'attributes'])
def test_a_gpu_that_is_not_there_is_an_error(part):
    with pytest.raises(DeviceError, match='device cuda:0: torch finds 0 CUDA devices'):
        build_pipeline(
            Settings(device='cuda:0', **{f'{part}_backend': 'torch', 'detector_backend': 'torch'}))


def test_two_devices_are_no_path():
    plain = build_pipeline(ON_TORCH)
    plain.estimator.network.device = torch.device('meta')
    with pytest.raises(ModelError, match='needs one device'):
        device_views(plain.detector, plain.estimator)


@needs_gpu
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_a_gpu_gives_what_the_cpu_gives(bus_and_man, precision):
    image = bus_and_man[1]
    ours = build_pipeline(
        replace(ON_TORCH, device='cuda:0', precision=precision, detector_confidence=.2))
    theirs = build_pipeline(replace(ON_TORCH, detector_confidence=.2))
    assert type(
        ours.detector
    ).__name__ == 'DeviceFaceDetector' and precision in ours.description['detector_engine']
    for i, frames in enumerate([{'': image}, {'': image}, {'': image[:, ::-1]},
                                {'a': image, 'b': image[:400]}]):
        stamped = {camera: (frame, i / 30) for camera, frame in frames.items()}
        mine, other = ours.process(stamped), theirs.process(stamped)
        for camera in frames:
            assert len(mine[camera]) == len(other[camera])
            for a, b in zip(mine[camera], other[camera]):
                np.testing.assert_allclose(a.face.box_xyxy, b.face.box_xyxy, atol=3)
                assert a.raw.age_years == pytest.approx(b.raw.age_years, abs=3)


@needs_gpu
def test_a_graph_is_captured_once_a_size_and_follows_live_settings():
    pipeline = build_pipeline(replace(ON_TORCH, device='cuda:0'))
    pipeline.process({'': (picture(), 0.)})
    plan, = pipeline.detector.path._plans.values()
    pipeline.update(replace(pipeline.settings, detector_confidence=.99))
    assert pipeline.process({'': (picture(), .03)}) == {'': []}
    assert list(pipeline.detector.path._plans.values()) == [plan] and set(
        plan.runs) == {0, 1, 4, 16}


# --- out of memory, no graph, a device that is gone ----------------------------------------------


class Short(torch.nn.Module):
    """A network with memory for `room` pictures at a time, whose error is `error`."""

    def __init__(self, network, room, error=None):
        super().__init__()
        self.network, self.room = network, room
        self.error = error or torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate')

    def forward(self, pictures):
        if len(pictures) > self.room:
            raise self.error
        return self.network(pictures)


def short_of(rig, **rooms):
    """The rig with less memory for one of its networks, and what it says."""
    said = []
    rig.path.say = said.append
    rig.path.networks = rig.path.networks._replace(
        **{name: Short(getattr(rig, name), room) for name, room in rooms.items()})
    return said


def test_out_of_memory_for_faces_half_of_them_go_at_a_time_and_none_is_lost():
    rig = Rig()
    said = short_of(rig, attributes=9)
    rig.finds(*people(20))
    for i in range(3):
        tracks, = both(rig, {'': (picture(), i / 30)}).values()
        assert len(tracks) == 20 and all(track.raw for track in tracks)
    assert said == ['out of memory on cpu: goes on without CUDA graphs, with 1 images and 8 faces '
                    'at a time']
    assert rig.path.buckets == (0, 1, 4, 8)


def test_out_of_memory_for_cameras_half_of_them_go_at_a_time():
    rig = Rig()
    said = short_of(rig, detector=2)
    rig.finds(*people(3))
    frames = {name: picture(seed=seed) for seed, name in enumerate('abcd')}
    frames['e'] = picture(640, 480, seed=9)
    for i in range(3):
        found = both(rig, {camera: (image, i / 30) for camera, image in frames.items()})
        assert [len(tracks) for tracks in found.values()] == [3] * 5
    levels = {round(tracks[0].raw.p_female, 3) for tracks in found.values()}
    assert len(levels) == 5  # each face was cut from its own camera's frame
    assert len(said) == 1 and 'with 2 images' in said[0]


def test_the_batch_is_halved_once():
    rig = Rig()
    said = short_of(rig, attributes=0)
    rig.finds(*people(2))
    for _ in range(2):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            rig.device.process({'': (picture(), 0.)})
    assert len(said) == 1


def test_more_small_steps_than_plans_are_kept_at_most():
    rig = Rig()
    short_of(rig, detector=1)
    rig.finds(*people(2))
    rig.path.most_images = 1
    frames = {f'c{seed}': (picture(seed=seed), 0.) for seed in range(9)}
    assert [len(tracks) for tracks in both(rig, frames).values()] == [2] * 9


def test_without_a_graph_it_goes_on_step_by_step(monkeypatch):
    rig, said, plans = Rig(), [], []
    rig.path.say = said.append
    real = device_path.Plan

    def plan(*given):
        plans.append(given)
        if len(plans) == 1:
            raise DeviceError('backend torch: this GPU could not capture the work')
        return real(*given)

    monkeypatch.setattr(device_path, 'Plan', plan)
    rig.finds(*people(2))
    assert len(both(rig, {'': (picture(), 0.)})['']) == 2
    assert said[0].startswith('backend torch: this GPU could not capture the work: goes on')
    assert plans[1][-2] is None  # the stream, without which there is no graph


def test_a_graph_that_fails_for_want_of_memory_is_out_of_memory(monkeypatch):
    from face_attributes_ros.engines.faults import out_of_memory
    with pytest.raises(DeviceError) as error:
        try:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory')
        except RuntimeError as cause:
            raise DeviceError('could not capture') from cause
    assert out_of_memory(error.value)


@pytest.mark.parametrize('words', ['CUDA error: unspecified launch failure\nmore of it',
                                   'CUDA error: unknown error'])
def test_a_device_that_is_gone_is_said_at_once(words):
    rig = Rig()
    said = short_of(rig, detector=1)
    rig.path.networks = rig.path.networks._replace(
        detector=Short(rig.detector, 0, RuntimeError(words)))
    with pytest.raises(DeviceLostError, match='the GPU cpu is gone .CUDA error: un'):
        rig.device.process({'': (picture(), 0.)})
    assert said == []


def test_a_bug_stays_a_bug():
    rig = Rig()
    said = short_of(rig, detector=1)
    rig.path.networks = rig.path.networks._replace(
        detector=Short(rig.detector, 0, ValueError('a bug')))
    with pytest.raises(ValueError, match='a bug'):
        rig.device.process({'': (picture(), 0.)})
    assert said == [] and rig.path.most_images is None
