# SPDX-License-Identifier: Apache-2.0
"""Images and faces to attributes: every face of a frame in one batch."""

from __future__ import annotations

import numpy as np

from face_attributes_ros import alignment
from face_attributes_ros.detector import check_image
from face_attributes_ros.errors import ModelError
from face_attributes_ros.faces import EXPRESSIONS, GENDERS, UNKNOWN, Attributes
from face_attributes_ros.heads import HEADS
from face_attributes_ros.settings import Settings
from face_attributes_ros.stopwatch import Stopwatch

AGE_INTERVAL = .8
_YEARS = np.arange(101.)
_MOMENTS = np.stack([_YEARS ** 0, _YEARS, _YEARS ** 2], axis=1)
_AGE_SHARES = np.array([[(1 - AGE_INTERVAL) / 2], [(1 + AGE_INTERVAL) / 2]])


class AttributeEstimator:
    """Reads attributes off faces.

    `network` takes square crops (B, S, S, 3) uint8 BGR; `outputs` names what it gives, in order
    (keys of HEADS). `gender_threshold` and `expression_threshold` are the model's own, kept in
    `own` by the name of their setting: confidences (probability of the likeliest label) below the
    settings' thresholds are 'unknown'. With `aligned`, a second pass looks at the upright crop
    and its mirror image and the answers are averaged: the paper's two-stage test, three times the
    work.
    """

    def __init__(self, network, outputs, *, size_px, crop_scale, gender_threshold=0.,
                 expression_threshold=0., batch_max=16, aligned=False, watch=None):
        unknown = [name for name in outputs if name not in HEADS]
        if unknown:
            raise ModelError(
                f'attribute network gives {", ".join(unknown)}, known are {", ".join(HEADS)}')
        if aligned and 'landmarks' not in outputs:
            raise ModelError('attributes.aligned needs a network with landmarks')
        self.network, self.outputs, self.size_px, self.crop_scale = network, tuple(
            outputs), size_px, crop_scale
        self.own = {'attributes_gender_threshold': gender_threshold,
                    'attributes_expression_threshold': expression_threshold}
        self.batch_max, self.aligned = batch_max, aligned
        self.watch = watch or Stopwatch()
        self._crops = np.empty((batch_max, size_px, size_px, 3), np.uint8)

    def __call__(self, image_bgr, faces, settings=None):
        """Attributes of each face of one image."""
        return self.estimate([image_bgr], [faces], settings)[0]

    def estimate(self, images_bgr, faces, settings=None):
        """Attributes of each face of each image, in the order given; all faces of all images go
        through in one batch."""
        for image in images_bgr:
            check_image(image)
        jobs = [(image, transform)
                for image, some in zip(images_bgr, faces)
                for transform in self._squares(some)]
        found = iter(self._estimate(jobs, settings or Settings().filled(self.own)))
        return [[next(found) for _ in some] for some in faces]

    def crops(self, images_bgr, settings=None):
        """Attributes of pictures that are one face crop each: the network sees the whole picture,
        padded to a square."""
        for image in images_bgr:
            check_image(image)
        sizes = np.array([image.shape[1::-1] for image in images_bgr],
                         dtype=np.float32).reshape(-1, 2)
        whole = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
        jobs = list(zip(images_bgr, alignment.square_transforms(whole, 1., self.size_px)))
        return self._estimate(jobs, settings or Settings().filled(self.own))

    def _squares(self, faces):
        box = np.array([face.box_xyxy for face in faces], dtype=np.float32).reshape(-1, 4)
        return alignment.square_transforms(box, self.crop_scale, self.size_px)

    def _estimate(self, jobs, settings):
        if not jobs:
            return []
        heads, transforms = self._run(jobs), np.stack([transform for _, transform in jobs])
        if self.aligned:
            return self.records(self._second_look(jobs, heads, transforms), len(jobs), settings)
        return self.records(heads, len(jobs), settings, transforms)

    def records(self, heads, count, settings, transforms=None):
        """Attributes of `count` faces from the rows of each head; with `transforms` (N, 2, 3)
        landmarks are crop fractions."""
        with self.watch('records'):
            if 'landmarks' in heads and transforms is not None:
                heads = {
                    **heads, 'landmarks': _points_to_source(heads['landmarks'] * self.size_px,
                                                            transforms)
                }
            columns = self._columns(heads, settings)
            return [
                Attributes(**dict(zip(columns, row)))
                for _, *row in zip(range(count), *columns.values())
            ]

    def _run(self, jobs, mirror=False):
        parts = []
        for start in range(0, len(jobs), self.batch_max):
            some = jobs[start:start + self.batch_max]
            batch = self._crops[:len(some)]
            with self.watch('crop'):
                for (image, transform), out in zip(some, batch):
                    alignment.crop(image, transform, out)
            with self.watch('attributes'):
                parts.append(
                    self._checked(
                        self.network(np.ascontiguousarray(batch[:, :, ::-1]) if mirror else batch),
                        len(some)))
        return parts[0] if len(parts) == 1 else {
            name: np.concatenate([part[name] for part in parts]) for name in self.outputs
        }

    def _checked(self, arrays, count):
        heads = {name: np.array(array) for name, array in zip(self.outputs, arrays)}
        for name, array in heads.items():
            if array.shape != (count, *HEADS[name]):
                raise ModelError(
                    f'attribute network: {name} has shape {array.shape}, needs {(count, *HEADS[name])}'
                )
        return heads

    def _second_look(self, jobs, first, transforms):
        points = _points_to_source(first['landmarks'] * self.size_px, transforms)
        upright = np.stack([alignment.aligned_transform(some, self.size_px) for some in points])
        jobs = [(image, transform) for (image, _), transform in zip(jobs, upright)]
        straight, mirrored = self._run(jobs), unmirrored(self._run(jobs, mirror=True))
        turned = np.arctan2(upright[:, 1, 0], upright[:, 0, 0])
        for look in (straight, mirrored):
            look['landmarks'] = _points_to_source(look['landmarks'] * self.size_px, upright)
            if 'pose' in look:  # the crop was turned upright: its roll is that much less than the picture's
                look['pose'][:, 2] -= turned
        first['landmarks'] = points
        return {name: (first[name] + straight[name] + mirrored[name]) / 3 for name in self.outputs}

    def _columns(self, heads, settings):
        # Fields of Attributes, each as a list over faces: arithmetic face by face would cost more
        # than the tracker.
        lists, columns = {name: array.tolist()
                          for name, array in heads.items()
                          if name != 'age'}, {}
        if 'age' in heads:
            columns.update(age_summaries(heads['age']))
        if 'gender' in lists:
            columns['p_female'] = lists['gender']
            columns['gender'] = [
                gender_label(p_female, settings.attributes_gender_threshold)
                for p_female in lists['gender']
            ]
        if 'expression' in lists:
            columns['expression_probs'] = [tuple(probs) for probs in lists['expression']]
            columns['expression'] = [
                expression_label(probs, settings.attributes_expression_threshold)
                for probs in lists['expression']
            ]
        if 'pose' in lists:
            columns.update(zip(('yaw_rad', 'pitch_rad', 'roll_rad'), zip(*lists['pose'])))
        if 'landmarks' in lists:
            columns['landmarks_xy'] = [tuple(map(tuple, points)) for points in lists['landmarks']]
        scalars = {'smile': 'smile', 'face': 'face_prob', 'quality': 'quality'}
        return {
            **columns, **{field: lists[name] for name, field in scalars.items() if name in lists}
        }


def _points_to_source(points, transforms):
    # (N, P, 2) crop points through the inverses of (N, 2, 3) transforms.
    return (points - transforms[:, None, :, 2]) @ np.linalg.inv(transforms[:, :, :2]).swapaxes(
        1, 2)


def unmirrored(heads):
    """Heads of mirrored crops as if the crops had not been mirrored: landmarks swapped sides, yaw
    and roll changed sign."""
    heads = dict(heads)
    if 'landmarks' in heads:
        points = heads['landmarks'][:, alignment.FLIP_68]
        heads['landmarks'] = points * [-1, 1] + [1, 0]
    if 'pose' in heads:
        heads['pose'] = heads['pose'] * [-1, 1, -1]
    return heads


def age_summary(probs):
    """Mean, spread and the central 80 % of a distribution (101,) over years, as fields of
    Attributes."""
    return {field: values[0] for field, values in age_summaries(np.asarray(probs)[None]).items()}


def age_summaries(probs):
    """`age_summary` of each row of (N, 101), as lists."""
    total, mean, square = (probs @ _MOMENTS).T
    variance = square - mean * mean * (2 - total)  # of rows that do not quite add up to one, too
    low, high = _quantiles(np.cumsum(probs, 1, dtype=np.float64) / total[:, None], _AGE_SHARES)
    return {'age_years': mean.tolist(), 'age_std_years': np.sqrt(np.maximum(variance, 0)).tolist(),
            'age_low': np.maximum(low, 0).tolist(), 'age_high': high.tolist()}


def _quantiles(cumulative, shares):
    # Each year's probability is spread evenly from half a year before to half a year after it: (S,
    # 1) shares, (S, N) years.
    year = (cumulative[:, :-1] <= shares[..., None]).sum(2)
    rows = np.arange(len(cumulative))
    before = np.where(year > 0, cumulative[rows, year - 1], 0.)
    return year - .5 + (shares - before) / (cumulative[rows, year] - before)


def gender_label(p_female, threshold=0.):
    """'female' or 'male', whichever is likelier; 'unknown' when that one's probability is below
    `threshold`."""
    label = GENDERS[0] if p_female >= .5 else GENDERS[1]
    return label if max(p_female, 1 - p_female) >= threshold else UNKNOWN


def expression_label(probs, threshold=0., index=None):
    """The expression at `index`, by default the likeliest; 'unknown' when its probability is below
    `threshold`."""
    best = max(range(len(probs)), key=probs.__getitem__) if index is None else index
    return EXPRESSIONS[best] if probs[best] >= threshold else UNKNOWN
