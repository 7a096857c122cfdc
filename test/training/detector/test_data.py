# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest
from detector_rig import write_yolo_folder

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.batches import PictureBank
from face_attributes_ros.training.detector.data import data_hash, read_samples, split_small


def test_yolo_folder(tmp_path):
    root = write_yolo_folder(tmp_path / 'pack')
    (root / 'ignore' / 'train_0.txt').write_text('0 .5 .5 .2 .4\n')
    (root / 'manifest.csv').write_text('name,maybe_unlabelled\ntrain_2,1\ntrain_3,0\n')
    samples = read_samples(root, 'train')
    assert [s.name for s in samples if s.maybe_unlabelled] == ['train_2']
    assert [len(s.boxes) for s in samples] == [0, 1, 1, 1, 1]
    np.testing.assert_allclose(samples[0].ignore, [[.4, .3, .6, .7]], atol=1e-6)


def test_wider_face_layout(tmp_path):
    (tmp_path / 'wider_face_split').mkdir()
    folder = tmp_path / 'WIDER_train' / 'images' / '0--Parade'
    folder.mkdir(parents=True)
    for name in 'ab':
        cv2.imwrite(str(folder / f'{name}.png'), np.zeros((50, 100, 3), np.uint8))
    (tmp_path / 'wider_face_split' / 'wider_face_train_bbx_gt.txt').write_text(
        '0--Parade/a.png\n3\n10 5 20 10 0 0 0 0 0 0\n0 0 0 5 0 0 0 0 0 0\n'
        '50 25 10 10 0 0 0 1 0 0\n'
        '0--Parade/b.png\n0\n0 0 0 0 0 0 0 0 0 0\n')
    first, second = read_samples(tmp_path, 'train')
    np.testing.assert_allclose(first.boxes, [[.1, .1, .3, .3]])
    assert len(first.ignore) == 2      # the empty and the invalid box
    assert len(second.boxes) == 0


@pytest.mark.parametrize('boxes, faces', [(np.zeros((0, 4)), 0), ([[0, 0, .02, .02]], 0),
                                          ([[0, 0, .03, .03]], 1)])
def test_tiny_boxes_are_ignored_relative_to_the_longer_side(boxes, faces):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    kept, small = split_small(boxes, 400, 300)
    assert (len(kept), len(small)) == (faces, len(boxes) - faces)


@pytest.mark.parametrize('spoil, message', [
    (lambda root: (root / 'train.txt').unlink(), 'neither'),
    (lambda root: (root / 'images' / 'train_1.png').unlink(), 'does not exist'),
    (lambda root:
     (root / 'labels' / 'train_1.txt').write_text('0 .5 face .1 .1'), 'not YOLO text'),
])
def test_broken_folders_are_named(tmp_path, spoil, message):
    root = write_yolo_folder(tmp_path / 'pack')
    spoil(root)
    with pytest.raises(DataError, match=message):
        read_samples(root, 'train')


def test_an_unreadable_image_is_named(tmp_path):
    root = write_yolo_folder(tmp_path / 'pack')
    (root / 'images' / 'train_1.png').write_bytes(b'no image')
    with pytest.raises(DataError, match='train_1'):
        read_samples(root, 'train')[1].image()


def test_the_hash_follows_the_labels(tmp_path):
    root = write_yolo_folder(tmp_path / 'pack')
    before = data_hash(read_samples(root, 'train'))
    assert before == data_hash(read_samples(root, 'train'))
    (root / 'labels' / 'train_0.txt').write_text('0 .5 .5 .2 .2\n')
    assert data_hash(read_samples(root, 'train')) != before


def test_a_source_can_be_drawn_more_often(tmp_path):
    samples = read_samples(write_yolo_folder(tmp_path / 'pack'), 'train')
    bank = PictureBank(samples, repeats={'train_1': 3})
    assert bank.deck.tolist() == [0, 1, 1, 1, 2, 3, 4]
    assert len(bank) == 7 and len(bank.pictures) == 5
    assert [len(bank.pictures[index].boxes) for index in bank.peopled] == [1] * 6
