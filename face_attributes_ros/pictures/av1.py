# SPDX-License-Identifier: Apache-2.0
"""How large the frames of an AV1 bitstream are: what its sequence header says (AV1 Bitstream &
Decoding Process Specification, 5.5), since a decoder allocates that, whatever the file around it
claims."""

from __future__ import annotations

_SEQUENCE_HEADER = 1
_MOST_UNITS = 8
"""A sequence header comes first, behind a delimiter or padding."""


def frame_px(data: bytes, at: int, stop: int) -> int:
    """Pixels of the frames of a bitstream between two places; 0 where it has no sequence header
    at its start. IndexError where it ends inside of one."""
    for _ in range(_MOST_UNITS):
        if at >= stop:
            break
        kind, extended, sized = data[at] >> 3 & 15, data[at] & 4, data[at] & 2
        at += 2 if extended else 1
        size = stop - at
        if sized:
            size, at = _leb128(data, at)
        if kind == _SEQUENCE_HEADER:
            return _size(_Bits(data, at))
        at += size
    return 0


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        value |= (data[at] & 0x7f) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at


class _Bits:
    """Numbers of any count of bits, one after the other."""

    def __init__(self, data: bytes, at: int):
        self._data, self._bit = data, 8 * at

    def __call__(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._bit >> 3] >> 7 - (self._bit & 7) & 1
            self._bit += 1
        return value


def _size(bits: _Bits) -> int:
    bits(4)  # profile, still picture
    if bits(1):  # the short header of still pictures
        bits(5)
    else:
        _skip_operating_points(bits)
    across, down = bits(4) + 1, bits(4) + 1
    return (bits(across) + 1) * (bits(down) + 1)


def _skip_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits(1):  # timing
        bits(64)
        if bits(1):
            zeros = 0
            while zeros < 32 and not bits(1):
                zeros += 1
            bits(zeros)
        if bits(1):  # decoder model
            delay = bits(5) + 1
            bits(42)
    shows = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay and bits(1):
            bits(2 * delay + 1)
        if shows and bits(1):
            bits(4)
