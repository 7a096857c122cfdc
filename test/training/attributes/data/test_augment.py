# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from face_attributes_ros.alignment import FLIP_68
from face_attributes_ros.training.attributes.data.augment import (
    AugmentConfig,
    Motion,
    augment,
    erase,
    fade,
    move_labels,
    move_pixels,
    quality_target,
    shrink,
)


def motion(mirrored=False, turn=0.0, scale=1.0, shift=(0.0, 0.0)):
    return Motion(torch.tensor([mirrored]), torch.tensor([turn]), torch.tensor([scale]),
                  torch.tensor([shift]))


def labels(points, pose=(0.3, 0.1, 0.05)):
    return {
        'landmarks': torch.tensor(points, dtype=torch.float32)[None], 'pose': torch.tensor([pose])
    }


def spread_points():
    return np.random.default_rng(0).uniform(0.3, 0.7, (68, 2))


@pytest.mark.parametrize('moved', [motion(), motion(True), motion(turn=0.3), motion(scale=1.3),
                                   motion(shift=(0.2, -0.1)),
                                   motion(True, -0.25, 0.8, (0.1, 0.2))])
def test_points_follow_the_pixels(moved):
    points, size = np.full((68, 2), 0.5), 101
    points[30] = (0.62, 0.4)  # the nose's tip has no partner in the mirror
    pixels = torch.zeros(1, 1, size, size)
    pixels[0, 0, int(0.4 * size), int(0.62 * size)] = 1
    pixels = torch.nn.functional.avg_pool2d(pixels, 5, 1, 2)
    seen = move_pixels(pixels, moved, size)[0, 0]
    cells = torch.arange(size, dtype=torch.float32)
    row, column = (seen.sum(1) @ cells / seen.sum()).item(), (seen.sum(0) @ cells /
                                                              seen.sum()).item()
    expected = move_labels(labels(points), moved)['landmarks'][0, 30].numpy()
    assert (column + 0.5) / size == pytest.approx(expected[0], abs=0.01)
    assert (row + 0.5) / size == pytest.approx(expected[1], abs=0.01)


def test_mirroring_twice_changes_nothing():
    before = labels(spread_points())
    after = move_labels(move_labels(before, motion(True)), motion(True))
    torch.testing.assert_close(after['landmarks'], before['landmarks'])
    torch.testing.assert_close(after['pose'], before['pose'])
    assert (FLIP_68[FLIP_68] == np.arange(68)).all()


def test_the_mirror_swaps_sides_and_turns_yaw_and_roll():
    points = spread_points()
    after = move_labels(labels(points, (0.3, 0.1, 0.05)), motion(True))
    np.testing.assert_allclose(after['landmarks'][0, 36], [1 - points[45, 0], points[45, 1]],
                               rtol=1e-5)  # outer eye corners
    np.testing.assert_allclose(after['pose'][0], [-0.3, 0.1, -0.05], rtol=1e-5)


def test_a_clockwise_turn_adds_to_roll_and_lowers_the_right_side():
    points = np.full((68, 2), 0.5)
    points[45] = (0.8, 0.5)
    after = move_labels(labels(points, (0.0, 0.0, 0.0)), motion(turn=0.2))
    assert after['landmarks'][0, 45, 1] > 0.5
    assert float(after['pose'][0, 2]) == pytest.approx(0.2)


def test_missing_labels_stay_missing():
    blank = {'landmarks': torch.full((1, 68, 2), torch.nan), 'pose': torch.full((1, 3), torch.nan)}
    after = move_labels(blank, motion(True, 0.2, 1.1))
    assert all(torch.isnan(value).all() for value in after.values())


def test_shrinking_loses_detail_and_says_how_much():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.rand(10, 3, 32, 32, generator=generator)
    after, left = shrink(pixels.clone(), generator, AugmentConfig(shrink=0.4, shrink_px=(8, 8)))
    changed = (after != pixels).flatten(1).any(1)
    assert changed.sum() == 4 and (left[changed] == 8).all() and (left[~changed] == 32).all()
    assert after[changed].std() < pixels[changed].std()


def test_old_photographs_lose_colour_and_range_and_the_others_nothing():
    colours = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1) * torch.linspace(0, 1, 32)
    pixels = colours.expand(200, 3, 32, 32).clone()
    faded = fade(pixels.clone(), torch.Generator().manual_seed(1), AugmentConfig(old=0.4))
    old = (faded != pixels).flatten(1).any(1)
    assert 0.3 < old.float().mean() < 0.5
    spread = faded[old].amax((2, 3)) - faded[old].amin((2, 3))
    assert (spread[:, 1] < 1).float().mean() > 0.9  # black is lifted, white is lowered
    colour = (faded[old].mean((2, 3)).amax(1) - faded[old].mean((2, 3)).amin(1)).mean()
    assert colour < 0.6 * 0.5  # green's mean was .5 above the others'


def test_erasing_covers_what_it_says():
    pixels = torch.full((50, 3, 40, 40), 2.0)
    after, left = erase(pixels, torch.Generator().manual_seed(0), AugmentConfig(erase=0.5))
    torch.testing.assert_close((after == 2).float().mean((1, 2, 3)), left)
    assert 10 < int((left < 1).sum()) < 40


def test_quality_falls_with_resolution_and_cover():
    quality = quality_target(torch.tensor([12.0, 34.0, 96.0, 200.0, 96.0]),
                             torch.tensor([1.0, 1, 1, 1, 0.5]))
    np.testing.assert_allclose(quality, [0, 0.5008, 1, 1, 0.5], atol=1e-3)


def test_the_same_seed_makes_the_same_batch_and_only_faces_have_a_quality():
    crops = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    partial = {'landmarks': torch.rand(6, 68, 2), 'pose': torch.zeros(6, 3),
               'face': torch.tensor([1.0, 1, 1, 1, 1, 0])}

    def make(seed):
        return augment(crops, np.full(6, 24, np.float32), partial, 16,
                       torch.Generator().manual_seed(seed))

    (pixels, found), (again, _), (other, _) = make(3), make(3), make(4)
    assert torch.equal(pixels, again) and not torch.equal(pixels, other)
    assert pixels.shape == (6, 3, 16, 16) and 0 <= pixels.min() and pixels.max() <= 1
    assert torch.isnan(found['quality']).tolist() == [False] * 5 + [True]
