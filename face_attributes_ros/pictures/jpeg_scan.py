# SPDX-License-Identifier: Apache-2.0
"""Whether a JPEG scan holds all its blocks, told from the decoded pixels and the scan's last bits.

Where data is missing, libjpeg fills the rest of the scan, or of a restart interval, with blocks of
zeros: exactly (128, 128, 128). Where a picture itself ends in such a grey, each block of it stands
in the data, as the shortest code there is: no change of level, nothing else. So a run of n grey
blocks at the end, behind a block of another colour, is the picture's own if the data ends in n or
n - 1 such codes, and a filling if not. One grey block alone is given the benefit of the doubt, as
is a picture cut inside its last block.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

_RESTART = re.compile(rb'\xff[\xd0-\xd7]')
_GREY, _NEAR = 128, 3


@dataclass(frozen=True)
class Scan:
    """A scan: where its segment starts, where its data starts and ends, (component, tables) of
    each component, the first and last coefficient and the lowest bit, whether it `refines` earlier
    ones, the Huffman tables, and the picture's size."""

    segment: int
    start: int
    stop: int
    components: tuple[tuple[int, int], ...]
    first: int
    last: int
    bit: int
    refines: bool
    tables: Mapping[int, bytes]
    width: int
    height: int


def whole(data: bytes, scan: Scan, sampling: Mapping[int, tuple[int, int]], interval: int,
          pixels: np.ndarray) -> bool:
    """False where blocks of the one scan of a sequential picture (H, W, 3), or of the first scan
    of a progressive one, are missing."""
    grid = _Grid.of(scan, sampling)
    bounds = _intervals(data, scan, interval)
    step = interval or grid.count
    starts = np.arange(0, grid.count, step)
    if len(bounds) < len(starts):
        return False
    stops = np.minimum(starts + step, grid.count)
    suspects = np.flatnonzero(grid.ends_grey(pixels, starts, stops))
    if not len(suspects):
        return True
    grey, near, code = *grid.grey(pixels), _flat_block(scan, sampling)
    near = np.append(not (pixels == _GREY).all(), near)
    # In a scan of levels alone, blocks before the grey ones may look like them: they differ in
    # later scans.
    like_it = 0 if scan.last else grid.count
    return not any(_is_filling(data[slice(*bounds[n])], code, grey[:stops[n]], near, starts[n],
                               like_it) for n in suspects)


def _intervals(data: bytes, scan: Scan, interval: int) -> list[tuple[int, int]]:
    if not interval:
        return [(scan.start, scan.stop)]
    marks = [found.start() for found in _RESTART.finditer(data, scan.start, scan.stop)]
    return list(zip([scan.start, *(mark + 2 for mark in marks)], [*marks, scan.stop]))


@dataclass(frozen=True)
class _Grid:
    """The blocks of a picture in the order of its scan; `block_px` is (width, height) of one."""

    columns: int
    rows: int
    block_px: tuple[int, int]

    @classmethod
    def of(cls, scan: Scan, sampling: Mapping[int, tuple[int, int]]) -> _Grid:
        many = len(scan.components) > 1
        wide, high = (8 * max(factors[axis] for factors in sampling.values()) if many else 8
                      for axis in (0, 1))
        return cls(-(-scan.width // wide), -(-scan.height // high), (wide, high))

    @property
    def count(self) -> int:
        return self.columns * self.rows

    def ends_grey(self, pixels: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
        """Whether a pixel in the middle of the last block between each start and stop is grey."""
        height, width = pixels.shape[:2]
        lasts = self._last_visible(stops - 1, height, width)
        y, x = np.divmod(np.maximum(lasts, 0), self.columns)
        x = np.minimum(x * self.block_px[0] + self.block_px[0] // 2, width - 1)
        y = np.minimum(y * self.block_px[1] + self.block_px[1] // 2, height - 1)
        ends: np.ndarray = (pixels[y, x] == _GREY).all(-1) & (lasts >= starts)
        return ends

    def _last_visible(self, blocks: np.ndarray, height: int, width: int) -> np.ndarray:
        """The last block up to each of these of which more is seen than one row or column."""
        if height % self.block_px[1] != 1 and width % self.block_px[0] != 1:
            return blocks
        y, x = np.divmod(np.arange(self.count), self.columns)
        seen = (y * self.block_px[1] != height - 1) & (x * self.block_px[0] != width - 1)
        lasts: np.ndarray = np.maximum.accumulate(np.where(seen, np.arange(self.count), -1))
        found: np.ndarray = lasts[blocks]
        return found

    def grey(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(count,) whether each block is grey, at its border in brightness only, as neighbours'
        colour is smoothed into it; and whether its brightness is near grey all over."""
        wide, high = self.block_px
        off = np.abs(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY).astype(np.int16) - _GREY)
        strict = (pixels == _GREY).all(2)
        for edge in (0, -1):
            strict[edge % high::high] = off[edge % high::high] <= 1
            strict[:, edge % wide::wide] = off[:, edge % wide::wide] <= 1
        return self._by_block(strict), self._by_block(off <= _NEAR)

    def _by_block(self, mask: np.ndarray) -> np.ndarray:
        """(count,) whether a mask (H, W) holds all over each block, as far as it is seen."""
        wide, high = self.block_px
        pad = ((0, self.rows * high - mask.shape[0]), (0, self.columns * wide - mask.shape[1]))
        padded = np.pad(mask, pad, constant_values=True)
        split = padded.reshape(self.rows, high, self.columns, wide)
        return split.all((1, 3)).reshape(-1)


def _flat_block(scan: Scan, sampling: Mapping[int, tuple[int, int]]) -> str | None:
    """The bits, as text, of a block that is like the one before it; empty if the scan's tables
    cannot say such a thing, None if it has no tables of its own (Motion JPEG)."""
    bits = []
    for name, chosen in scan.components:
        across, down = sampling[name] if len(scan.components) > 1 else (1, 1)
        numbers = (chosen >> 4, 0x10 | chosen & 15) if scan.last else (chosen >> 4,)
        tables = [scan.tables[number] for number in numbers if number in scan.tables]
        if len(tables) < len(numbers):
            return None
        bits += [_code(table, 0) for table in tables] * across * down
    return ''.join(bits) if all(bits) else ''


def _code(table: bytes, symbol: int) -> str:
    """The Huffman code of a symbol, as text (T.81, annex C)."""
    code, at = 0, 16
    for length, count in enumerate(table[:16], 1):
        found = table.find(bytes([symbol]), at, at + count)
        if found >= 0:
            return format(code + found - at, f'0{length}b')
        code, at = (code + count) << 1, at + count
    return ''


def _is_filling(scan: bytes, code: str | None, grey: np.ndarray, near: np.ndarray,
                start: int, like_it: int) -> bool:
    """Whether the grey blocks at the end of an interval, from block `start`, are not its own;
    `near` has the block before the first in front; up to `like_it` more may have their code."""
    run = len(grey) - start if grey[start:].all() else int(np.argmin(grey[::-1]))
    before = len(grey) - run - 1
    if run < 2 or code is None or near[before + 1]:
        return False
    if not code:
        return True
    scan = scan.rstrip(b'\xff')  # a marker may have any number of these before it
    most = run + 15 // len(code) + like_it  # what stands before may happen to look like it
    tail = scan[-(len(code) * (most + 2) // 8 + 16) * 2:].replace(b'\xff\0', b'\xff')
    bits = format(int.from_bytes(b'\1' + tail, 'big'), 'b')[1:]
    repeats = {_repeats(bits, len(bits) - pad, code, most + 1) for pad in range(8)
               if bits[len(bits) - pad:] in ('1' * pad, '0' * pad)}
    return not any(max(run - 2, 1) <= found <= most for found in repeats)


def _repeats(bits: str, end: int, code: str, most: int) -> int:
    found = 0
    while found < most and bits.endswith(code, 0, end):
        found, end = found + 1, end - len(code)
    return found
