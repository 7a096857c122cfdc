# SPDX-License-Identifier: Apache-2.0
"""One video through a watcher, and told: on standard output and in files."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from face_attributes_ros.console import say
from face_attributes_ros.drawing import annotate
from face_attributes_ros.errors import FaceAttributesError, OutputError
from face_attributes_ros.films.files import FilmFiles, record
from face_attributes_ros.films.history import History
from face_attributes_ros.films.watch import Seen, Watcher
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures.video import Video, VideoFrame

BAR_FRAMES = 100
"""A video of more frames gets a progress bar."""


@dataclass(frozen=True)
class Told:
    """How videos are told: a JSON line a frame in place of a line a track, files in a folder, a
    progress bar for the long ones, a line a track at the end."""

    as_json: bool = False
    out: Path | None = None
    bar: bool = True
    summary: bool = True


def tell(watcher: Watcher, path: Path, told: Told,
         on_error: Callable[[FaceAttributesError], object]) -> History:
    """Watches a video and tells it; what is kept of it. `on_error` gets what could not be written;
    ImageError for what is no video."""
    settings = watcher.pipeline.settings
    with Video(path, settings.max_image_megapixels) as video:
        files = FilmFiles(told.out, path.stem, video.rate_hz) if told.out else None
        history = History()
        try:
            for seen in watcher.watch(_barred(video, told.bar)):
                history.add(seen)
                _tell_frame(path, seen, told, files, blur=settings.privacy_blur_annotated)
        finally:
            if files:
                files.close()
    if files:
        _finish(files, history, path, on_error)
    if told.summary and not told.as_json:
        _summarise(path, history, files)
    return history


def _barred(video: Video, bar: bool) -> Iterable[VideoFrame]:
    if not bar or video.frames < BAR_FRAMES:
        return video
    from tqdm import tqdm

    frames: Iterable[VideoFrame] = tqdm(video, total=video.frames, unit='frame', file=sys.stderr)
    return frames


def _tell_frame(path: Path, seen: Seen, told: Told, files: FilmFiles | None, *,
                blur: bool) -> None:
    if not told.as_json and files is None:
        return
    line = record(path, seen)
    if files is not None:
        files.add(line, seen, annotate(seen.frame.bgr, seen.tracks, blur=blur))
    if told.as_json:
        say(json.dumps(line))


def _finish(files: FilmFiles, history: History, path: Path,
            on_error: Callable[[FaceAttributesError], object]) -> None:
    try:
        files.finish(history, path.name)
    except OutputError as error:
        on_error(error)


def _summarise(path: Path, history: History, files: FilmFiles | None) -> None:
    count = len(history.lives)
    where = f', told in {printable(files.paths[".mp4"].with_suffix(""))}.*' if files else ''
    say(f'{printable(path)}: {history.frames} frames, {history.seconds:.1f} s, {count} '
        f'track{"" if count == 1 else "s"}{where}')
    for sentence in history.sentences():
        say(f'  {sentence}')
