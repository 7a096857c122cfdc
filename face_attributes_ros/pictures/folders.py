# SPDX-License-Identifier: Apache-2.0
"""The pictures in a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from face_attributes_ros.errors import ImageError
from face_attributes_ros.paths import printable
from face_attributes_ros.pictures.formats import SUFFIXES


def is_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file is called like a picture."""
    return Path(path).suffix.lower() in SUFFIXES


def pictures_in(folder: Path, on_error: Callable[[ImageError], object],
                deep: bool = True) -> list[Path]:
    """The files called like pictures in a folder, and in those below it if `deep`, sorted.

    `on_error` gets an ImageError for each folder that cannot be listed, and one if there is no
    picture at all.
    """
    failed = []

    def refused(error: OSError) -> None:
        failed.append(error)
        on_error(ImageError(f'{printable(error.filename)}: folder cannot be read, '
                            f'{error.strerror}'))

    found = sorted(path for path in _files(folder, refused, deep) if is_picture(path))
    if not found and not failed:
        on_error(ImageError(f'{printable(folder)}: no pictures in this folder '
                            f'({" ".join(SUFFIXES)})'))
    return found


def _files(folder: Path, on_error: Callable[[OSError], None], deep: bool) -> Iterator[Path]:
    for place, folders, files in os.walk(folder, onerror=on_error):
        if not deep:
            folders.clear()
        yield from (Path(place, name) for name in files)
