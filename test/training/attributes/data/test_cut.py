# SPDX-License-Identifier: Apache-2.0
"""Squares cut around found faces on small generated pictures: where, what is left out, and that
the pack is read back."""

import csv
import zipfile

import cv2
import numpy as np
import pytest
from attributes_rig import jpeg

from face_attributes_ros.errors import DataError
from face_attributes_ros.faces import EXPRESSIONS, Face
from face_attributes_ros.training.attributes.data import cut
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_listed_pack


def scene(number, height=120, width=160):
    """A picture of smooth noise: no two hash alike."""
    noise = np.random.default_rng(number).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def put(folder, name, picture):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


def listed(path, *rows):
    """LIST.csv of (file, expression, gender, group, split)."""
    with open(path, 'w', newline='') as file:
        table = csv.writer(file)
        table.writerow(('file', 'expression', 'gender', 'group', 'split'))
        table.writerows(rows)
    return path


def sees(*faces):
    """A detector that finds the same faces in every picture."""
    return lambda picture: list(faces)


def test_the_square_is_as_long_as_the_longer_side_times_the_scale():
    picture = np.arange(100, dtype=np.uint8)[None, :, None] * np.ones((100, 1, 3), np.uint8)
    crop = cut.square(picture, (40, 30, 60, 70), 1.5)
    assert crop.shape == (60, 60, 3)  # 1.5 times 40
    assert crop[0, [0, -1], 0].tolist() == [20, 79]  # centred on column 50


def test_outside_the_picture_its_edge_is_repeated():
    picture = np.arange(10, 20, dtype=np.uint8)[None, :, None] * np.ones((10, 1, 3), np.uint8)
    crop = cut.square(picture, (0, 0, 4, 4), 2)
    assert crop[0, :, 0].tolist() == [10, 10, 10, 11, 12, 13, 14, 15]


def test_the_largest_face_with_enough_score_is_taken():
    faces = (Face((0, 0, 20, 20), .9), Face((40, 20, 80, 70), .6), Face((0, 0, 160, 120), .4))
    assert cut.face_square(scene(1), sees(*faces)).shape == (55, 55, 3)  # 1.1 times 50


def test_a_face_that_fills_the_picture_is_found_in_a_border():
    asked = []

    def detect(picture):
        asked.append(picture.shape)
        return [Face((40, 40, 160, 140), .8)] if len(asked) == 2 else []

    crop = cut.face_square(scene(2), detect)
    assert asked == [(120, 160, 3), (200, 240, 3)]  # 40, a quarter of 160, on every side
    assert crop.shape == (132, 132, 3)
    assert cut.face_square(scene(2), sees()) is None


def test_a_picture_that_is_a_face_is_taken_whole():
    assert cut.given_square(scene(3, 50, 44)).shape == (56, 56, 3)  # 1.12 times 50
    assert cut.given_square(scene(3, 50, 43)) is None


def test_stored_squares_are_at_most_of_the_packs_side():
    for side, stored in ((300, 112), (112, 112), (60, 60)):
        data = np.frombuffer(cut.to_jpeg(scene(4, side, side)), np.uint8)
        assert cv2.imdecode(data, cv2.IMREAD_COLOR).shape == (stored, stored, 3)


def test_near_pictures_are_found_mirrored_resized_and_at_the_other_scale():
    base = scene(5, 100, 100)
    others = cut.crop_hashes(base)[None]
    smaller = cv2.resize(base, (60, 60), interpolation=cv2.INTER_AREA)
    some = np.stack([cut.crop_hashes(picture) for picture in (
        smaller, base[:, ::-1], base[10:90, 10:90], scene(6, 100, 100))])
    assert some.shape == (4, 2, 2, 32)
    assert cut.near_any(some, others).tolist() == [True, True, True, False]
    assert cut.near_any(some, others[:0]).tolist() == [False] * 4
    assert cut.near_any(some[:0], others).tolist() == []


def test_near_is_up_to_so_many_bits():
    some, others = np.zeros((2, 2, 2, 32), np.uint8), np.full((1, 2, 2, 32), 255, np.uint8)
    some[:] = 0b01010101
    others[0, 0, 0] = 0b01010101
    others[0, 0, 0, :5] = 0b10101010  # 40 bits
    assert cut.near_any(some, others).tolist() == [True, True]
    others[0, 0, 0, 5] = 0b01010100
    assert cut.near_any(some, others).tolist() == [False, False]


@pytest.mark.parametrize('row, words', [
    (('a.png', 'bored', '', '', ''), "expression 'bored'"),
    (('a.png', '', 'f', '', ''), "gender 'f'"),
    (('a.png', '', '', '', 'test'), "split 'test'"),
])
def test_labels_that_no_pack_holds_are_refused(tmp_path, row, words):
    with pytest.raises(DataError, match=words):
        cut.read_list(listed(tmp_path / 'list.csv', row))


def test_a_list_of_files_alone_is_for_training(tmp_path):
    (tmp_path / 'list.csv').write_text('file\nx/a.png\n')
    assert cut.read_list(tmp_path / 'list.csv') == [cut.Listed('x/a.png', '', '', '', 'train')]


def test_ages_are_read_and_come_out_of_the_pack(tmp_path):
    (tmp_path / 'list.csv').write_text('file,age_min,age_max\nx/a.png,7,12\n')
    (row,) = cut.read_list(tmp_path / 'list.csv')
    assert (row.age_min, row.age_max) == ('7', '12')
    cut.write_pack(tmp_path / 'ages_more', [cut.Cut('a.jpg', row, b'', np.zeros((2, 2, 32)))])
    (sample,) = read_listed_pack(tmp_path, 'ages')
    assert (sample.age_low, sample.age_high) == (7.0, 12.0)


def write_pictures(folder):
    """Five scenes, of which one is held out, one a mirrored picture of val, one a copy, one text;
    returns LIST.csv and the folder of what is held out."""
    for name, picture in (('web/a.png', scene(11)), ('web/b.png', scene(12)),
                          ('web/b2.png', scene(12)), ('film/c.png', scene(13)),
                          ('film/d.png', scene(11)[:, ::-1]), ('film/e.png', scene(14))):
        put(folder / 'raw', name, picture)
    (folder / 'raw' / 'web' / 'notes.txt').write_text('no picture')
    held = folder / 'held'
    held.mkdir()
    with zipfile.ZipFile(held / 'jaffe.zip', 'w') as pack:
        pack.writestr('1.jpg', jpeg(cut.square(scene(13), (40, 20, 120, 100), 1.1)))
        pack.writestr('2.jpg', jpeg(cut.square(scene(14), (40, 20, 120, 100), 1.1)))
    (held / 'labels.csv').write_text('path,split\njaffe/1.jpg,crossval\njaffe/2.jpg,train\n')
    rows = (('web/a.png', 'angry', '1', 'p1', 'val'), ('web/b.png', 'fear', '0', 'p2', 'train'),
            ('web/b2.png', 'fear', '0', 'p2', 'train'), ('film/c.png', 'sad', '', '', 'train'),
            ('film/d.png', 'sad', '', '', 'train'), ('film/e.png', '', '1', 'p3', ''),
            ('web/notes.txt', 'sad', '', '', ''))
    return listed(folder / 'list.csv', *rows), held


def test_the_command_writes_a_pack_that_is_read_back(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cut, 'open_detect',
                        lambda name, threads: sees(Face((40, 20, 120, 100), .9)))
    lists, held = write_pictures(tmp_path)
    out = tmp_path / 'full' / 'posed_more'
    assert cut.main(['--pictures', str(tmp_path / 'raw'), '--list', str(lists), '--out', str(out),
                     '--held-out', str(held)]) == 0
    assert capsys.readouterr().out == (
        '3 squares of 7 pictures; left out: same 1, unread 1, nearly held out 2\n')
    val, = read_listed_pack(out.parent, 'posed', 'val')
    assert (val.p_female, val.group) == (1, 'p1')
    assert val.expression == tuple(float(name == 'angry') for name in EXPRESSIONS)
    train = read_listed_pack(out.parent, 'posed')
    assert [(one.p_female, one.group) for one in train] == [(0, 'p2'), (1, 'p3')]
    assert train[1].expression is None
    assert [one.image.split('!')[1].split('_')[0] for one in train] == ['web', 'film']
    apart = np.abs(read_picture(val.image).astype(int)
                   - cut.square(scene(11), (40, 20, 120, 100), 1.1))
    assert read_picture(val.image).shape == (88, 88, 3) and apart.mean() < 8


def test_the_command_takes_a_folder_of_faces_without_a_list(tmp_path, capsys):
    put(tmp_path, 'faces/a.png', scene(21, 60, 50))
    put(tmp_path, 'faces/b.png', scene(22, 40, 60))
    (tmp_path / 'faces' / 'notes.md').write_text('passed over')
    out = tmp_path / 'film_more'
    assert cut.main(['--pictures', str(tmp_path / 'faces'), '--out', str(out),
                     '--cut-already']) == 0
    assert capsys.readouterr().out == '1 squares of 2 pictures; left out: no face 1\n'
    one, = read_listed_pack(tmp_path, 'film')
    assert (one.expression, one.p_female) == (None, None)
    assert read_picture(one.image).shape == (67, 67, 3)


def test_the_shipped_detector_is_opened_and_finds_nothing_in_grey():
    assert cut.open_detect()(np.full((64, 64, 3), 127, np.uint8)) == []
