# SPDX-License-Identifier: Apache-2.0
"""Each public layout on a tiny generated folder, with its gender coding and angle signs pinned."""

import sqlite3

import cv2
import numpy as np
import pytest
from attributes_rig import face, make_pack
from scipy.io import savemat

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.attributes.data.packs import (
    read_backgrounds,
    read_full_pack,
    read_listed_pack,
    read_pack,
)
from face_attributes_ros.training.attributes.data.readers import READERS
from face_attributes_ros.training.attributes.data.tables import one_hot, shares, smile_of, table_of


def put(path, size=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), face(1, size))


def genders(samples):
    return [sample.p_female for sample in samples]


def test_utkface_codes_zero_as_male(tmp_path):
    for name in ('25_0_2_20170116174525125.jpg.chip.jpg', '61_1_20170109142408075.jpg.chip.jpg',
                 '7_1_0_20161219222752047.jpg.chip.jpg'):
        put(tmp_path / 'part1' / name)
    samples = READERS['utkface'](tmp_path)
    assert genders(samples) == [0.0, 1.0]  # the name without a race is malformed: left out
    assert [(sample.age_low, sample.age_high) for sample in samples] == [(25, 25), (7, 7)]


def test_fairface_reads_ranges_and_the_open_last_one(tmp_path):
    (tmp_path / 'fairface_label_val.csv').write_text(
        'file,age,gender,race,service_test\nval/1.jpg,3-9,Male,East Asian,False\n'
        'val/2.jpg,more than 70,Female,Indian,True\n')
    samples = READERS['fairface'](tmp_path, 'val')
    assert genders(samples) == [0.0, 1.0]
    assert [(sample.age_low, sample.age_high) for sample in samples] == [(3, 9), (70, 100)]


def test_celeba_codes_male_as_one_and_keeps_its_partition(tmp_path):
    (tmp_path / 'list_attr_celeba.txt'
     ).write_text('3\nMale Smiling Young\n1.jpg  1 -1 1\n2.jpg -1  1 1\n3.jpg -1 -1 1\n')
    (tmp_path / 'list_eval_partition.txt').write_text('1.jpg 0\n2.jpg 0\n3.jpg 2\n')
    assert [(s.p_female, s.smile) for s in READERS['celeba'](tmp_path)] == [(0.0, 0.0), (1.0, 1.0)]
    assert [(s.p_female, s.smile) for s in READERS['celeba'](tmp_path, 'test')] == [(1.0, 0.0)]


def test_adience_reads_ranges_single_ages_and_unknowns(tmp_path):
    header = 'user_id\toriginal_image\tface_id\tage\tgender\tx\ty\n'
    for fold in range(5):
        (tmp_path / f'fold_{fold}_data.txt').write_text(
            header + f'u{fold}\ta.jpg\t7\t(25, 32)\tf\t0\t0\n'
            f'u{fold}\tb.jpg\t8\t35\tm\t0\t0\nu{fold}\tc.jpg\t9\tNone\tu\t0\t0\n')
    train, val, test = (READERS['adience'](tmp_path, split) for split in ('train', 'val', 'test'))
    assert [len(part) for part in (train, val, test)] == [9, 3, 3]
    assert genders(val) == [1.0, 0.0, None]
    assert [(sample.age_low, sample.age_high) for sample in val] == [(25, 32), (35, 35),
                                                                     (None, None)]
    assert val[0].image.endswith('faces/u3/coarse_tilt_aligned_face.7.a.jpg')
    assert not {sample.group for sample in train} & {sample.group for sample in test}


def test_imdb_wiki_codes_zero_as_female_and_drops_doubtful_faces(tmp_path):
    columns = {'full_path': np.array(['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg', 'e.jpg'], object),
               'dob': np.array([722695, 722695, 722695, 0, 722695]),
               'photo_taken': np.array([2008, 2008, 2008, 2008, 2008]),
               'gender': np.array([0.0, 1.0, 1.0, 1.0, np.nan]),
               'face_score': np.array([3.0, 3.0, 3.0, 3.0, 3.0]),
               'second_face_score': np.array([np.nan, np.nan, 2.0, np.nan, np.nan])}
    savemat(tmp_path / 'wiki.mat', {'wiki': columns})
    samples = READERS['imdb_wiki'](tmp_path)
    assert [sample.image[-5:] for sample in samples] == ['a.jpg', 'b.jpg', 'e.jpg']
    assert genders(samples) == [1.0, 0.0, None]
    assert samples[0].age_low == 29  # born 1978-08-31, not yet 30 in the middle of 2008


def test_morph_reads_sex_and_age_from_names(tmp_path):
    put(tmp_path / 'Album2' / '009055_1M54.JPG')
    put(tmp_path / 'Album2' / '012345_02F19.JPG')
    assert [(s.p_female, s.age_low, s.group)
            for s in READERS['morph'](tmp_path)] == [(0.0, 54, '009055'), (1.0, 19, '012345')]


def test_ferplus_votes_become_shares_in_our_order(tmp_path):
    folder = tmp_path / 'FER2013Train'
    folder.mkdir()
    (folder / 'label.csv').write_text('fer1.png,"(0, 0, 48, 48)",1,0,2,3,0,4,0,0,0,0\n'
                                      'fer2.png,"(0, 0, 48, 48)",1,0,0,0,0,0,0,0,0,9\n')
    sample, = READERS['ferplus'](tmp_path)  # the second one shows no face, say nine of ten
    # neutral happy sad surprise fear disgust angry, from neutral happiness surprise sadness anger
    # disgust fear
    assert sample.expression == pytest.approx((.1, 0, .3, .2, 0, .4, 0))
    assert sample.smile == 0


def test_fer2013_unpacks_its_pictures_and_reorders_its_classes(tmp_path):
    pixels = ' '.join(['7'] * 48 * 48)
    rows = ''.join(f'{label},{pixels},{usage}\n' for label, usage in ((0, 'Training'),
                                                                      (3, 'Training'),
                                                                      (6, 'PrivateTest')))
    (tmp_path / 'fer2013.csv').write_text('emotion,pixels,Usage\n' + rows)
    samples = READERS['fer2013'](tmp_path)
    assert [sample.expression for sample in samples] == [one_hot('angry'), one_hot('happy')]
    assert cv2.imread(samples[0].image).shape == (48, 48, 3)
    assert [sample.expression
            for sample in READERS['fer2013'](tmp_path, 'test')] == [one_hot('neutral')]


def test_jaffe_groups_by_woman(tmp_path):
    put(tmp_path / 'KA.AN1.39.tiff')
    put(tmp_path / 'YM.SU2.20.tiff')
    samples = READERS['jaffe'](tmp_path)
    assert [(s.group, s.expression, s.p_female) for s in samples] == [
        ('KA', one_hot('angry'), 1.0), ('YM', one_hot('surprise'), 1.0)]


def test_genki_keeps_its_signs(tmp_path):
    (tmp_path / 'labels.txt').write_text('1 0.1 -0.2 0.3\n0 -0.05 0.02 0.0\n')
    samples = READERS['genki4k'](tmp_path)
    assert [(s.smile, s.pose) for s in samples] == [(1.0, (0.1, -0.2, 0.3)),
                                                    (0.0, (-0.05, 0.02, 0.0))]
    assert samples[1].image.endswith('files/file0002.jpg')


def test_300w_lp_changes_the_sign_of_yaw_and_frames_the_points(tmp_path):
    put(tmp_path / 'AFW' / 'a.jpg', 100)
    put(tmp_path / 'AFW_Flip' / 'a.jpg', 100)
    points = np.random.default_rng(0).uniform(40, 60, (68, 2))
    points[0], points[1] = (40, 40), (60, 60)
    for part in ('AFW', 'AFW_Flip'):
        savemat(tmp_path / part / 'a.mat',
                {'pt2d': points.T, 'Pose_Para': np.array([[0.1, 0.2, 0.3, 0, 0, 0, 1]])})
    sample, = READERS['300w_lp'](tmp_path)
    assert sample.pose == pytest.approx((-0.2, 0.1, 0.3))
    assert sample.box_fraction == pytest.approx((.35, .35, .65, .65))
    np.testing.assert_allclose(sample.landmarks[0], [1 / 6, 1 / 6])


def test_aflw_changes_the_signs_of_yaw_and_roll(tmp_path):
    put(tmp_path / 'flickr' / '0' / 'a.jpg', 100)
    with sqlite3.connect(tmp_path / 'aflw.sqlite') as database:
        for statement in ('CREATE TABLE Faces (face_id, file_id)',
                          'CREATE TABLE FaceImages (file_id, filepath)',
                          'CREATE TABLE FaceRect (face_id, x, y, w, h)',
                          'CREATE TABLE FacePose (face_id, roll, pitch, yaw)',
                          'CREATE TABLE FaceMetaData (face_id, sex)',
                          "INSERT INTO Faces VALUES (1, 'f')",
                          "INSERT INTO FaceImages VALUES ('f', '0/a.jpg')",
                          'INSERT INTO FaceRect VALUES (1, 10, 20, 30, 40)',
                          'INSERT INTO FacePose VALUES (1, 0.3, 0.1, 0.2)',
                          "INSERT INTO FaceMetaData VALUES (1, 'f')"):
            database.execute(statement)
    database.close()
    sample, = READERS['aflw'](tmp_path)
    assert sample.pose == pytest.approx((-0.2, 0.1, -0.3)) and sample.p_female == 1.0
    assert sample.box_fraction == pytest.approx((.1, .2, .4, .6))


@pytest.mark.parametrize('name', sorted(READERS))
def test_a_folder_that_is_not_the_set_is_a_clear_error(name, tmp_path):
    with pytest.raises((DataError, FileNotFoundError)):
        READERS[name](tmp_path)


def test_our_pack_reads_every_kind_of_label(tmp_path):
    table = table_of(read_pack(make_pack(tmp_path / 'pack'), ('train',)))
    assert {source: len(table.rows_of(source))
            for source in set(table.sources.tolist())} == dict.fromkeys(
                ('utkface', 'fairface', 'ferplus', 'genki4k', 'ytf68'), 6)
    labelled = {name: int((~np.isnan(column.reshape(len(table), -1)[:, 0])).sum())
                for name, column in table.labels.items()}
    assert labelled == {
        'age_low': 12, 'age_high': 12, 'p_female': 12, 'expression': 6, 'smile': 12, 'pose': 6,
        'landmarks': 6, 'face': 30
    }
    assert 0.2 < table.labels['landmarks'][table.rows_of(
        'ytf68')].min() < 0.3  # fractions of 32 px, drawn from 8 px on


def test_full_pack_reads_our_vote_order(tmp_path):
    (tmp_path / 'ferplus_full.csv').write_text('path,age_min,age_max,gender,votes\n'
                                               'ferplus_full/a.jpg,,,,1 6 0 0 1 0 0 1 1\n')
    sample, = read_full_pack(tmp_path, 'ferplus')
    assert sample.expression == pytest.approx((1 / 8, 6 / 8, 0, 0, 1 / 8, 0, 0))
    assert sample.image == f'{tmp_path / "ferplus_full"}.zip!a.jpg'


def test_backgrounds_keep_away_from_faces_and_doubtful_pictures(tmp_path):
    put(tmp_path / 'images' / 'a.jpg', 64)
    put(tmp_path / 'images' / 'b.jpg', 64)
    (tmp_path / 'labels').mkdir()
    (tmp_path / 'labels' / 'a.txt').write_text(
        '0 0.25 0.5 0.5 1.0\n')  # a face fills the left half
    (tmp_path / 'train.txt').write_text('images/a.jpg\nimages/b.jpg\n')
    (tmp_path / 'manifest.csv').write_text('name,maybe_unlabelled\na,0\nb,1\n')
    samples = read_backgrounds(tmp_path, 20)
    assert len(samples) == 20 and {sample.face for sample in samples} == {0.0}
    assert all('/a.jpg' in sample.image for sample in samples)
    assert all(min(s.box_fraction[2],
                   .5) - s.box_fraction[0] <= 0.2001 * (s.box_fraction[2] - s.box_fraction[0])
               for s in samples)


@pytest.mark.parametrize('votes, expected', [((0, 0, 0, 0, 0, 0, 2), None),
                                             ((2, 2, 0, 0, 0, 0, 0), (.5, .5, 0, 0, 0, 0, 0))])
def test_few_votes_are_no_label(votes, expected):
    assert shares(votes) == expected


@pytest.mark.parametrize('expression, smile', [(None, None), ((.1, .9, 0, 0, 0, 0, 0), 1.0),
                                               ((1, 0, 0, 0, 0, 0, 0), 0.0),
                                               ((.5, .5, 0, 0, 0, 0, 0), None)])
def test_smiles_are_only_derived_from_clear_votes(expression, smile):
    assert smile_of(expression) == smile


def test_an_unknown_expression_is_refused():
    with pytest.raises(DataError, match='bored'):
        one_hot('bored')


def test_a_listed_pack_of_ages_has_its_own_split(tmp_path):
    (tmp_path / 'ages_more.csv').write_text(
        'path,age_min,age_max,gender,group,split\nages_more/a.jpg,7,7,1,p1,train\n'
        'ages_more/b.jpg,60,69,,p2,train\nages_more/c.jpg,30,30,0,p3,val\n')
    exact, span = read_listed_pack(tmp_path, 'ages')
    assert (exact.age_low, exact.age_high, exact.p_female, exact.expression) == (7, 7, 1.0, None)
    assert (span.age_low, span.age_high, span.p_female, span.group) == (60, 69, None, 'p2')
    (held_out,) = read_listed_pack(tmp_path, 'ages', 'val')
    assert (held_out.age_low, held_out.group) == (30, 'p3')


def test_listed_packs_name_one_expression_and_leave_film_faces_out(tmp_path):
    header = 'path,age_min,age_max,gender,expression,group,repo_path\n'
    (tmp_path / 'lfw_more.csv').write_text(
        header + 'lfw_more/a.jpg,,,1,happy,lfw_a,x\nlfw_more/b.jpg,,,,disgust,,x\n'
        'lfw_more/c.jpg,,,0,,lfw_c,x\n')
    (tmp_path / 'effectnet_more.csv').write_text(header + 'effectnet_more/a.jpg,,,,angry,,x\n')
    first, last = read_listed_pack(tmp_path, 'lfw')
    assert (first.p_female, first.expression, first.group) == (1.0, one_hot('happy'), 'lfw_a')
    assert (last.p_female, last.expression, last.box_fraction) == (0.0, None, None)
    (cut_out,) = read_listed_pack(tmp_path, 'effectnet')
    assert cut_out.image == f'{tmp_path}/effectnet_more.zip!a.jpg'
    np.testing.assert_allclose(cut_out.box_fraction, (0.07, 0.07, 0.93, 0.93))
