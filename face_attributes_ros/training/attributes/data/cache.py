# SPDX-License-Identifier: Apache-2.0
"""Decoded crops on disk: every picture of a table once, as one (N, side, side, 3) uint8 BGR array
to map into memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from face_attributes_ros.errors import DataError, ImageError
from face_attributes_ros.pictures.reader import decode
from face_attributes_ros.training.attributes.data.tables import LabelTable


@lru_cache(maxsize=16)
def open_archive(path: str) -> zipfile.ZipFile:
    """An open zip; the few newest stay open."""
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f'cannot read archive {path}: {error}') from error


def read_bytes(image: str) -> bytes:
    """The stored bytes of a path or of `archive.zip!member`."""
    archive, _, member = image.partition('.zip!')
    try:
        return open_archive(archive + '.zip').read(member) if member else Path(image).read_bytes()
    except (OSError, KeyError) as error:
        raise DataError(f'cannot read picture {image}: {error}') from error


def read_picture(image: str) -> np.ndarray:
    """(H, W, 3) uint8 BGR. Raises `DataError` where it is no whole picture."""
    try:
        return decode(read_bytes(image), image)
    except ImageError as error:
        raise DataError(str(error)) from error


def cut(picture: np.ndarray, box_fraction: tuple[float, ...] | None) -> np.ndarray:
    """The part of a picture inside a box of fractions; the picture where the box is None."""
    if box_fraction is None:
        return picture
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = np.asarray(box_fraction) * (width, height, width, height)
    columns = slice(int(max(x0, 0)), max(int(x1), int(x0) + 1))
    rows = slice(int(max(y0, 0)), max(int(y1), int(y0) + 1))
    return picture[rows, columns]


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    """A square copy: area averages down, cubic up."""
    shrinks = max(picture.shape[:2]) > side
    return cv2.resize(picture, (side, side),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def cache_key(table: LabelTable, side: int) -> str:
    """A short hash over the pictures, boxes and size."""
    return hashlib.sha256(json.dumps([table.images, table.boxes, side]).encode()).hexdigest()[:16]


def cached_crops(table: LabelTable, side: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(crops (N, side, side, 3) uint8 mapped read-only, native (N,) stored sides in pixels); built
    on the first call.
    """
    folder = Path(folder)
    crops_path, native_path = (folder / f'{name}_{cache_key(table, side)}.npy'
                               for name in ('crops', 'native'))
    if not native_path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        build_cache(table, side, crops_path, native_path)
    return np.load(crops_path, mmap_mode='r'), np.load(native_path)


def build_cache(table: LabelTable, side: int, crops_path: Path, native_path: Path) -> None:
    """Writes both files beside their final names, then renames; the second rename marks the pair
    complete."""
    parts = [
        path.with_name(f'{path.stem}.part{os.getpid()}.npy') for path in (crops_path, native_path)
    ]
    crops = np.lib.format.open_memmap(parts[0], 'w+', np.uint8, (len(table), side, side, 3))
    native = np.zeros(len(table), np.float32)
    for row, (image, box) in enumerate(zip(table.images, table.boxes, strict=True)):
        part = cut(read_picture(image), box)
        native[row] = min(part.shape[:2])
        crops[row] = resized(part, side)
    crops.flush()
    np.save(parts[1], native)
    for written, path in zip(parts, (crops_path, native_path), strict=True):
        os.replace(written, path)
