# SPDX-License-Identifier: Apache-2.0
"""The files that come of a video. What stood there before is never overwritten, and they are for
their owner's eyes, mode 0600."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import cv2
import numpy as np

from face_attributes_ros.errors import OutputError
from face_attributes_ros.faces import CONFIRMED, EXPRESSIONS, Face, Track
from face_attributes_ros.films import timeline
from face_attributes_ros.films.history import History
from face_attributes_ros.films.watch import Seen
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures.writer import make_folder
from face_attributes_ros.records import over_time, to_row

KINDS = ('.mp4', '.jsonl', '.csv', '.png')
"""Annotated video, a line a frame, a row a face, timeline."""

COLUMNS = ('frame', 'time_s', *dict.fromkeys(
    name for name in to_row(Track('', CONFIRMED, 0., 0, Face((0., 0., 0., 0.), 0.)))),
    *(f'p_{name}' for name in EXPRESSIONS))
"""Of the table."""


def record(path: Path, seen: Seen) -> dict[str, Any]:
    """One frame as plain numbers and strings."""
    height, width = seen.frame.bgr.shape[:2]
    return {'path': str(path), 'frame': seen.frame.number, 'time_s': round(seen.frame.time_s, 6),
            'width': width, 'height': height, 'faces': [over_time(track) for track in seen.tracks]}


class FilmFiles:
    """A video's new files in a folder, all of one stem: that of the video, or the first of
    stem_2, stem_3 and so on of which there is none yet. OutputError where one cannot be
    written."""

    def __init__(self, folder: str | os.PathLike[str], stem: str, rate_hz: float) -> None:
        self.paths = _made(make_folder(folder), stem)
        self._rate_hz = rate_hz
        self._lines: TextIO = self._open('.jsonl')
        self._rows: TextIO = self._open('.csv')
        self._table = csv.DictWriter(self._rows, COLUMNS)
        self._table.writeheader()
        self._film: cv2.VideoWriter | None = None
        self._size = 0, 0

    def _open(self, kind: str) -> TextIO:
        return open(self.paths[kind], 'w', encoding='utf-8', newline='')

    def add(self, told: Mapping[str, Any], seen: Seen, drawn: np.ndarray) -> None:
        """Writes a frame: its record, its rows and its picture."""
        try:
            self._lines.write(json.dumps(told) + '\n')
            for track in seen.tracks:
                self._table.writerow({'frame': told['frame'], 'time_s': told['time_s'],
                                      **to_row(track)})
        except OSError as error:
            raise self._error('.jsonl', error) from error
        self._add_picture(drawn)

    def _add_picture(self, drawn: np.ndarray) -> None:
        if self._film is None:
            height, width = drawn.shape[:2]
            self._film = cv2.VideoWriter(os.fspath(self.paths['.mp4']), cv2.CAP_FFMPEG,
                                         cv2.VideoWriter.fourcc(*'mp4v'), self._rate_hz,
                                         (width, height))
            if not self._film.isOpened():
                raise OutputError(f'cannot write {printable(self.paths[".mp4"])}: OpenCV has no '
                                  'encoder for MPEG-4')
            self._size = width, height
        # A film has one size; the writer would leave out frames of another without a word.
        same = drawn.shape[1::-1] == self._size
        self._film.write(drawn if same else cv2.resize(drawn, self._size))

    def close(self) -> None:
        """Ends the files; the timeline is left out."""
        if self._film is not None:
            self._film.release()  # it never says what went wrong
        errors = [error for file in (self._lines, self._rows) if (error := _closed(file))]
        if errors:
            raise self._error('.jsonl', errors[0])

    def finish(self, history: History, title: str) -> None:
        """Draws the timeline, or takes its empty file away where that cannot be."""
        path = self.paths['.png']
        try:
            path.write_bytes(timeline.draw(history, title))
        except OSError as error:
            raise self._error('.png', error) from error
        except OutputError:
            path.unlink(missing_ok=True)
            raise

    def _error(self, kind: str, error: OSError) -> OutputError:
        return OutputError(f'cannot write {printable(self.paths[kind])}: '
                           f'{error.strerror or error}')


def _closed(file: TextIO) -> OSError | None:
    try:
        file.close()
    except OSError as error:  # what was still to be written; the file is closed all the same
        return error
    return None


def _made(folder: Path, stem: str) -> dict[str, Path]:
    number = 1
    while True:
        name = stem if number == 1 else f'{stem}_{number}'
        paths = {kind: folder / f'{name}{kind}' for kind in KINDS}
        try:
            if not any(map(os.path.lexists, paths.values())):
                return _claimed(paths)
        except FileExistsError:  # somebody was quicker
            pass
        except OSError as error:
            raise OutputError(f'cannot write {printable(folder / name)}: '
                              f'{error.strerror or error}') from error
        number += 1


def _claimed(paths: dict[str, Path]) -> dict[str, Path]:
    claimed: list[Path] = []
    try:
        for path in paths.values():
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            claimed.append(path)
    except OSError:
        for path in claimed:
            path.unlink(missing_ok=True)
        raise
    return paths
