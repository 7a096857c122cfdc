# SPDX-License-Identifier: Apache-2.0
"""The device's letterbox draws what OpenCV draws."""
import numpy as np
import pytest

torch = pytest.importorskip('torch',
                            reason='torch is needed for training and the torch backend only')

from face_attributes_ros.boxes import LETTERBOX_GREY, Letterbox, canvas_size
from face_attributes_ros.device.letterbox import (
    DeviceLetterbox,
    bilinear_matrix,
    shrinking_matrices,
)

SIZES = [(1, 1), (1, 7), (900, 3), (30, 1200), (100, 100), (217, 333), (448, 448), (640, 480),
         (1083, 541), (1280, 720), (1920, 1080), (1921, 1081)]


def frames(width, height, count=1):
    return np.random.default_rng(width + height).integers(0, 255, (count, height, width, 3),
                                                          np.uint8)


def drawn(letterbox, pictures):
    canvas = np.empty((len(pictures), letterbox.canvas_height, letterbox.canvas_width, 3),
                      np.uint8)
    for picture, out in zip(pictures, canvas):
        letterbox.apply(picture, out)
    return canvas


@pytest.mark.parametrize('width, height', SIZES)
@pytest.mark.parametrize('dtype, levels', [(torch.float32, 1), (torch.float16, 2)])
def test_every_size_is_drawn_alike_even_noise(width, height, dtype, levels):
    if dtype is torch.float16 and max(width, height) > 700:
        pytest.skip('half precision is slow on a CPU')
    letterbox, pictures = Letterbox(width, height, *canvas_size(width, height,
                                                                448)), frames(width, height)
    found = DeviceLetterbox(letterbox, dtype)(torch.from_numpy(pictures).to(dtype))
    assert found.dtype == dtype and found.is_contiguous()
    apart = np.abs(found.float().numpy() - drawn(letterbox, pictures))
    assert apart.max() <= levels and apart.mean() < .3


def test_several_frames_and_a_square_with_margins():
    letterbox, pictures = Letterbox(640, 360, 320, 320), frames(640, 360, 3)
    found = DeviceLetterbox(letterbox)(torch.from_numpy(pictures).float()).numpy()
    assert np.abs(found - drawn(letterbox, pictures)).max() <= 1
    assert (found[:, :70] == LETTERBOX_GREY).all() and (found[:, 250:] == LETTERBOX_GREY).all()


@pytest.mark.parametrize('size_in, size_out', [(1, 1), (1, 4), (5, 5), (7, 3), (3, 7)])
def test_weights_of_a_pixel_sum_to_one(size_in, size_out):
    matrix = bilinear_matrix(size_in, size_out)
    assert matrix.shape == (size_out, size_in)
    torch.testing.assert_close(matrix.sum(1), torch.ones(size_out, dtype=torch.float64))
    if size_in == size_out:
        torch.testing.assert_close(matrix, torch.eye(size_in, dtype=torch.float64))


def test_halving_stops_at_a_picture_of_one_row():
    rows, columns = shrinking_matrices(Letterbox(4000, 1, 448, 32))
    assert rows.shape == (1, 1) and columns.shape == (448, 4000) and (columns
                                                                      != 0).sum(1).max() == 2
