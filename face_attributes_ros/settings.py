# SPDX-License-Identifier: Apache-2.0
"""Every setting of the node and its pipeline once: type, default, range, unit, meaning, and
whether it can change while the node runs.

The ROS parameters, config/face_attributes.yaml, the documented table and the options of the
command line all come from here:

    python -m face_attributes_ros.settings --yaml > config/face_attributes.yaml
    python -m face_attributes_ros.settings --markdown
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from face_attributes_ros import options
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.options import fixed, live, once
from face_attributes_ros.runtimes import BACKENDS, PRECISIONS
from face_attributes_ros.tiles import MOST_TILES

TURNS_DEG = (0, 90, 180, 270)


@dataclass(frozen=True)
class Settings:
    """A snapshot of all settings, checked when made: ParameterError names the one that is wrong.

    Names are those of the ROS parameters with dots as underscores. Where 0 stands for what the
    model's manifest says, `filled` puts that in.
    """

    GROUPS: ClassVar = ('detector', 'attributes', 'tracking', 'smoothing', 'position', 'depth',
                        'engagement', 'detections', 'tf', 'rep155', 'annotated', 'privacy',
                        'diagnostics')

    autostart: bool = once(
        True, 'Configure and activate at the start; without it, lifecycle transitions do.')
    strict_parameters: bool = once(
        False, 'Refuse parameters that this node does not have, in place of a warning.')
    cameras: tuple[str, ...] = fixed(
        ('', ), "Names of the inputs. '' is the one topic `image`; 'front' is `front/image` with "
        'outputs `~/front/...`. All cameras share one model and one batch.')
    image_transport: str = fixed(
        'raw', 'What to subscribe to: `image`, or `image/compressed`.',
        choices=('raw', 'compressed'))
    image_rotation: tuple[int, ...] = live(
        (0, ), 'How far each image has to be turned clockwise to be upright, one number a camera '
        'or one for all: 0, 90, 180 or 270. What is published stays in the pixels of the image as '
        'it came.', unit='degrees')
    max_frame_age: float = live(
        .5, "Images older than this by the node's clock are dropped; 0 takes all. Images without "
        'a stamp are always taken.', unit='s', low=0., high=3600.)
    max_image_megapixels: float = live(
        64., 'Compressed images and files that say they are larger are refused before they are '
        'decoded: a small file can claim to be huge.', low=.01, high=10000.)
    max_rate_hz: float = live(
        0., 'Process at most this many images a second, by the wall clock; 0 is no limit.',
        unit='Hz', low=0., high=1000.)
    process_without_subscribers: bool = live(
        False, 'Process images also when nobody listens to any output.')
    device: str = fixed(
        'auto', 'Where the networks run: auto, cpu or cuda:N. auto takes a GPU where torch or '
        'ONNX Runtime can use one (docs/gpu.md), and says in log and diagnostics what it took and '
        'why nothing better. A device that is not there is an error.')
    precision: str = fixed(
        'auto', 'Arithmetic of the networks. auto is fp16 on a GPU with torch, once it has been '
        'compared with fp32; on a CPU the fastest, as measured there, of fp32 and what the '
        'manifest allows. Log and diagnostics say which.', choices=PRECISIONS)
    auto_cache: bool = fixed(
        True, "Keep the times that auto measured in the user's cache "
        '($XDG_CACHE_HOME/face_attributes_ros/auto.json), for the next start. Without, it '
        'measures at each start and writes nothing.')
    threads: int = fixed(
        0, 'CPU threads of each network. 0 is what the runtime chooses, or one where it was '
        'measured that more make it less than 1.25 times as fast; log and diagnostics say which.',
        low=0, high=256)
    detector_model: str = fixed(
        'detector_tiny', 'A detector in models/manifest.toml, PATH/manifest.toml:NAME, or a file '
        'of yours: a YOLOv3 of Darknet (.cfg, its .weights beside it) or of our training '
        "(.safetensors) for torch, ultralytics' .pt (docs/detectors.md).")
    detector_backend: str = fixed(
        'auto', 'Runtime of the detector. ultralytics runs any detector of that package, which is '
        'AGPL-3.0 and imported for nothing else.', choices=(*BACKENDS, 'ultralytics'))
    detector_face_classes: tuple[str, ...] = fixed(
        ('face', ), 'Which classes of a detector of yours are faces, by name or number; one with '
        'a single class has faces.')
    detector_allow_pickle: bool = once(
        False, 'Open a .pt as detector.model. It is a pickle: it runs whatever code its author '
        'put in.')
    detector_imgsz: int = fixed(
        0, "Longest side of what the detector sees, a multiple of 32; 0 takes the manifest's.",
        unit='px', low=0, high=2048)
    detector_square: bool = fixed(
        False, "Pad to a square of imgsz, the paper's 448x448, instead of following the aspect.")
    detector_tiles: int = fixed(
        0, 'Look at large images in so many overlapping tiles along each side, too, for far '
        'faces; 0 and 1: only whole. 3 are nine tiles and ten times the work of the detector.',
        low=0, high=MOST_TILES)
    detector_confidence: float = live(
        0., 'Least score of a face; 0 takes the threshold of the manifest.', low=0., high=1.)
    detector_iou: float = live(
        .45, 'Overlap above which the weaker of two boxes is dropped.', low=0., high=1.)
    detector_max_faces: int = live(100, 'Most faces an image.', low=1, high=1000)
    detector_min_face_px: int = live(
        12, 'Least longer side of a face.', unit='px', low=0, high=10000)
    attributes_enable: bool = live(
        True, 'Estimate attributes; without it only boxes and tracks.')
    attributes_model: str = fixed(
        'attributes_m', 'An attribute network in models/manifest.toml or PATH/manifest.toml:NAME, '
        "or one of the paper's systems with your weights (docs/paper.md); empty loads none.")
    attributes_backend: str = fixed(
        'auto', 'Runtime of the attribute network; with torch for both on a GPU, frames stay '
        'there.', choices=BACKENDS)
    attributes_batch_max: int = fixed(
        16, 'Most faces in one call of the network.', low=1, high=256)
    attributes_every_n_frames: int = live(
        1, 'Look at each track every n-th image only.', unit='images', low=1, high=1000)
    attributes_min_quality: float = live(
        0., 'Looks of lower quality do not count.', low=0., high=1.)
    attributes_gender_threshold: float = live(
        0., "Least probability of the likelier gender; below it, it is unknown. 0 takes the "
        "manifest's.", low=0., high=1.)
    attributes_expression_threshold: float = live(
        0., "Least probability of the likeliest expression; below it, it is unknown. 0 takes the "
        "manifest's.", low=0., high=1.)
    attributes_aligned: bool = fixed(
        False, "The paper's second pass over the upright face and its mirror image: three times "
        'the work.')
    attributes_enable_age: bool = live(True, 'Publish age.')
    attributes_enable_gender: bool = live(True, 'Publish gender.')
    attributes_enable_expression: bool = live(True, 'Publish expression and smile.')
    attributes_enable_pose: bool = live(True, 'Publish head pose.')
    attributes_enable_landmarks: bool = live(True, 'Publish landmarks.')
    tracking_max_coast: float = live(
        .5, 'A face unseen for longer is forgotten.', unit='s', low=0., high=60.)
    tracking_confirm_hits: int = live(
        3, 'Images that must show a face before its track is confirmed.', unit='images', low=1,
        high=100)
    tracking_iou: float = live(
        .3, 'Least overlap with the predicted box for a face to continue a track.', low=0.,
        high=1.)
    smoothing_enable: bool = live(True, 'Average attributes over the life of a track.')
    smoothing_time_constant: float = live(
        .4, 'Time constant of the mean of expression and smile.', unit='s', low=0., high=60.)
    smoothing_expression_hysteresis: float = live(
        .1, 'Lead in probability that a new expression needs.', low=0., high=1.)
    position_rectified: bool = fixed(
        False, 'Images are rectified (`image_rect`): positions follow P of camera_info, not K.')
    position_face_width: float = live(
        .15, 'Width of a face, for its distance from camera_info; 0 publishes no positions.',
        unit='m', low=0., high=1.)
    depth_enable: bool = fixed(
        False, 'Take distances from a depth image, registered to the image; where there is none, '
        'they are guessed from the size of the face, and the diagnostics say so.')
    depth_topic: str = fixed(
        'depth/image', 'The depth image: 16UC1 in millimetres or 32FC1 in metres. A relative name '
        'is that of each camera: `front/depth/image`.')
    depth_max_age: float = live(
        .1, 'Most time between the stamps of an image and its depth image.', unit='s', low=0.,
        high=60.)
    engagement_max_angle: float = live(
        40., 'A face turned this far from the camera does not look at it; one turned by up to '
        'half of it does.', unit='degrees', low=1., high=180.)
    engagement_max_distance: float = live(
        4., 'A face this far away has nothing to do with the robot; one at up to half of it has.',
        unit='m', low=.1, high=1000.)
    engagement_time_constant: float = live(
        1., 'Time constant of the mean of what single images say of `facing`.', unit='s', low=0.,
        high=60.)
    detections_enable: bool = fixed(
        False, 'Publish `~/detections` and `~/label_info`; needs the package vision_msgs.')
    tf_enable: bool = fixed(
        False, 'Publish the frames `face_ID` and `gaze_ID` of REP 155 on `/tf`; needs camera_info '
        'and the package tf2_msgs.')
    rep155_enable: bool = fixed(
        False, 'Publish what REP 155 says of faces below `/humans/faces`; needs the package '
        'hri_msgs. Ids then begin with letters drawn at configure, everywhere.')
    rep155_crop_size: int = live(
        128, 'Sides of the pictures of single faces (`privacy.publish_crops`).', unit='px',
        low=8, high=1024)
    annotated_max_rate_hz: float = live(
        15., 'Most annotated images a second; 0 is no limit.', unit='Hz', low=0., high=1000.)
    annotated_jpeg_quality: int = live(
        80, 'JPEG quality of the compressed annotated image.', low=1, high=100)
    annotated_show_labels: bool = live(True, 'Draw ids and attributes.')
    annotated_show_landmarks: bool = live(True, 'Draw landmarks.')
    annotated_show_pose: bool = live(True, 'Draw the facing direction.')
    privacy_live: bool = once(
        False, 'Whether `privacy.*` may be set while the node runs: anybody on the graph can.')
    privacy_blur_annotated: bool = live(False, 'Pixelate faces in the annotated image.')
    privacy_publish_crops: bool = live(
        False, 'Publish pictures of single faces, `/humans/faces/ID/cropped` and `aligned`, with '
        '`rep155.enable`.')
    diagnostics_no_image_after: float = live(
        2., 'Warn when no image came for this long.', unit='s', low=.1, high=3600.)
    diagnostics_stalled_after: float = live(
        5., 'An image that is worked on for longer is an error; to stop waits no longer either.',
        unit='s', low=.1, high=3600.)

    def __post_init__(self) -> None:
        options.check(self)
        if self.detector_imgsz % 32:
            raise ParameterError(f'parameter detector.imgsz is {self.detector_imgsz}, needs a '
                                 'multiple of 32')
        _check_cameras(self.cameras)
        _check_device(self.device)
        self._check_rotation()
        if len(self.cameras) > 1 and self.depth_topic.startswith('/'):
            raise ParameterError(f'parameter depth.topic is {self.depth_topic!r}, needs a '
                                 'relative name with several cameras')

    def _check_rotation(self) -> None:
        turns = self.image_rotation
        if set(turns) - set(TURNS_DEG) or len(turns) not in (1, len(self.cameras)):
            raise ParameterError(f'parameter image_rotation is {list(turns)}, needs one of 0, 90, '
                                 '180, 270, or one a camera')

    def turn_deg(self, camera: str) -> int:
        """How far the images of a camera have to be turned clockwise."""
        turns = self.image_rotation
        if len(turns) == 1 or camera not in self.cameras:
            return turns[0]
        return turns[self.cameras.index(camera)]

    def filled(self, own: Mapping[str, float]) -> Settings:
        """These settings with a model's `own` values in place of those that are 0."""
        missing: dict[str, Any] = {name: value for name, value in own.items()
                                   if not getattr(self, name)}
        return replace(self, **missing)


FIXED_FIELDS = tuple(option.field for option in options.options(Settings) if not option.live)


def _check_cameras(cameras: tuple[str, ...]) -> None:
    names_ok = all(re.fullmatch('[A-Za-z][A-Za-z0-9_]{0,99}', name) for name in cameras if name)
    different = len(set(cameras)) == len(cameras)
    if not cameras or not different or not names_ok or ('' in cameras and len(cameras) > 1):
        raise ParameterError(f"parameter cameras is {list(cameras)}, needs [''] or different "
                             'names of at most 100 letters, digits and _ that start with a letter')


def _check_device(device: str) -> None:
    if not re.fullmatch(r'auto|cpu|cuda:[0-9]+', device):
        raise ParameterError(f'parameter device is {device!r}, needs auto, cpu or cuda:N')


DEFAULTS = Settings()


def yaml() -> str:
    """config/face_attributes.yaml: every parameter with its default and a comment."""
    return ('# SPDX-License-Identifier: Apache-2.0\n'
            '# Every parameter of the node face_attributes with its default. Those marked "live" '
            'can be set while it runs.\n'
            '# Made by: python -m face_attributes_ros.settings --yaml\n') + options.yaml(Settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the YAML file or the documented table."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--yaml', action='store_true', help='config/face_attributes.yaml')
    what.add_argument('--markdown', action='store_true', help='the documented table')
    args = parser.parse_args(arguments)
    sys.stdout.write(yaml() if args.yaml else options.markdown(Settings))
    return 0


if __name__ == '__main__':
    sys.exit(main())
