# SPDX-License-Identifier: Apache-2.0
"""A pipeline that finds faces whose place in space is known: what a camera with the focal length
640 pixels and images of 640x480 would see of them."""

from dataclasses import replace

import numpy as np
from fake_node import FakePipeline

from face_attributes_ros import headpose
from face_attributes_ros.faces import CONFIRMED, Attributes, Face, Track

WIDTH, HEIGHT, FOCAL_PX = 640, 480, 640.
ANGLES = .3, .1, .05
ORIGIN = .1, -.05, 1.
PROBS = (.05, .5, .1, .1, .1, .1, .05)
KNOWN = Attributes(age_years=31.4, age_std_years=4., age_low=25.6, age_high=38.2, p_female=.9,
                   gender='female', expression_probs=PROBS, expression='happy', smile=.7,
                   yaw_rad=ANGLES[0], pitch_rad=ANGLES[1], roll_rad=ANGLES[2], quality=.8)


def pixels(points):
    points = np.asarray(points)
    return points[:, :2] / points[:, 2:] * FOCAL_PX + [WIDTH / 2, HEIGHT / 2]


def portrait(track_id='f1', state=CONFIRMED, origin=ORIGIN, angles=ANGLES, observations=5):
    """The track of a head at `origin` (its sellion) with these angles; the landmarks that the
    model has are where they belong, the others in the middle of the face."""
    rotation = headpose.towards((origin[0] / origin[2], origin[1] / origin[2])) \
        @ headpose.rotation_from_angles(*angles)
    found = pixels(headpose.MODEL_M @ rotation.T + origin)
    landmarks = np.tile(found.mean(0), (68, 1))
    landmarks[list(headpose.INDICES)] = found
    centre, half = found.mean(0), .075 * FOCAL_PX / origin[2]  # a face is 0.15 m wide
    seen = replace(KNOWN, landmarks_xy=tuple(map(tuple, landmarks.tolist())),
                   yaw_rad=angles[0], pitch_rad=angles[1], roll_rad=angles[2])
    face = Face((*(centre - half).tolist(), *(centre + half).tolist()), .9)
    return Track(track_id, state, 1., observations, face, seen, seen)


class Gallery(FakePipeline):
    """Finds the tracks of `shown`, whatever the image."""

    shown = ()

    def process(self, frames):
        super().process(frames)
        return {camera: [replace(track, track_id=f'{camera}_{track.track_id}' if camera else
                                 track.track_id) for track in self.shown] for camera in frames}
