# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from face_attributes_ros import analyze, cli
from face_attributes_ros.detector import FaceDetector
from face_attributes_ros.errors import ImageError
from face_attributes_ros.estimator import AttributeEstimator
from face_attributes_ros.faces import CONFIRMED, EXPRESSIONS, Attributes, Face, Track
from face_attributes_ros.pictures import writer
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.settings import Settings

KEYS = [
    'box_xyxy', 'score', 'gender', 'p_female', 'age_years', 'age_low', 'age_high', 'expression',
    'expression_probs', 'smile', 'yaw_rad', 'pitch_rad', 'roll_rad', 'landmarks_xy'
]


@pytest.fixture
def folder(tmp_path):
    """Three small pictures, one of them damaged."""
    for name in ('a.jpg', 'b.png'):
        cv2.imwrite(str(tmp_path / name),
                    np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    (tmp_path / 'broken.jpg').write_bytes((tmp_path / 'a.jpg').read_bytes()[:30])
    (tmp_path / 'notes.txt').write_text('not a picture')
    return tmp_path


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_is_one_object_a_line_and_nothing_else(folder, capsys):
    assert cli.main(['analyze', '--json', str(folder / 'a.jpg'), str(folder / 'b.png')]) == 0
    found = lines(capsys)
    assert [line['path'] for line in found] == [str(folder / 'a.jpg'), str(folder / 'b.png')]
    assert all(
        (line['width'], line['height']) == (60, 40) and line['faces'] == [] for line in found)


def test_a_broken_picture_is_named_and_the_others_go_on(folder, capsys):
    assert cli.main(['analyze', '--json', str(folder)]) == 1
    out = capsys.readouterr()
    assert len(out.out.splitlines()) == 2 and 'Traceback' not in out.err
    assert 'broken.jpg: JPEG picture is cut short after 30 bytes' in out.err


def test_crops_skip_detection(folder, capsys):
    assert cli.main(['analyze', '--json', '--crops', str(folder / 'b.png')]) == 0
    face, = lines(capsys)[0]['faces']
    assert list(face) == KEYS and face['box_xyxy'] == [0, 0, 60, 40] and face['score'] is None
    assert list(face['expression_probs']) == list(EXPRESSIONS)
    assert sum(face['expression_probs'].values()) == pytest.approx(1, abs=1e-3)
    assert face['expression'] == max(face['expression_probs'], key=face['expression_probs'].get)


def test_annotated_pictures_are_written_on_request(folder, capsys):
    out = folder / 'out'
    assert cli.main(['analyze', str(folder / 'a.jpg'), '--out', str(out)]) == 0
    assert cv2.imread(str(out / 'a.png')).shape == (40, 60, 3)
    assert 'a.jpg: 0 faces' in capsys.readouterr().out


class Found(list):
    """Stands for an Analyzer that finds nothing; knows the sizes of what it was shown."""

    def __call__(self, image):
        self.append(image.shape[:2])
        return []


@pytest.fixture
def found(monkeypatch):
    """What `analyze` is shown, without a network."""
    shown = Found()
    monkeypatch.setattr(analyze, 'Analyzer', lambda settings: shown)
    return shown


def write(path, height=4, width=6):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(cv2.imencode('.png', np.full((height, width, 3), 9, np.uint8))[1].tobytes())


def test_pictures_of_one_name_are_all_written(found, tmp_path, capsys):
    for name in ('a/x.png', 'b/x.png', 'a/x.jpg'):
        write(tmp_path / name)
    out = tmp_path / 'out'
    folders = [str(tmp_path / name) for name in 'ab']
    assert cli.main(['analyze', '--json', *folders, '--out', str(out)]) == 0
    told = [line['annotated'] for line in lines(capsys)]
    assert told == [str(out / name) for name in ('x.png', 'x_2.png', 'x_3.png')]
    assert sorted(path.name for path in out.iterdir()) == ['x.png', 'x_2.png', 'x_3.png']


def test_the_users_own_pictures_are_never_replaced(found, tmp_path, monkeypatch):
    write(tmp_path / 'x.png')
    before = (tmp_path / 'x.png').read_bytes()
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert cli.main(['analyze', 'x.png', '--out', '.']) == 0
    assert (tmp_path / 'x.png').read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['x.png', 'x_2.png', 'x_3.png']


@pytest.mark.parametrize('out', ['file', 'file/under', '/proc/none', '~nobody-here/x'])
def test_an_out_that_cannot_be_is_one_line(found, tmp_path, capsys, out):
    write(tmp_path / 'x.png')
    (tmp_path / 'file').write_text('')
    out = out if out[0] in '/~' else str(tmp_path / out)
    assert cli.main(['analyze', str(tmp_path / 'x.png'), '--out', out]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1 and found == []


def test_a_full_disk_is_said_once_and_the_faces_are_told(found, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    for name in 'abc':
        write(tmp_path / f'{name}.png')
    monkeypatch.setattr(writer, '_write_all', full)
    assert cli.main(['analyze', '--json', str(tmp_path), '--out', str(tmp_path / 'out')]) == 1
    told = capsys.readouterr()
    assert told.err.count('No space left on device') == len(told.err.splitlines()) == 1
    assert len(told.out.splitlines()) == 3 and list((tmp_path / 'out').iterdir()) == []


def test_one_bad_picture_never_ends_the_others(found, tmp_path, capsys):
    for name in 'abc':
        write(tmp_path / f'{name}.png')
    data = (tmp_path / 'b.png').read_bytes()
    (tmp_path / 'b.png').write_bytes(data[:16] + (60000).to_bytes(4, 'big') * 2 + data[24:])
    assert cli.main(['analyze', str(tmp_path), str(tmp_path / 'none.png')]) == 1
    told = capsys.readouterr()
    assert told.out.count('0 faces') == len(found) == 2
    assert '60000x60000' in told.err and 'none.png: no such file' in told.err


def test_every_format_in_a_folder_is_looked_at(found, tmp_path):
    for suffix in ('.gif', '.ppm', '.pgm', '.bmp', '.webp', '.TIF', '.jp2', '.avif'):
        image = np.full((40, 60, 3), 90, np.uint8)
        image = image[..., 0] if suffix == '.pgm' else image
        (tmp_path / f'x{suffix}').write_bytes(cv2.imencode(suffix.lower(), image)[1].tobytes())
    assert cli.main(['analyze', str(tmp_path)]) == 0 and found == [(40, 60)] * 8


def test_a_folder_without_pictures_says_so(found, tmp_path, capsys):
    assert cli.main(['analyze', str(tmp_path)]) == 1
    assert 'no pictures in this folder' in capsys.readouterr().err


@pytest.mark.parametrize('name', [b'caf\xe9.png', 'caf\u00e9.png'.encode(), b'a\nb.png'])
@pytest.mark.parametrize('encoding', ['ascii', 'utf-8'])
def test_names_of_any_bytes_are_told(tmp_path, name, encoding):
    """In a process of its own: a wrong name once ended it without a word."""
    folder = tmp_path / 'in'
    write(folder / 'x.png')
    os.rename(folder / 'x.png', os.path.join(os.fsencode(folder), name))
    script = ('import sys; from face_attributes_ros import analyze, cli\n'
              'analyze.Analyzer = lambda settings: lambda image: []\n'
              'sys.exit(cli.main(["analyze", *sys.argv[1:]]))')
    for json_too in ((), ('--json',)):
        done = subprocess.run(
            [sys.executable, '-c', script, str(folder), *json_too, '--out',
             str(tmp_path / f'out{len(json_too)}')], capture_output=True, timeout=60,
            env={**os.environ, 'PYTHONIOENCODING': encoding})
        assert done.returncode == 0 and done.stderr == b'', done.stderr
        assert len(done.stdout.splitlines()) == 1 and done.stdout.decode(encoding)
        if json_too:
            path = json.loads(done.stdout)['path']
            assert os.path.basename(os.fsencode(path)) == name


def test_standard_output_that_is_full_is_one_line(tmp_path):
    write(tmp_path / 'x.png')
    script = ('import sys; from face_attributes_ros import analyze, cli\n'
              'analyze.Analyzer = lambda settings: lambda image: []\n'
              'sys.exit(cli.main(["analyze", sys.argv[1]]))')
    with open('/dev/full', 'w') as full:
        done = subprocess.run([sys.executable, '-c', script, str(tmp_path)], stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr == ('face-attributes: cannot write standard output: No space left on '
                           'device\n')


@pytest.mark.parametrize('arguments, setting', [([], 0), (['--imgsz', '1280'], 1280)])
def test_imgsz_reaches_the_detector(tmp_path, monkeypatch, arguments, setting):
    write(tmp_path / 'x.png')
    made = []
    monkeypatch.setattr(analyze, 'Analyzer', lambda settings: made.append(settings) or Found())
    assert cli.main(['analyze', str(tmp_path), *arguments]) == 0
    assert made[0].detector_imgsz == setting


@pytest.mark.parametrize('arguments', [['--imgsz', '100'], ['--imgsz', 'x'], ['--imgsz', '-32'],
                                       ['--max-megapixels', '0'], ['--max-megapixels', 'nan']])
def test_numbers_out_of_range_are_refused(arguments, capsys):
    try:
        status = cli.main(['analyze', 'x.png', *arguments])
    except SystemExit as ended:
        status = ended.code
    name = {'--imgsz': 'imgsz', '--max-megapixels': 'megapixels'}[arguments[0]]
    assert status == 2 and name in capsys.readouterr().err


def test_a_home_is_expanded(found, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write(tmp_path / 'in' / 'x.png')
    assert cli.main(['analyze', '~/in', '--out', '~/out']) == 0
    assert (tmp_path / 'out' / 'x.png').exists()


def test_heads_that_the_model_lacks_are_null():
    face = analyze.to_json(
        Track('f1', CONFIRMED, 0., 1, Face((0., 1., 2., 3.), .5),
              Attributes(gender='male', p_female=.25)))
    assert list(face) == KEYS and face['gender'] == 'male' and face['p_female'] == .25
    assert [key for key in KEYS
            if face[key] is not None] == ['box_xyxy', 'score', 'gender', 'p_female']
    assert analyze.to_json(Track('f1', CONFIRMED, 0., 1, Face((0., 1., 2., 3.),
                                                              .5)))['landmarks_xy'] is None


def test_missing_files_are_image_errors(tmp_path):
    with pytest.raises(ImageError, match='no such file'):
        analyze.read_image(tmp_path / 'none.jpg')


@pytest.mark.parametrize(
    'argv, message', [([], 'usage'), (['fly'], 'usage'),
                      (['analyze', '--detector', 'nothing', 'x.jpg'], "detector model 'nothing'"),
                      (['analyze', '--device', 'gpu', 'x.jpg'], "device is 'gpu'")])
def test_wrong_commands_end_with_one_clear_line(argv, message, capsys):
    assert cli.main(argv) == 2
    assert message in capsys.readouterr().err


def test_thresholds_out_of_range_are_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(['analyze', '--threshold', '1.5', 'x.jpg'])
    assert '--threshold' in capsys.readouterr().err


@pytest.mark.parametrize('words', list(cli.COMMANDS), ids=' '.join)
def test_every_command_has_help(words, capsys):
    with pytest.raises(SystemExit) as status:
        cli.main([*words, '--help'])
    assert status.value.code == 0 and 'usage: face-attributes' in capsys.readouterr().out


class Fake:
    """A detector network that finds one face, and an attribute network that says p_female .9."""

    @staticmethod
    def detect(batch):
        return [np.tile(np.float32([[[100, 100, 200, 200, .9]]]), (len(batch), 1, 1))]

    @staticmethod
    def estimate(batch):
        return [np.full(len(batch), .9, np.float32), np.full(len(batch), .2, np.float32)]


def analyzer_of(**settings):
    estimator = AttributeEstimator(Fake.estimate, ('gender', 'smile'), size_px=32, crop_scale=1.)
    settings = Settings(**settings)
    return analyze.Analyzer(settings, Pipeline(FaceDetector(Fake.detect), estimator, settings))


def test_what_is_switched_off_is_not_said_of_pictures_nor_of_crops():
    picture = np.zeros((448, 448, 3), np.uint8)
    shown = analyzer_of(attributes_enable_gender=False)
    for track, in (shown(picture), shown.crop(picture)):
        assert track.attributes.gender is None and track.attributes.smile == pytest.approx(.2)
    assert analyzer_of(attributes_enable=False)(picture)[0].attributes is None


def test_pictures_stand_alone_and_what_is_none_is_refused():
    seen = analyzer_of()
    for _ in range(2):
        track, = seen(np.zeros((448, 448, 3), np.uint8))
        assert track.track_id == 'f1' and track.observations == 1 and not track.smoothed
    for what in (seen, seen.crop):
        with pytest.raises(ImageError, match='needs uint8'):
            what(None)


def test_threads_take_turns():
    seen, picture = analyzer_of(), np.zeros((448, 448, 3), np.uint8)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: seen(picture), range(40)))
    assert {(len(tracks), tracks[0].face) for tracks in found} == {(1, found[0][0].face)}
