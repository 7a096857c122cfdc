# SPDX-License-Identifier: Apache-2.0
"""The frames of a video file, each with its time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import cv2
import numpy as np

from face_attributes_ros.errors import ImageError
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures.reader import MAX_MEGAPIXELS

SUFFIXES = ('.mp4', '.m4v', '.mov', '.avi', '.mkv', '.webm', '.mpg', '.mpeg', '.mts', '.m2ts',
            '.ogv', '.wmv', '.flv', '.3gp', '.mjpeg', '.mjpg')
"""What files of videos end in, in small letters. What a file holds, FFmpeg finds out itself."""

USUAL_RATE_HZ = 25.
"""Of a video that does not say its own."""


class VideoFrame(NamedTuple):
    """One frame: its number from 0, its time in seconds from the beginning, its pixels (H, W, 3)
    uint8 BGR."""

    number: int
    time_s: float
    bgr: np.ndarray


def is_video(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like a video."""
    return Path(path).suffix.lower() in SUFFIXES


def videos_in(folder: Path) -> list[Path]:
    """The files called like videos in a folder and in those below it, sorted."""
    return sorted(Path(place, name) for place, _, files in os.walk(folder)
                  for name in files if is_video(name))


class Video:
    """A video file, opened: a context manager, and the frames when iterated over, once.

    ImageError if it is none that OpenCV can read, or its frames are larger than allowed.
    `rate_hz` and `frames` are what the file says; the number of frames is 0 where it says
    nothing.
    """

    def __init__(self, path: str | os.PathLike[str],
                 max_megapixels: float = MAX_MEGAPIXELS) -> None:
        self._name = printable(path)
        if not os.path.isfile(path):
            raise ImageError(f'{self._name}: no such file')
        self._capture, self._close = opened_file(path)
        self._max_megapixels = max_megapixels
        try:
            self._check()
        except ImageError:
            self.close()
            raise

    def _check(self) -> None:
        if not self._capture.isOpened():
            raise ImageError(f'{self._name}: no video that OpenCV can read')
        width, height = (self._say(each) for each in (cv2.CAP_PROP_FRAME_WIDTH,
                                                      cv2.CAP_PROP_FRAME_HEIGHT))
        self._check_size('video', width * height)
        self.frames = max(0, round(self._say(cv2.CAP_PROP_FRAME_COUNT)))
        rate_hz = self._say(cv2.CAP_PROP_FPS)
        self.rate_hz = rate_hz if 0 < rate_hz < 1000 else USUAL_RATE_HZ

    def _check_size(self, what: str, pixels: float) -> None:
        if pixels > self._max_megapixels * 1e6:
            raise ImageError(f'{self._name}: {what} of {pixels / 1e6:.1f} megapixels, allowed are '
                             f'{self._max_megapixels:g}')

    def _say(self, what: int) -> float:
        value = self._capture.get(what)
        return value if math.isfinite(value) else 0.

    def __enter__(self) -> Video:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._capture.release()
        self._close()

    def __iter__(self) -> Iterator[VideoFrame]:
        number, before_s = 0, -math.inf
        while True:
            good, bgr = self._capture.read()
            if not good:
                break
            # Frames may be larger than the container said, and change.
            self._check_size(f'frame {number}', bgr.shape[0] * bgr.shape[1])
            time_s = self._time_s(number, before_s)
            yield VideoFrame(number, time_s, np.asarray(bgr))
            number, before_s = number + 1, time_s
        if not number:
            raise ImageError(f'{self._name}: a video without a frame that can be read')

    def _time_s(self, number: int, before_s: float) -> float:
        # The container's own time, so that videos of uneven rate (telephones) come out right;
        # where it stands still or runs back, one frame later than the one before.
        time_s = self._say(cv2.CAP_PROP_POS_MSEC) / 1e3
        if number and time_s <= before_s:
            return before_s + 1 / self.rate_hz
        return time_s


def opened_file(path: str | os.PathLike[str]) -> tuple[cv2.VideoCapture, Callable[[], object]]:
    """OpenCV's capture of a file, and what is to be called when it is done with; ImageError if the
    file cannot be opened."""
    try:
        name = os.fsencode(path).decode()
    except UnicodeDecodeError:  # OpenCV would crash on the name
        return _opened_by_number(path)
    return cv2.VideoCapture(name), _nothing


def _opened_by_number(path: str | os.PathLike[str]) -> tuple[cv2.VideoCapture,
                                                             Callable[[], object]]:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise ImageError(f'{printable(path)}: cannot be read, {error.strerror}') from error
    return cv2.VideoCapture(f'/proc/self/fd/{handle}'), lambda: os.close(handle)


def _nothing() -> None:
    pass
