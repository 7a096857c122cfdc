# SPDX-License-Identifier: Apache-2.0
"""What `tools.fuzz` tries: one row a kind of input. A trial gives nothing back; it may raise our
own errors, and anything else it raises is a find."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from face_attributes_ros.msg import FaceAttributes
from hypothesis import strategies as st
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header

from face_attributes_ros import drawing
from face_attributes_ros.engines.models import load_manifest
from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track
from face_attributes_ros.options import from_values, options
from face_attributes_ros.pictures import reader
from face_attributes_ros.ros import compressed, depth, images
from face_attributes_ros.ros.calibration import calibration
from face_attributes_ros.ros.messages import faces_array
from face_attributes_ros.ros.outputs.markers import marker_array
from face_attributes_ros.ros.sight import Sight
from face_attributes_ros.settings import Settings
from face_attributes_ros.tracker import Tracker
from tools.fuzz_networks import headers, networks, try_header, try_network

MAX_MEGAPIXELS = 1.
"""What pictures may have here: mutated headers would else take most of the time."""

SIZES_PX = st.one_of(st.integers(0, 33), st.sampled_from((640, 2**31 - 1, 2**32 - 1)))
SEEDS = st.integers(0, 2**32 - 1)
ANY_FLOAT = st.floats(width=64)
COORDINATES = st.one_of(st.floats(-50, 700), ANY_FLOAT)
JUNK = st.recursive(
    st.one_of(st.booleans(), st.integers(), ANY_FLOAT, st.text(max_size=20),
              st.sampled_from((10**30, -1, 0, 'detector', 'x' * 300, '\0', '../..', '~'))),
    lambda inner: st.one_of(st.lists(inner, max_size=3),
                            st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5)


@dataclass(frozen=True)
class Kind:
    """A kind of input, how it is tried, what is tried, and its share of all inputs."""

    inputs: st.SearchStrategy[Any]
    trial: Callable[[Any], None]
    about: str
    share: float


# --- images


@st.composite
def _images(draw: st.DrawFn) -> Image:
    encoding = draw(st.sampled_from((*images.ENCODINGS, 'jpeg', '', '32SC2')))
    width, height = draw(SIZES_PX), draw(SIZES_PX)
    known = images.ENCODINGS.get(encoding, images.ENCODINGS['bgr8'])
    least = width * known.channels * np.dtype(known.dtype).itemsize
    step = min(max(0, least + draw(st.integers(-3, 9))), 2**32 - 1)
    needed = min(step * round(height * known.rows), 1 << 13)
    length = max(0, needed + draw(st.sampled_from((0, 0, 0, -1, 1, -step, 40))))
    data = np.random.default_rng(draw(SEEDS)).integers(0, 256, length, np.uint8)
    return Image(encoding=encoding, width=width, height=height, step=step, data=data.tobytes(),
                 is_bigendian=draw(st.integers(0, 1)))


def _try_image(message: Image) -> None:
    _must_be_picture(images.to_bgr(message), (message.height, message.width, 3))


def _must_be_picture(pixels: np.ndarray, shape: tuple[int, ...] | None = None) -> None:
    assert pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3, pixels.shape
    assert shape is None or pixels.shape == shape, pixels.shape


# --- pictures: bytes of real ones, damaged


def _encoded(suffix: str, pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def _originals(suffixes: tuple[str, ...]) -> list[bytes]:
    noise = np.random.default_rng(1).integers(0, 256, (6, 8, 3), np.uint8)
    small = cv2.resize(noise, (40, 28), interpolation=cv2.INTER_CUBIC)
    found = []
    for suffix in suffixes:
        pixels = small if suffix != '.jp2' else cv2.resize(small, (96, 64))
        pixels = pixels.astype(np.float32) / 255 if suffix in ('.pfm', '.hdr') else pixels
        found += [_encoded(suffix, pixels), _encoded(suffix, pixels[:, :, 0])] \
            if suffix not in ('.hdr', '.gif', '.ppm', '.avif') else [_encoded(suffix, pixels)]
        if suffix in ('.png', '.tiff'):
            found.append(_encoded(suffix, small.astype(np.uint16) * 16))
        if suffix == '.jpg':
            found.append(bytes(cv2.imencode(suffix, small, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))[1]))
    return found


@st.composite
def _damaged(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(('set', 'set', 'flip', 'cut', 'insert', 'repeat', 'size'))):
            case 'set':
                data[at:at + 1] = bytes([draw(st.integers(0, 255))])
            case 'flip':
                data[at:at + 1] = bytes([data[at] ^ 1 << draw(st.integers(0, 7))] if data else ())
            case 'cut':
                del data[at:at + draw(st.sampled_from((1, 2, 20, len(data))))]
            case 'insert':
                data[at:at] = draw(st.binary(max_size=12))
            case 'repeat':
                data[at:at] = data[at:at + 30]
            case 'size':
                data[at:at + 4] = draw(st.integers(0, 2**32 - 1)).to_bytes(4, 'big')
    return bytes(data)


def _try_compressed(data: bytes) -> None:
    _must_be_picture(compressed.to_bgr(CompressedImage(format='jpeg', data=data), MAX_MEGAPIXELS))


def _try_picture(data: bytes) -> None:
    _must_be_picture(reader.decode(data, 'damaged', max_megapixels=MAX_MEGAPIXELS))


# --- manifests

_TABLE = {
    'task': 'detector', 'file': 'a.onnx', 'sha256': 'ab' * 32, 'licence': 'ours', 'data': 'none',
    'input_px': 448, 'crop_scale': 1.2, 'torch_file': 'a.safetensors', 'torch_sha256': 'cd' * 32,
    'thresholds': {'score': .3}, 'metrics': {'ap': .5},
}
_FOLDER = tempfile.TemporaryDirectory(prefix='face_attributes_fuzz_')


@st.composite
def _manifests(draw: st.DrawFn) -> bytes:
    changes = draw(st.dictionaries(st.one_of(st.sampled_from(tuple(_TABLE)), st.text(max_size=9)),
                                   st.one_of(st.none(), JUNK), max_size=3))
    table = {key: value for key, value in (_TABLE | changes).items() if value is not None}
    name = draw(st.one_of(st.just('m'), st.text(max_size=120)))
    text = f'[models.{_toml(name)}]\n' + ''.join(
        f'{_toml(key)} = {_toml(value)}\n' for key, value in table.items())
    data = text.encode('utf-8', 'surrogatepass')
    return draw(_damaged([data])) if draw(st.integers(0, 3)) == 0 else data


def _toml(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case list():
            return f'[{", ".join(map(_toml, value))}]'
        case dict():
            pairs = (f'{_toml(key)} = {_toml(inner)}' for key, inner in value.items())
            return f'{{{", ".join(pairs)}}}'
    return json.dumps(value, ensure_ascii=isinstance(value, str)).replace('\x7f', '\\u007f')


def _try_manifest(data: bytes) -> None:
    path = Path(_FOLDER.name, 'manifest.toml')
    path.write_bytes(data)
    for model in load_manifest(path).values():
        assert 16 <= model.input_px <= 4096 and .1 <= model.crop_scale <= 10


# --- parameters

_OPTIONS = {option.name: option for option in options(Settings)}
_VALUES = st.one_of(JUNK, st.sampled_from((float('nan'), float('inf'), 2**63, [], ['', ''], [''],
                                           ['a', 'a'], [90, 0], 'auto', 'cuda:0', 'none')))


def _try_parameters(values: dict[str, Any]) -> None:
    for option in _OPTIONS.values():
        value = getattr(from_values(Settings, values), option.field)
        assert type(value) is type(option.default)
        assert not isinstance(value, float) or math.isfinite(value)


def _try_text(case: tuple[str, str]) -> None:
    name, text = case
    _OPTIONS[name].read(text)


def _try_ros_parameter(case: tuple[str, Any]) -> None:
    name, value = case
    try:
        parameter = Parameter(name, value=value)
    except (TypeError, ValueError):  # not a value that ROS has
        return
    from_values(Settings, {parameter.name: parameter.value})


# --- tracks


def _boxes() -> st.SearchStrategy[tuple[float, float, float, float]]:
    sane = st.tuples(st.floats(0, 600), st.floats(0, 400), st.floats(1, 200), st.floats(1, 200))
    return sane.map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


_STAMPS = st.one_of(st.floats(-.05, .2), st.sampled_from((0., -1e-6, -3., 5., 3600., 3e7, -2e9)))
_SEQUENCES = st.lists(st.tuples(_STAMPS, st.lists(_boxes(), max_size=4)), min_size=1, max_size=12)


def _try_tracker(sequence: list[tuple[float, list[Any]]]) -> None:
    tracker, stamp_s, settings = Tracker(), 1e9, Settings()
    for step_s, found in sequence:
        stamp_s += step_s
        live = tracker.update([Face(box, .9) for box in found], stamp_s, settings, (640, 480))
        tracks = [track.snapshot() for track in live]
        assert len({track.track_id for track in tracks}) == len(tracks)
        assert sum(track.seen for track in live) == len(found)
        for track in (one for one in live if not one.seen):
            x0, y0, x1, y1 = track.face.box_xyxy
            assert 0 <= x0 < x1 <= 640 and 0 <= y0 < y1 <= 480, track.face
        assert all(0 <= track.age_s < 4e9 for track in tracks)


@st.composite
def _tracks(draw: st.DrawFn) -> Track:
    values = [draw(COORDINATES) for _ in range(4)]
    seen = Attributes(yaw_rad=draw(st.floats(-4, 4)), pitch_rad=draw(st.floats(-4, 4)),
                      roll_rad=0., age_years=30., age_std_years=1., age_low=20., age_high=40.,
                      landmarks_xy=((draw(COORDINATES), draw(COORDINATES)), ) * 68)
    return Track('f1', CONFIRMED, 1., 3, Face((values[0], values[1], values[2], values[3]), .5),
                 seen, seen)


def _try_drawing(track: Track) -> None:
    pixels = np.zeros((48, 64, 3), np.uint8)
    drawing.draw(pixels, [track], blur=True)


# --- camera_info


@st.composite
def _infos(draw: st.DrawFn) -> CameraInfo:
    focal = st.one_of(st.floats(1, 3000), ANY_FLOAT)
    info = CameraInfo(width=draw(SIZES_PX), height=draw(SIZES_PX))
    info.k = [draw(focal), 0., draw(focal), 0., draw(focal), draw(focal), 0., 0., 1.]
    info.d = draw(st.lists(ANY_FLOAT, max_size=8))
    info.distortion_model = draw(st.sampled_from(['', 'plumb_bob', 'equidistant']))
    info.p = [draw(focal), 0., draw(focal), draw(ANY_FLOAT), 0., draw(focal), draw(focal), 0., 0.,
              0., 1., 0.]
    info.binning_x, info.binning_y = draw(SIZES_PX), draw(SIZES_PX)
    info.roi = RegionOfInterest(x_offset=draw(SIZES_PX), y_offset=draw(SIZES_PX),
                                width=draw(SIZES_PX), height=draw(SIZES_PX))
    return info


@st.composite
def _lookings(draw: st.DrawFn) -> Attributes:
    points = np.random.default_rng(draw(SEEDS)).uniform(0, 640, (68, 2)).tolist()
    if draw(st.booleans()):
        points[draw(st.integers(0, 67))] = [draw(COORDINATES), draw(COORDINATES)]
    angles: dict[str, Any] = {} if draw(st.integers(0, 2)) == 0 else {
        name: draw(st.floats(-4, 4)) for name in ('yaw_rad', 'pitch_rad', 'roll_rad')}
    return Attributes(landmarks_xy=tuple((x, y) for x, y in points), **angles)


def _try_camera_info(case: tuple[CameraInfo, bool, tuple[float, float, float, float],
                                 Attributes]) -> None:
    info, rectified, box, seen = case
    tracks = [Track('f1', CONFIRMED, 1., 3, Face(box, .5), seen, seen)]
    sight = Sight(tracks, (640, 480), 0., Settings(), calibration(info, rectified))
    message = faces_array(Header(), '', (640, 480), tracks, positions=sight.positions,
                          attention=sight.attention)
    for pose in sight.poses:
        assert pose is None or np.isfinite([*pose.origin, *pose.rotation.flat]).all(), pose
    face = message.faces[0]
    if face.valid & FaceAttributes.HAS_POSITION:
        where = face.position
        assert all(map(math.isfinite, (where.x, where.y, where.z))) and where.z > 0, where
    marker_array(message, tracks)


# --- depth


@st.composite
def _depths(draw: st.DrawFn) -> Image:
    encoding = draw(st.sampled_from((*depth.ENCODINGS, 'bgr8', '')))
    width, height = draw(SIZES_PX), draw(SIZES_PX)
    bytes_each = 4 if encoding == '32FC1' else 2
    step = min(max(0, width * bytes_each + draw(st.integers(-3, 9))), 2**32 - 1)
    length = max(0, min(step * height, 1 << 13) + draw(st.sampled_from((0, 0, 0, -1, -step, 9))))
    data = np.random.default_rng(draw(SEEDS)).integers(0, 256, length, np.uint8)
    return Image(encoding=encoding, width=width, height=height, step=step, data=data.tobytes(),
                 is_bigendian=draw(st.integers(0, 1)))


def _try_depth(case: tuple[Image, tuple[float, float, float, float]]) -> None:
    image, box = case
    found = depth.metres(image, box, (640, 480))
    assert found is None or depth.NEAREST_M <= found <= depth.FARTHEST_M, found


_TOPIC = _originals(('.jpg', '.png'))
_FILES = _originals(('.bmp', '.webp', '.tiff', '.avif', '.jp2', '.ppm', '.pfm', '.hdr', '.gif'))
_NAMES = st.one_of(st.sampled_from(tuple(_OPTIONS)), st.text(max_size=12))

KINDS: dict[str, Kind] = {
    'image': Kind(_images(), _try_image, 'sensor_msgs/Image: encodings, sizes, steps, data', .26),
    'compressed': Kind(_damaged(_TOPIC), _try_compressed,
                       'sensor_msgs/CompressedImage: JPEG and PNG, damaged', .2),
    'picture': Kind(_damaged(_FILES), _try_picture, 'files of the other formats, damaged', .1),
    'manifest': Kind(_manifests(), _try_manifest, 'models/manifest.toml, values and bytes', .05),
    'network': Kind(networks(), try_network, 'whole ONNX files: inputs, outputs, layers, values',
                    .01),
    'weights': Kind(headers(), try_header, 'headers of safetensors files', .01),
    'parameters': Kind(st.dictionaries(_NAMES, _VALUES, max_size=3), _try_parameters,
                       'Settings of any values', .05),
    'option_text': Kind(st.tuples(st.sampled_from(tuple(_OPTIONS)), st.text(max_size=20)),
                        _try_text, 'values of --set as text', .05),
    'ros_parameter': Kind(st.tuples(_NAMES, _VALUES), _try_ros_parameter,
                          'rclpy Parameters of any type', .05),
    'tracker': Kind(_SEQUENCES, _try_tracker, 'up to 12 frames: stamps and boxes', .05),
    'drawing': Kind(_tracks(), _try_drawing, 'boxes, points and angles of any size', .05),
    'camera_info': Kind(st.tuples(_infos(), st.booleans(), _boxes(), _lookings()),
                        _try_camera_info, 'camera_info of any values to a position and a pose',
                        .1),
    'depth': Kind(st.tuples(_depths(), _boxes()), _try_depth, 'depth images of any values', .02),
}
