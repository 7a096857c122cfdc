# SPDX-License-Identifier: Apache-2.0
"""Each format whole, cut short, with bytes behind it, turned, and with a header that lies."""

import os
import struct
import time
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures import reader
from face_attributes_ros.pictures.formats import FORMATS, SUFFIXES, format_of
from face_attributes_ros.pictures.reader import decode, measured, read


def scene(width=64, height=48):
    """A picture with another colour in each corner, and texture."""
    y, x = np.mgrid[:height, :width]
    blue, green = x * 255 // width, y * 255 // height
    return np.stack([blue, green, 255 - (blue + green) // 2], 2).astype(np.uint8)


def encoded(suffix, pixels=None, *options):
    pixels = scene() if pixels is None else pixels
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def content(suffix):
    pixels = scene()
    if suffix == '.pgm':
        pixels = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
    if suffix in ('.pfm', '.hdr', '.pic'):
        pixels = pixels.astype(np.float32) / 255
    if suffix == '.pbm':
        pixels = np.where(pixels[..., 2] > 99, 255, 0).astype(np.uint8)
    return encoded(suffix, pixels)


WRITTEN = ('.avif', '.bmp', '.dib', '.gif', '.hdr', '.jp2', '.jpeg', '.jpg', '.pam', '.pbm',
           '.pfm', '.pgm', '.pic', '.png', '.pnm', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.webp')


@pytest.mark.parametrize('suffix', WRITTEN)
def test_every_format_is_read(tmp_path, suffix):
    path = tmp_path / f'picture{suffix}'
    path.write_bytes(content(suffix))
    found = read(path)
    assert found.shape == (48, 64, 3) and found.dtype == np.uint8 and suffix in SUFFIXES
    if suffix in ('.bmp', '.pam', '.png', '.ppm', '.ras', '.sr', '.tif', '.tiff', '.pfm', '.webp'):
        assert np.array_equal(found, scene())
    elif suffix not in ('.pbm', '.pgm', '.gif'):  # of 256 colours
        assert np.abs(found.astype(int) - scene()).mean() < 9


@pytest.mark.parametrize('suffix', WRITTEN)
def test_bytes_behind_the_end_are_ignored(suffix):
    data = content(suffix)
    whole = decode(data, 'x')
    for tail in (b'\r\n', b'\0' * 9, bytes(range(256)) * 4, data[:len(data) // 2], b'\xff\xd9'):
        assert np.array_equal(decode(data + tail, 'x'), whole), tail[:9]


@pytest.mark.parametrize('suffix', WRITTEN)
def test_pictures_cut_short_are_refused(suffix):
    data = content(suffix)
    for stop in sorted({*range(0, len(data), max(len(data) // 40, 1)), len(data) - 1}):
        with pytest.raises(ImageError):
            decode(data[:stop], 'x')


@pytest.mark.parametrize('data', [b'', b'\xff', b'GIF89a', b'BM', b'P6', b'P6\n', b'P7\n',
                                  b'II*\0',
                                  b'\x89PNG\r\n\x1a\n', b'RIFF\0\0\0\0WEBP', b'\0\0\0\x20ftypavif',
                                  b'\xff\xd8\xff\xd9', b'Y\xa6j\x95', b'#?RADIANCE', b'hello'])
def test_next_to_nothing_is_no_picture(data):
    with pytest.raises(ImageError, match='^x: '):
        decode(data, 'x')


def test_damage_never_raises_anything_else():
    """Flipped bytes, in each format."""
    random = np.random.default_rng(3)
    for suffix in WRITTEN:
        data = content(suffix)
        for _ in range(60):
            bad = bytearray(data)
            for at in random.integers(0, min(len(bad), 300), 3):
                bad[at] = random.integers(256)
            try:
                assert decode(bytes(bad), 'x', max_megapixels=1).dtype == np.uint8
            except ImageError:
                pass


# --- size before data


def patched(suffix, at, layout, *values, mark=b''):
    data = bytearray(content(suffix))
    at += data.index(mark) if mark else 0
    struct.pack_into(layout, data, at, *values)
    return bytes(data)


def png(width, height, data=b''):
    chunks = [(b'IHDR', struct.pack('>IIBBBBB', width, height, 1, 0, 0, 0, 0)),
              (b'IDAT', zlib.compress(data)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
        for kind, body in chunks)


BOMBS = {
    'jpeg': patched('.jpg', 5, '>HH', 30000, 30000, mark=b'\xff\xc0'),
    'png': png(60000, 60000, bytes(7501) * 100),
    'gif screen': patched('.gif', 6, '<HH', 60000, 60000),
    'gif frame': patched('.gif', 5, '<HH', 60000, 60000, mark=b'\x2c\0\0\0\0\x40\0'),
    'webp lossless': patched('.webp', 21, '<I', 16383 | 16383 << 14),
    'bmp': patched('.bmp', 18, '<ii', 60000, -60000),
    'tiff': content('.tif').replace(struct.pack('<HHI', 257, 3, 1) + b'\x30\0',
                                    struct.pack('<HHI', 257, 3, 1) + b'\xff\xff').replace(
        struct.pack('<HHI', 256, 3, 1) + b'\x40\0', struct.pack('<HHI', 256, 3, 1) + b'\xff\xff'),
    'avif': patched('.avif', 8, '>II', 60000, 60000, mark=b'ispe'),
    'jp2': patched('.jp2', 6, '>II', 60000, 60000, mark=b'\xff\x4f\xff\x51'),
    'pam': content('.pam').replace(b'WIDTH 64\nHEIGHT 48', b'WIDTH 60000\nHEIGHT 60000'),
    'ppm': content('.ppm').replace(b'64 48', b'60000 60000'),
    'ppm text': b'P3\n60000 60000\n255\n1 2 3\n',
    'pfm': content('.pfm').replace(b'64 48', b'60000 60000'),
    'sun': patched('.ras', 4, '>II', 60000, 60000),
    'hdr': content('.hdr').replace(b'-Y 48 +X 64', b'-Y 60000 +X 60000'),
}


@pytest.mark.parametrize('kind', BOMBS)
def test_bombs_are_refused_at_once_and_take_no_memory(kind):
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(ImageError, match='megapixels|cut short'):
            decode(BOMBS[kind], 'x')
        assert time.process_time() - began < .1 and tracemalloc.get_traced_memory()[1] < 4e6
    finally:
        tracemalloc.stop()


def test_what_is_allowed_is_said_and_can_be_changed(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(encoded('.png'))
    with pytest.raises(ImageError, match=r'a.png: PNG picture of 64x48 pixels \(0.0 megapixels\), '
                                         'allowed are 0.003'):
        read(path, .003)
    assert read(path, .0031).shape == (48, 64, 3)
    assert reader.MAX_MEGAPIXELS > 7680 * 4320 / 1e6


def test_a_tiff_of_one_pixel_in_a_huge_tile_is_a_bomb():
    entries = [(256, 4, 1), (257, 4, 1), (258, 3, 8), (277, 3, 1), (322, 4, 30000),
               (323, 4, 30000), (324, 4, 200), (325, 4, 1)]
    data = b'II*\0' + struct.pack('<IH', 8, len(entries)) + b''.join(
        struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in entries) + bytes(100)
    with pytest.raises(ImageError, match='900.0 megapixels'):
        decode(data, 'x')


def test_scans_are_counted():
    """A few kilobytes of scans, each of which costs a pass over the whole picture."""
    data = encoded('.jpg', None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    at = data.rindex(b'\xff\xda')
    with pytest.raises(ImageError, match='more than 100 scans'):
        decode(data[:at] + data[at:-2] * 200 + b'\xff\xd9', 'x')


@pytest.mark.parametrize('suffix, options', [
    ('.jpg', ()), ('.jpg', (cv2.IMWRITE_JPEG_RST_INTERVAL, 80)), ('.png', ())])
def test_looking_at_a_header_costs_a_fraction_of_a_millisecond(suffix, options):
    noise = np.random.default_rng(0).integers(0, 9, (720, 1280, 3), np.uint8) + scene(1280, 720)
    data = encoded(suffix, noise, *options)
    times = []
    for _ in range(20):
        began = time.perf_counter()
        measured(data, format_of(data), 'x')
        times.append(time.perf_counter() - began)
    assert min(times) < 1e-3


# --- which way up

TURNED = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1],
          4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
          6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
          8: lambda a: np.rot90(a)}
"""How a stored picture is to be seen, by EXIF's orientation (EXIF 2.32, section 4.6.4)."""


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP', 'TIFF', 'AVIF'])
@pytest.mark.parametrize('turn', TURNED)
def test_pictures_are_turned_as_they_say(tmp_path, kind, turn):
    image = pytest.importorskip('PIL.Image', reason='Pillow writes what OpenCV cannot')
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:24, :32], stored[:24, 32:], stored[24:, :32] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    exif, file = image.Exif(), tmp_path / f'picture.{kind.lower()}'
    exif[0x112] = turn
    tags = {'tiffinfo': {274: turn}} if kind == 'TIFF' else {'exif': exif}
    quality = {'quality': 95, 'subsampling': '4:4:4'} if kind in ('JPEG', 'AVIF') else {}
    image.fromarray(stored[..., ::-1]).save(file, kind, **tags, **quality,
                                            **({'lossless': True} if kind == 'WEBP' else {}))
    expected = TURNED[turn](stored)
    found = read(file)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() < 25
    as_stored = decode(file.read_bytes(), 'x', turn=False)
    assert np.abs(as_stored.astype(int) - stored).max() < 25


def test_a_damaged_exif_block_costs_the_turn_and_not_the_picture():
    data = encoded('.jpg')
    for block in (b'', b'II*\0', b'II*\0\xff\xff\xff\xff', b'XX' + bytes(30)):
        segment = b'Exif\0\0' + block
        head = b'\xff\xd8\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment
        assert decode(head + data[2:], 'x').shape == (48, 64, 3)


# --- more bits than 8, and fewer


@pytest.mark.parametrize('white', [1, 15, 100, 255, 1023, 4095, 65535])
def test_a_pgms_maximum_is_white(white):
    ramp = np.linspace(0, white, 48).round().astype('>u2' if white > 255 else 'u1')
    data = b'P5\n# a comment\n8 6 %d\n' % white + ramp.tobytes()
    expected = (ramp.astype(float) / white * 255).reshape(6, 8, 1)
    assert np.abs(decode(data, 'x') - expected).max() <= 1


def test_bitmaps_are_black_and_white():
    assert set(np.unique(decode(content('.pbm'), 'x'))) == {0, 255}


@pytest.mark.parametrize('bits', [10, 12, 16])
def test_deep_pictures_are_scaled_by_what_is_in_them(bits):
    white = (1 << bits) - 1
    pixels = (scene().astype(float) / 255 * white).astype(np.uint16)
    pixels[0, 0] = white
    for suffix in ('.png', '.tif'):
        found = decode(encoded(suffix, pixels), 'x')
        assert np.abs(found[1:].astype(int) - scene()[1:]).max() <= 1


def test_floats_are_brightness_from_0_to_1():
    pixels = scene().astype(np.float32) / 255
    assert np.array_equal(decode(encoded('.tif', pixels), 'x'), scene())
    with pytest.raises(ImageError, match='a depth image'):
        decode(encoded('.pfm', pixels * 9), 'x')


# --- files


def test_what_is_no_file_is_told_apart(tmp_path):
    os.mkfifo(tmp_path / 'pipe.jpg')
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    for name, text in {'none.jpg': 'none.jpg: no such file', '.': 'is a folder',
                       'pipe.jpg': 'is no regular file', 'loop.jpg': 'cannot be read, Too many',
                       'x' * 300: 'cannot be read, File name too long', 'a\0b': 'null'}.items():
        with pytest.raises(ImageError, match=text):
            read(tmp_path / name)


def test_permission_denied_is_said(tmp_path, monkeypatch):
    (tmp_path / 'a.jpg').write_bytes(encoded('.jpg'))

    def denied(*_):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(reader.Path, 'read_bytes', denied)
    with pytest.raises(ImageError, match='a.jpg: cannot be read, Permission denied'):
        read(tmp_path / 'a.jpg')


def test_a_file_larger_than_any_picture_is_not_read(tmp_path):
    path = tmp_path / 'huge.png'
    with open(path, 'wb') as file:
        file.truncate(10 << 30)  # of holes
    with pytest.raises(ImageError, match='a file of 10737418240 bytes is larger'):
        read(path)


@pytest.mark.parametrize('name', [b'caf\xe9.jpg', 'caf\u00e9.jpg'.encode(), b'\xff\xfe.jpg',
                                  b'new\nline.jpg'])
def test_names_of_any_bytes_are_read_and_said(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, 'wb') as file:
        file.write(encoded('.jpg'))
    assert read(os.fsdecode(path)).shape == (48, 64, 3)
    with pytest.raises(ImageError) as caught:
        read(os.fsdecode(path) + '.none')
    text = str(caught.value)
    text.encode()  # no lone surrogates
    assert '\n' not in text


def test_a_name_that_lies_about_the_format_does_not_matter(tmp_path):
    (tmp_path / 'really.png').write_bytes(encoded('.jpg'))
    assert read(tmp_path / 'really.png').shape == (48, 64, 3)


def test_every_format_has_its_own_suffixes():
    every = [suffix for row in FORMATS.values() for suffix in row.suffixes]
    assert len(set(every)) == len(every) == len(SUFFIXES)


def test_a_jpeg_without_components_is_refused():
    data = bytearray(encoded('.jpg'))
    size = data.index(b'\xff\xc0')
    data[size + 2:size + 2 + int.from_bytes(data[size + 2:size + 4], 'big')] = \
        b'\x00\x08\x08' + data[size + 5:size + 9] + b'\x00'
    with pytest.raises(ImageError, match='no components'):
        decode(bytes(data), 'x')


def test_an_offset_of_64_bits_behind_the_data_is_a_cut():
    data = b'II+\0' + bytes((8, 0, 0, 0)) + b'\xff' * 8 + bytes(40)
    with pytest.raises(ImageError, match='cut short'):
        decode(data, 'x')


@pytest.mark.parametrize('filling', [b'\xff', b'\xff\xd0', b'\xff\x01', b'\xff\xe0\x00\x02',
                                     b'\xff\xc4\x00\x02', b'\xff\xdd\x00\x04\x00\x00'])
def test_megabytes_of_markers_cost_no_time(filling):
    """A file, and a message, may be as large as it likes: 1.5 s for 5 MB of fill bytes it was."""
    data = b'\xff\xd8\xff' + filling * (8_000_000 // len(filling))
    start = time.process_time()
    with pytest.raises(ImageError, match='cut short|segments'):
        reader.decode(data, 'x')
    assert time.process_time() - start < .5


def test_fill_bytes_before_a_marker_are_allowed():
    data = encoded('.jpg')
    at = data.index(b'\xff\xdb')
    filled = data[:at] + b'\xff' * 5 + data[at:]
    assert (reader.decode(filled, 'x') == reader.decode(data, 'x')).all()
