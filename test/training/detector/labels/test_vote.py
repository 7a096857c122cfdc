# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import lzma

import cv2
import numpy as np
import pytest
from detector_rig import draw_face

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.labels import vote


def find_disc(image):
    """A detector of the drawn face's skin, as sure as can be."""
    rows, columns = np.nonzero(image[..., 2] > 200)
    if not len(rows):
        return np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array([box], np.float32), np.array([0.9], np.float32)


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    image = np.full((300, 400, 3), 90, np.uint8)
    cv2.imwrite(str(folder / 'empty.png'), image)
    draw_face(image, (120, 100), 40)
    cv2.imwrite(str(folder / 'face.png'), image)
    cv2.imwrite(str(folder / 'speck.png'), image[:20, :20])
    return folder


def arguments(pictures, **changes):
    defaults = {
        'pictures': pictures,
        'out': pictures.parent / 'out',
        'peers': None,
        'prefix': 'web',
        'longest_px': 200,
        'marks': None,
        'known': None,
        'limit': 0,
    }
    return argparse.Namespace(**defaults | changes)


@pytest.fixture(autouse=True)
def three_voters(monkeypatch):
    monkeypatch.setattr(vote, 'load_voters', lambda peers: [find_disc] * 3)


def test_votes_and_copies_are_written(pictures):
    args = arguments(pictures)
    assert vote.run(args) == 0
    records = {record['origin']: record for record in vote.read_votes(args.out)}
    assert set(records) == {'empty.png', 'face.png'}  # the speck is too small
    assert records['empty.png']['boxes'] == []
    votes, marks = vote.votes_of(records['face.png'])
    np.testing.assert_allclose(
        votes.boxes, [[40, 30, 80, 70]], atol=1.5
    )  # the copy is half the size
    assert marks.shape == (0, 2)
    copy = cv2.imread(str(args.out / 'images' / f'{records["face.png"]["name"]}.jpg'))
    assert copy.shape == (150, 200, 3)


def test_known_votes_are_taken_for_the_same_pictures_only(pictures, monkeypatch):
    args = arguments(pictures)
    vote.run(args)
    first = vote.read_votes(args.out)
    known = pictures.parent / 'web.jsonl.xz'
    known.write_bytes(lzma.compress((args.out / 'votes.jsonl').read_bytes()))
    draw = np.full((300, 500, 3), 90, np.uint8)
    cv2.imwrite(str(pictures / 'empty.png'), draw)  # another picture under the same name
    looked = []
    monkeypatch.setattr(vote, 'look', lambda image, voters: looked.append(image.shape) or
                        vote.Votes(np.zeros((0, 4)), np.zeros((0, 3))))
    again = arguments(pictures, out=pictures.parent / 'again', known=known)
    vote.run(again)
    assert looked == [(300, 500, 3)]
    second = {record['origin']: record for record in vote.read_votes(again.out)}
    assert second['face.png'] == next(r for r in first if r['origin'] == 'face.png')
    assert (again.out / 'images' / f'{second["face.png"]["name"]}.jpg').is_file()
    known.write_bytes(b'no votes')
    with pytest.raises(DataError, match='cannot read'):
        vote.run(arguments(pictures, out=pictures.parent / 'third', known=known))


def test_what_is_done_is_not_done_again(pictures):
    args = arguments(pictures)
    vote.run(args)
    before = (args.out / 'votes.jsonl').read_text()
    vote.run(args)
    assert (args.out / 'votes.jsonl').read_text() == before


def test_marks_come_along_in_pixels_of_the_copy(pictures, tmp_path):
    (tmp_path / 'marks.csv').write_text('face.png,120,100\n')
    args = arguments(pictures, marks=tmp_path / 'marks.csv')
    vote.run(args)
    record = next(r for r in vote.read_votes(args.out) if r['origin'] == 'face.png')
    np.testing.assert_allclose(vote.votes_of(record)[1], [[60, 50]], atol=0.1)


def test_a_doubtful_face_gets_a_mirrored_second_look():
    widths = []

    def unsure(image):
        widths.append(image.shape[1])
        boxes, scores = find_disc(image)
        return boxes, scores * 0.5

    image = np.full((300, 400, 3), 90, np.uint8)
    draw_face(image, (120, 100), 40)
    blind = lambda image: find_disc(image[:1] * 0)  # noqa: E731
    votes = vote.look(image, [unsure, blind, blind])
    assert widths == [vote.FIRST_PX, vote.SECOND_PX]
    assert len(votes.scores) == 1
    np.testing.assert_allclose(votes.boxes, [[0.2, 0.2, 0.4, 0.467]], atol=0.01)


def test_where_two_agree_the_third_is_not_asked():
    def never(image):
        raise AssertionError('asked')

    image = np.full((300, 400, 3), 90, np.uint8)
    assert len(vote.look(image, [find_disc, find_disc, never]).boxes) == 0
    draw_face(image, (120, 100), 40)
    votes = vote.look(image, [find_disc, find_disc, never])
    np.testing.assert_allclose(votes.scores, [[.9, .9, 0]])


def test_a_folder_without_pictures_is_an_error(tmp_path):
    with pytest.raises(DataError, match='holds no picture'):
        vote.chosen(tmp_path, 0)


def test_no_votes_file_is_no_votes(tmp_path):
    assert vote.read_votes(tmp_path) == []
    (tmp_path / 'votes.jsonl').write_text(json.dumps({'name': 'a'}) + '\n')
    assert len(vote.read_votes(tmp_path)) == 1
