# SPDX-License-Identifier: Apache-2.0
import time

from face_attributes_ros.stopwatch import Stopwatch


def test_a_stage_entered_twice_adds_up_and_a_new_frame_starts_from_nothing():
    watch = Stopwatch()
    for _ in range(2):
        with watch('crop'):
            time.sleep(.002)
    first = watch.ms
    assert list(first) == ['crop'] and first['crop'] >= 4
    watch.restart()
    assert watch.ms == {} and first['crop'] >= 4


def test_a_block_that_fails_is_timed_and_its_error_goes_on():
    watch = Stopwatch()
    try:
        with watch('detect'):
            raise ValueError
    except ValueError:
        pass
    assert 'detect' in watch.ms
