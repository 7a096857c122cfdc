# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from types import SimpleNamespace

import film_rig
import numpy as np
import pytest

from face_attributes_ros.errors import ImageError
from face_attributes_ros.pictures import video
from face_attributes_ros.pictures.video import Video, is_video, videos_in


def test_frames_come_with_their_times(tmp_path):
    with Video(film_rig.write(tmp_path / 'a.avi', frames=5)) as film:
        assert (film.frames, film.rate_hz) == (5, 10)
        frames = list(film)
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4]
    assert [frame.time_s for frame in frames] == pytest.approx([0, .1, .2, .3, .4])
    assert frames[0].bgr.shape == (120, 160, 3)
    assert abs(int(frames[4].bgr[30, 20].mean()) - 220) < 12


def test_a_clock_that_stands_still_goes_on_by_the_rate(tmp_path, monkeypatch):
    say = Video._say
    monkeypatch.setattr(Video, '_say', lambda film, what: 0. if what == video.cv2.
                        CAP_PROP_POS_MSEC else say(film, what))
    with Video(film_rig.write(tmp_path / 'a.avi', frames=3)) as film:
        assert [frame.time_s for frame in film] == pytest.approx([0, .1, .2])


@pytest.mark.parametrize('content', [b'', b'RIFF', b'no video at all' * 99, None])
def test_what_is_no_video_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / 'x.mp4'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=r'x\.mp4'), Video(path) as film:
        list(film)


def test_too_large_a_video_is_refused(tmp_path):
    with pytest.raises(ImageError, match='0.0 megapixels, allowed are 0.01'):
        Video(film_rig.write(tmp_path / 'a.avi'), max_megapixels=.01)


def test_a_frame_larger_than_the_container_said_is_refused(tmp_path):
    with Video(film_rig.write(tmp_path / 'a.avi'), max_megapixels=.02) as film:
        real = film._capture
        frames = iter([(True, np.zeros((120, 160, 3), np.uint8)),
                       (True, np.zeros((300, 400, 3), np.uint8))])
        film._capture = SimpleNamespace(read=lambda: next(frames), get=real.get,
                                        release=real.release)
        with pytest.raises(ImageError, match='frame 1 of 0.1 megapixels, allowed are 0.02'):
            list(film)


def test_a_name_that_is_no_text_is_read(tmp_path):
    path = tmp_path / 'a.avi'
    film_rig.write(path, frames=2)
    strange = Path(str(tmp_path / 'b') + '\udcff.avi')
    path.rename(strange)
    with Video(strange) as film:
        assert len(list(film)) == 2


@pytest.mark.parametrize('name, expected', [
    ('', False), ('a.mp4', True), ('a.MOV', True), ('a.gif', False), ('mp4', False)])
def test_a_video_is_known_by_its_name(name, expected):
    assert is_video(name) == expected


def test_videos_of_a_folder_and_those_below(tmp_path):
    (tmp_path / 'deep').mkdir()
    for name in ('b.mp4', 'a.AVI', 'c.txt', 'deep/d.mkv'):
        (tmp_path / name).touch()
    assert [path.name for path in videos_in(tmp_path)] == ['a.AVI', 'b.mp4', 'd.mkv']
