# SPDX-License-Identifier: Apache-2.0
"""A pipeline that finds what it is told, and the node around it as a process: python fake_node.py
DELAY_S --ros-args ..."""

import sys
import time

from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track


class FakePipeline:
    """Finds one face in the middle half of every image, `delay_s` after it was asked; keeps what
    it was given."""

    def __init__(self, settings, delay_s=0., faces=1):
        self.settings, self.delay_s, self.faces = settings, delay_s, faces
        self.description = {'detector': 'fake', 'attributes': 'none', 'detector_engine': 'a test'}
        self.stage_ms, self.calls, self.resets, self.closed, self.warmed = {}, [], 0, False, False

    def process(self, frames):
        time.sleep(self.delay_s)
        self.calls.append(
            {camera: (image.shape, stamp_s) for camera, (image, stamp_s) in frames.items()})
        self.stage_ms['detect'] = 1e3 * self.delay_s
        return {
            camera: [self._track(camera, image, i)
                     for i in range(self.faces)]
            for camera, (image, _) in frames.items()
        }

    def _track(self, camera, image, number):
        height, width = image.shape[:2]
        seen = Attributes(age_years=30., age_std_years=5., age_low=24., age_high=37., p_female=.8,
                          gender='female')
        face = Face((width / 4, height / 4, width * 3 / 4, height * 3 / 4), .9)
        prefix = f'{camera}_f' if camera else 'f'
        return Track(f'{prefix}{number + 1}', CONFIRMED, 1., len(self.calls), face, seen, seen)

    def warm_up(self):
        self.warmed = True

    def reset(self, camera=None):
        self.resets += 1

    def update(self, settings):
        self.settings = settings

    def close(self):
        self.closed = True


if __name__ == '__main__':
    from face_attributes_ros.ros import node, run

    delay_s = float(sys.argv[1])
    node.make_node = lambda **kwargs: node.FaceAttributesNode(
        lambda settings: FakePipeline(settings, delay_s), **kwargs)
    run.start('face_attributes_node', sys.argv[2:])
