# SPDX-License-Identifier: Apache-2.0
"""A video to tracks, lines, tables, frames and a timeline."""

import csv
import json
import os
import sys

import cv2
import film_rig
import numpy as np
import pytest

pytest.importorskip('matplotlib', reason='the timeline is drawn with it')

from face_attributes_ros import cli
from face_attributes_ros.errors import OutputError
from face_attributes_ros.faces import COASTING, CONFIRMED, Attributes, Face, Track
from face_attributes_ros.films import files, timeline
from face_attributes_ros.films.files import COLUMNS, FilmFiles
from face_attributes_ros.films.history import History, Life
from face_attributes_ros.films.timeline import spells
from face_attributes_ros.films.watch import Seen, Watcher
from face_attributes_ros.pictures.video import Video, VideoFrame


@pytest.fixture
def watched(monkeypatch):
    """`analyze` with networks that see bright squares."""
    monkeypatch.setattr(Watcher, 'of',
                        lambda settings: Watcher(film_rig.make_pipeline(settings)))


def track(number=1, state=CONFIRMED, **seen):
    looks = Attributes(**seen)
    return Track(f'f{number}', state, 0., 3, Face((1., 2., 3., 4.), .9), looks, looks, True)


def seen_at(time_s, *tracks):
    return Seen(VideoFrame(round(time_s * 10), time_s, np.zeros((4, 6, 3), np.uint8)),
                list(tracks))


# --- watching ------------------------------------------------------------------------------------


def test_a_face_keeps_its_id_and_is_confirmed_by_its_third_frame(tmp_path):
    watcher = Watcher(film_rig.make_pipeline())
    with Video(film_rig.write(tmp_path / 'a.avi', frames=5)) as film:
        states = [[(each.track_id, each.state) for each in seen.tracks]
                  for seen in watcher.watch(film)]
    assert states == 2 * [[('f1', 'tentative')]] + 3 * [[('f1', 'confirmed')]]


def test_ids_begin_anew_in_each_video(tmp_path):
    watcher = Watcher(film_rig.make_pipeline())
    for name in ('a.avi', 'b.avi'):
        with Video(film_rig.write(tmp_path / name, frames=3, squares=2)) as film:
            *_, last = watcher.watch(film)
        assert sorted(each.track_id for each in last.tracks) == ['f1', 'f2']


def test_frames_that_change_their_size_all_come_into_the_film(tmp_path):
    """OpenCV's writer leaves out frames of another size, and says nothing."""
    film = FilmFiles(tmp_path, 'a', 10.)
    for number, shape in enumerate([(48, 64, 3), (96, 128, 3), (48, 64, 3)]):
        film.add({'frame': number, 'time_s': number / 10}, seen_at(number / 10),
                 np.full(shape, 60 * number, np.uint8))
    film.close()
    with Video(film.paths['.mp4']) as back:
        assert [frame.bgr.shape for frame in back] == [(48, 64, 3)] * 3


# --- the command ---------------------------------------------------------------------------------


def test_lines_table_film_and_timeline_are_written(watched, tmp_path, capsys):
    film_rig.write(tmp_path / 'clip.avi', squares=lambda number: 1 + (number >= 6))
    out = tmp_path / 'out'
    assert cli.main(['analyze', str(tmp_path / 'clip.avi'), '--out', str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {f'clip{kind}' for kind in files.KINDS}
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in out.iterdir())
    lines = [json.loads(line) for line in (out / 'clip.jsonl').read_text().splitlines()]
    assert [line['frame'] for line in lines] == list(range(12))
    assert [len(line['faces']) for line in lines] == 6 * [1] + 6 * [2]
    with open(out / 'clip.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18 and tuple(rows[0]) == COLUMNS
    assert (rows[-1]['track_id'], rows[-1]['expression'], rows[-1]['p_happy']) == \
        ('f2', 'happy', '1.0')
    assert float(rows[0]['x0']) == pytest.approx(10, abs=2)
    with Video(out / 'clip.mp4') as drawn:
        assert drawn.rate_hz == 10 and len(list(drawn)) == 12
    assert cv2.imread(str(out / 'clip.png')).shape[1] == 990
    told = capsys.readouterr().out
    assert 'clip.avi: 12 frames, 1.1 s, 2 tracks, told in' in told
    assert 'f1 from 0.0 to 1.1 s, female, 40 years (40-40), mostly happy (100 %)' in told


def test_json_is_one_object_a_frame_and_nothing_else(watched, tmp_path, capsys):
    film_rig.write(tmp_path / 'clip.avi', frames=4, squares=0)
    assert cli.main(['analyze', '--json', str(tmp_path / 'clip.avi')]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line['frame'], line['time_s'], line['faces']) for line in lines] == \
        [(0, 0, []), (1, .1, []), (2, .2, []), (3, .3, [])]


def test_a_second_run_takes_free_names(watched, tmp_path):
    film_rig.write(tmp_path / 'clip.avi', frames=3)
    (tmp_path / 'clip.csv').write_text('mine')
    for _ in range(2):
        assert cli.main(['analyze', str(tmp_path / 'clip.avi'), '--out', str(tmp_path)]) == 0
    assert (tmp_path / 'clip.csv').read_text() == 'mine'
    assert not (tmp_path / 'clip.jsonl').exists()
    assert all((tmp_path / f'clip_{n}{kind}').stat().st_size for n in (2, 3)
               for kind in files.KINDS)


def test_one_bad_video_never_ends_the_others(watched, tmp_path, capsys):
    (tmp_path / 'a.mp4').write_text('nothing')
    film_rig.write(tmp_path / 'b.avi', frames=3)
    assert cli.main(['analyze', *(str(tmp_path / name) for name in ('a.mp4', 'b.avi'))]) == 1
    told = capsys.readouterr()
    assert 'a.mp4: no video that OpenCV can read' in told.err and 'b.avi: 3 frames' in told.out


def test_crops_of_a_video_are_refused(watched, tmp_path, capsys):
    film_rig.write(tmp_path / 'b.avi', frames=3)
    assert cli.main(['analyze', '--crops', str(tmp_path / 'b.avi')]) == 2
    assert '--crops is for pictures' in capsys.readouterr().err


def test_faces_are_pixelated_where_that_is_asked_for(watched, tmp_path):
    film_rig.write(tmp_path / 'b.avi', frames=4)
    seen = {}
    for value in ('true', 'false'):
        out = tmp_path / value
        assert cli.main(['analyze', str(tmp_path / 'b.avi'), '--out', str(out),
                         '--set', f'privacy.blur_annotated={value}']) == 0
        with Video(out / 'b.mp4') as drawn:
            seen[value] = list(drawn)[-1].bgr.astype(int)
    assert np.abs(seen['true'] - seen['false']).max() > 5  # all else is drawn alike


def test_without_matplotlib_all_but_the_timeline_is_written(watched, tmp_path, capsys,
                                                            monkeypatch):
    monkeypatch.setitem(sys.modules, 'matplotlib.figure', None)
    film_rig.write(tmp_path / 'b.avi', frames=3)
    out = tmp_path / 'out'
    assert cli.main(['analyze', str(tmp_path / 'b.avi'), '--out', str(out)]) == 1
    assert 'needs matplotlib' in capsys.readouterr().err
    assert {path.suffix for path in out.iterdir()} == {'.mp4', '.jsonl', '.csv'}


@pytest.mark.parametrize('bytes_', [9, 99_999], ids=['at the end', 'at once'])
def test_a_full_disk_is_named(tmp_path, bytes_):
    if not os.path.exists('/dev/full'):
        pytest.skip('no /dev/full')
    told = FilmFiles(tmp_path, 'x', 10.)
    told._lines.close()
    told._lines = open('/dev/full', 'w')
    with pytest.raises(OutputError, match=r'x\.jsonl: No space left'):
        try:
            told.add({'frame': 0, 'time_s': 0., 'pad': 'x' * bytes_}, seen_at(0.),
                     np.zeros((4, 6, 3), np.uint8))
        finally:
            told.close()
    assert told._lines.closed and told._rows.closed


# --- what is kept --------------------------------------------------------------------------------


def test_tracks_that_were_never_confirmed_are_left_out():
    history = History()
    history.add(seen_at(0., track(1, 'tentative'), track(2)))
    assert [life.track_id for life in history.lives] == ['f2']


@pytest.mark.parametrize('expressions, expected', [
    ([None], None), (['unknown'] * 9 + ['happy'], None),
    (['happy'] * 3 + ['unknown'], ('happy', .75)), (['sad', 'happy'], ('sad', .5))])
def test_usual_expression(expressions, expected):
    assert Life('f1', expressions=expressions).usual_expression == expected


def test_what_is_not_known_is_not_said():
    history = History()
    history.add(seen_at(0., track(1)))
    assert list(history.sentences()) == ['f1 from 0.0 to 0.0 s']


@pytest.mark.parametrize('times, expressions, expected', [
    ([0.], ['happy'], [('happy', 0., .1)]),
    ([0., .1, .2], ['happy', 'happy', 'sad'], [('happy', 0., .2), ('sad', .2, .3)]),
    ([0., .1, .5], ['happy'] * 3, [('happy', 0., .2), ('happy', .5, .6)])])
def test_spells_end_with_the_expression_and_with_gaps(times, expressions, expected):
    found = list(spells(Life('f1', times_s=times, expressions=expressions), .1))
    assert [name for name, *_ in found] == [name for name, *_ in expected]
    for one, other in zip(found, expected):
        assert one[1:] == pytest.approx(other[1:])


@pytest.mark.parametrize('count', [0, 1, timeline.MOST_LIVES + 3])
def test_a_timeline_of_any_number_of_tracks_is_a_png(count):
    history = History()
    for step in range(3):
        history.add(seen_at(step / 10, *(track(n, COASTING if step == 2 else CONFIRMED,
                                               age_years=30.) for n in range(count))))
    data = timeline.draw(history, 'clip')
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
