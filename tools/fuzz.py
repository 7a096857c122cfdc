# SPDX-License-Identifier: Apache-2.0
"""Shows the package inputs that nobody meant to send, and counts what becomes of them:

    python -m tools.fuzz 10000                    each kind so often
    python -m tools.fuzz 100000 --only pictures   one kind
    make fuzz N=10000

An input is taken or refused with an error of this package; anything else ends the run with
exit code 1 and the smallest input that does it. A run of the same --seed shows the same inputs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from face_attributes_ros.engines.models import load_manifest, models_directory
from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.faces import Face
from face_attributes_ros.options import from_values, options
from face_attributes_ros.pictures.reader import decode
from face_attributes_ros.settings import Settings
from face_attributes_ros.tracker import Tracker

MAX_MEGAPIXELS = 1.
LONGEST_S = 2.
"""No input may take longer."""
_SUFFIXES = ('.jpg', '.png', '.bmp', '.gif', '.webp', '.tif', '.avif', '.jp2', '.ppm', '.pam',
             '.pfm', '.ras', '.hdr')

_flips = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6)
_cuts = st.one_of(st.none(), st.integers(0, 5000))
_anything = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
                      st.binary(max_size=8), st.lists(st.text(max_size=5), max_size=3),
                      st.just(10 ** 30), st.dictionaries(st.text(max_size=3), st.integers()))


def _seeds() -> list[bytes]:
    y, x = np.mgrid[:40, :48]
    picture = np.stack([x * 5, y * 6, 255 - x * 2 - y * 3], 2).astype(np.uint8)
    floats = picture.astype(np.float32) / 255
    return [np.asarray(cv2.imencode(suffix, floats if suffix in ('.pfm', '.hdr') else picture)[1])
            .tobytes() for suffix in _SUFFIXES]


def _damaged(data: bytes, flips: list[tuple[int, int]], cut: int | None) -> bytes:
    bad = bytearray(data[:cut])
    for at, value in flips:
        if bad:
            bad[at % len(bad)] = value
    return bytes(bad)


def pictures() -> Any:
    """Pictures of each format, bytes changed and cut."""
    seeds = _seeds()

    def show(data: bytes, flips: list[tuple[int, int]], cut: int | None, tail: bytes) -> None:
        found = decode(_damaged(data, flips, cut) + tail, 'fuzz', max_megapixels=MAX_MEGAPIXELS)
        assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3

    return show, (st.sampled_from(seeds), _flips, _cuts, st.binary(max_size=40))


def images() -> Any:
    """sensor_msgs/Image of any encoding, size, step and amount of data."""
    from sensor_msgs.msg import Image

    from face_attributes_ros.ros import images as conversions

    small, wrong = st.integers(0, 20), st.one_of(st.just(0), st.just(0), st.integers(-40, 40))

    def show(encoding: str, size: tuple[int, int], off: tuple[int, int], big: bool,
             data: bytes) -> None:
        height, width = size
        known = conversions.ENCODINGS.get(encoding, conversions.Encoding(3))
        step = max(width * known.channels * np.dtype(known.dtype).itemsize + off[0], 0)
        needed = max(step * round(height * known.rows) + off[1], 0)
        data = (data * (needed // len(data) + 1))[:needed]
        found = conversions.to_bgr(Image(encoding=encoding, height=height, width=width, step=step,
                                         is_bigendian=int(big), data=data))
        assert found.shape == (height, width, 3) and found.dtype == np.uint8

    encodings = st.one_of(st.sampled_from([*conversions.ENCODINGS]), st.text(max_size=8))
    return show, (encodings, st.tuples(small, small), st.tuples(wrong, wrong), st.booleans(),
                  st.binary(min_size=1, max_size=50))


def compressed() -> Any:
    """sensor_msgs/CompressedImage of JPEG and PNG, bytes changed and cut."""
    from sensor_msgs.msg import CompressedImage

    from face_attributes_ros.ros import compressed as conversions

    seeds = _seeds()[:2]

    def show(data: bytes, flips: list[tuple[int, int]], cut: int | None) -> None:
        conversions.to_bgr(CompressedImage(format='jpeg', data=_damaged(data, flips, cut)),
                           MAX_MEGAPIXELS)

    return show, (st.sampled_from(seeds), _flips, _cuts)


def manifests() -> Any:
    """The shipped manifest with values replaced and lines changed."""
    text = (models_directory() / 'manifest.toml').read_text()
    lines = [number for number, line in enumerate(text.splitlines()) if ' = ' in line]
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / 'manifest.toml'

    def show(line: int, value: Any, flips: list[tuple[int, int]]) -> None:
        _ = folder  # lives as long as this does
        changed = text.splitlines()
        changed[line] = f'{changed[line].partition(" = ")[0]} = {json.dumps(value, default=repr)}'
        path.write_bytes(_damaged('\n'.join(changed).encode(), flips, None))
        load_manifest.__wrapped__(path) if hasattr(load_manifest, '__wrapped__') \
            else load_manifest(path)

    return show, (st.sampled_from(lines), _anything, _flips)


def parameters() -> Any:
    """Settings of any value, by the names of the ROS parameters."""
    known = st.sampled_from(options(Settings)).flatmap(lambda option: st.tuples(
        st.just(option.name), st.one_of(st.just(option.default), st.integers(0, 2),
                                        st.floats(0, 1), _anything)))
    pairs = st.one_of(known, known, known, st.tuples(st.text(max_size=12), _anything))

    def show(values: list[tuple[str, Any]]) -> None:
        from_values(Settings, dict(values))

    return show, (st.lists(pairs, max_size=3),)


def tracker() -> Any:
    """Boxes that jump, at times that jump."""
    number = st.floats(-1e4, 1e4, width=32)
    face = st.builds(lambda x, y, w, h, score: Face((x, y, x + w, y + h), score), number, number,
                     st.floats(1, 5e3), st.floats(1, 5e3), st.floats(0, 1))
    frames = st.lists(st.tuples(st.lists(face, max_size=4), st.floats(-1e6, 1e10)), max_size=6)

    def show(shown: list[tuple[list[Face], float]]) -> None:
        following = Tracker()
        for faces, stamp_s in shown:
            tracks = following.update(faces, stamp_s)
            assert np.isfinite([track.face.box_xyxy for track in tracks]).all()
            assert len({track.track_id for track in tracks}) == len(tracks)

    return show, (frames,)


KINDS: dict[str, Callable[[], Any]] = {
    kind.__name__: kind for kind in (pictures, images, compressed, manifests, parameters, tracker)}
"""By name: what makes a function to show inputs to, and what inputs are made of."""


def run(kind: str, count: int, number: int) -> Counter[str]:
    """Shows `count` inputs of a kind; how many were taken and refused. AssertionError and all that
    the package should not raise come through."""
    show, makers = KINDS[kind]()
    became: Counter[str] = Counter()

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None,
              suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink))
    @given(st.tuples(*makers))
    def one(values: tuple[Any, ...]) -> None:
        began = time.perf_counter()
        try:
            show(*values)
            became['taken'] += 1
        except FaceAttributesError:
            became['refused'] += 1
        assert time.perf_counter() - began < LONGEST_S, 'took too long'

    one()
    return became


def main(arguments: list[str] | None = None) -> int:
    """Runs all kinds, or one; prints a line a kind."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('count', type=int, help='inputs a kind')
    parser.add_argument('--only', choices=[*KINDS], help='one kind')
    parser.add_argument('--seed', type=int, default=0)
    options_ = parser.parse_args(arguments)
    failed, total = False, 0
    for kind in [options_.only] if options_.only else KINDS:
        began = time.perf_counter()
        try:
            became = run(kind, options_.count, options_.seed)
        except Exception as error:  # hypothesis has printed the input in the notes of the error
            failed = True
            print(f'{kind:<12}FAILED {type(error).__name__}: {error}')
            print('\n'.join(getattr(error, '__notes__', [])))
            continue
        total += sum(became.values())
        print(f'{kind:<12}{sum(became.values()):>9} inputs{became["taken"]:>9} taken'
              f'{became["refused"]:>9} refused{time.perf_counter() - began:>8.0f} s', flush=True)
    print(f'{total} inputs, seed {options_.seed}')
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
