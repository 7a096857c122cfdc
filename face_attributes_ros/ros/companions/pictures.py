# SPDX-License-Identifier: Apache-2.0
"""Pictures from files, folders, videos, cameras and network addresses, one after the other."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import cv2
import numpy as np

from face_attributes_ros.errors import ImageError, ParameterError
from face_attributes_ros.paths import expanded, printable
from face_attributes_ros.pictures import reader
from face_attributes_ros.pictures.folders import is_picture, pictures_in
from face_attributes_ros.pictures.formats import format_of
from face_attributes_ros.pictures.video import opened_file

ADDRESSES = ('rtsp', 'rtsps', 'http', 'https', 'rtmp', 'rtp', 'udp', 'tcp', 'srt')
"""What OpenCV's FFmpeg opens."""
_LAST_CAMERA = 9999
_ADDRESS = re.compile(rf'(?:{"|".join(ADDRESSES)})://\S+', re.IGNORECASE)
_OPEN_MS = 10_000
"""How long an address may take to answer; OpenCV's own limit is 30 s."""
Complain = Callable[[ImageError], object]


@dataclass(frozen=True)
class Picture:
    """Pixels (H, W, 3) uint8 BGR, what they came from, and whether they are to be held on to (a
    still) or not (a video)."""

    source: str
    bgr: np.ndarray
    still: bool


def expand(sources: Sequence[str]) -> list[str]:
    """Files, devices, camera indices and addresses for what sources name, ~ and folders expanded;
    ParameterError names what is not there."""
    found = [one for source in sources for one in _expanded(source)]
    if not found:
        raise ParameterError('sources is empty, needs pictures, folders, videos, camera indices, '
                             'devices or addresses')
    return found


def _expanded(source: str) -> list[str]:
    if source.isdecimal() and len(source) > len(str(_LAST_CAMERA)):
        raise ParameterError(f'source {source[:100]}, needs a camera index up to {_LAST_CAMERA}')
    if source.isdecimal() or _ADDRESS.fullmatch(source):
        return [source]
    path = expanded(source)
    if os.path.isdir(path):
        return [str(one) for one in pictures_in(path, _refuse, deep=False)]
    if os.path.isfile(path) or _is_device(path):
        return [str(path)]
    raise ParameterError(f'source {printable(source)!r} is no file, no folder, no camera index, '
                         f'no device and no address ({", ".join(ADDRESSES)})')


def _refuse(error: ImageError) -> None:
    raise ParameterError(f'source {error}')


def _is_device(path: str | os.PathLike[str]) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def pictures(sources: Sequence[str], on_error: Complain, *, loop: bool = False,
             max_megapixels: float = reader.MAX_MEGAPIXELS) -> Iterator[Picture]:
    """The pictures of expanded sources, in order, and over again if `loop`.

    `on_error` gets an ImageError for each source that cannot be read, once; the next one follows.
    ParameterError if a whole round brings nothing.
    """
    failed: set[str] = set()
    while True:
        shown = 0
        for source in sources:
            try:
                for picture in _pictures(source, max_megapixels):
                    shown += 1
                    yield picture
            except ImageError as error:
                if source not in failed:
                    on_error(error)
                failed.add(source)
        if not shown:
            raise ParameterError(f'none of {len(sources)} sources can be read')
        if not loop:
            return


def _pictures(source: str, max_megapixels: float) -> Iterator[Picture]:
    if source.isdecimal() or _ADDRESS.fullmatch(source) or not _is_still(source):
        yield from _video(source, max_megapixels)
    else:
        yield Picture(source, reader.read(source, max_megapixels), True)


def _is_still(path: str) -> bool:
    """Whether a file is called like a picture, or begins like one."""
    if is_picture(path):
        return True
    if not os.path.isfile(path):
        return False
    try:
        with open(path, 'rb') as file:
            return format_of(file.read(64)) is not None
    except OSError:  # the reader says why
        return True


def _video(source: str, max_megapixels: float) -> Iterator[Picture]:
    name = shown_as(source)
    capture, close = _opened(source)
    try:
        megapixels = _area(capture) / 1e6
        if megapixels > max_megapixels:
            raise ImageError(f'{name}: video of {megapixels:.1f} megapixels, allowed are '
                             f'{max_megapixels:g}')
        good, bgr = capture.read()
        if not good:
            raise ImageError(f'{name}: no video or camera that OpenCV can read')
        while good:
            yield Picture(name if _ADDRESS.fullmatch(source) else source, bgr, False)
            good, bgr = capture.read()
    finally:
        capture.release()
        close()


def _area(capture: cv2.VideoCapture) -> float:
    return capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)


def _opened(source: str) -> tuple[cv2.VideoCapture, Callable[[], object]]:
    """The capture, and what is to be called when it is done with."""
    if source.isdecimal():
        return cv2.VideoCapture(int(source)), _nothing
    if _ADDRESS.fullmatch(source):
        limit = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_MS]
        return cv2.VideoCapture(source, cv2.CAP_FFMPEG, limit), _nothing
    if _is_device(source):
        # V4L2 knows a camera by /dev/video0, not by the links of /dev/v4l/by-id.
        return cv2.VideoCapture(os.path.realpath(source), cv2.CAP_V4L2), _nothing
    return opened_file(source)


def _nothing() -> None:
    pass


def shown_as(source: str) -> str:
    """The source as it may be logged: an address without its password."""
    if not _ADDRESS.fullmatch(source):
        return printable(source)
    parts = urlsplit(source)
    return parts._replace(netloc=parts.netloc.rpartition('@')[2]).geturl()
