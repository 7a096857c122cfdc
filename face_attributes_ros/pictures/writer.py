# SPDX-License-Identifier: Apache-2.0
"""New pictures in a folder. What stood there before is never overwritten, nor is another picture
of the same run; pictures of people are for their owner's eyes, mode 0600, unless somebody opens
them."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.errors import ImageError, OutputError
from face_attributes_ros.paths import expanded, printable

_LONGEST = 230
"""Bytes of a name, so that number and suffix still fit into what file systems allow."""


def make_folder(path: str | os.PathLike[str]) -> Path:
    """The folder, with ~ expanded, made for its owner only if it is not there; OutputError if it
    cannot be."""
    path = expanded(path)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a zero byte
        reason = getattr(error, 'strerror', None) or error
        raise OutputError(f'cannot make the folder {printable(path)}: {reason}') from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f'cannot write to the folder {printable(path)}: Permission denied')
    return path


class NewPictures:
    """PNG files in a folder, each under a name that was free."""

    def __init__(self, folder: str | os.PathLike[str], compression: int = 3) -> None:
        self.folder = make_folder(folder)
        self._compression = compression
        self._next: dict[str, int] = {}

    def write(self, stem: str, pixels: np.ndarray) -> Path:
        """Writes (H, W, 3) uint8 BGR to <stem>.png, or <stem>_2.png and so on; the path.

        ImageError for pixels that are none; OutputError where the file cannot be written, and
        none is left."""
        try:
            _, encoded = cv2.imencode('.png', pixels,
                                      (cv2.IMWRITE_PNG_COMPRESSION, self._compression))
        except cv2.error as error:
            raise ImageError(f'{stem}: cannot be encoded, {error.err or error}') from error
        try:
            return self._write(os.fsdecode(os.fsencode(stem)[:_LONGEST]), encoded.data)
        except OSError as error:
            where = printable(self.folder / f'{stem}.png')
            raise OutputError(f'cannot write {where}: {error.strerror or error}') from error

    def _write(self, stem: str, data: memoryview) -> Path:
        number = self._next.get(stem, 1)
        while True:
            path = self.folder / (f'{stem}.png' if number == 1 else f'{stem}_{number}.png')
            number += 1
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                break
            except FileExistsError:
                continue
        self._next[stem] = number
        try:
            with open(handle, 'wb', buffering=0) as file:
                _write_all(file.fileno(), data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path


def _write_all(handle: int, data: memoryview) -> None:
    done = 0
    while done < len(data):
        done += os.write(handle, data[done:])
