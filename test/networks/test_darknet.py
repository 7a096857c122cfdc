# SPDX-License-Identifier: Apache-2.0
"""A user's Darknet files, against plain numpy and, where this OpenCV still reads them, against
OpenCV."""
import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch')
from darknet_rig import ANCHORS, conv, residual, said, tiny, write, yolo

from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import ContractDetector
from face_attributes_ros.networks.darknet import load_darknet

PICTURE = np.random.default_rng(5).integers(0, 256, (32, 64, 3), dtype=np.uint8)


def rows_of(path, columns=(0,)):
    detector = ContractDetector(load_darknet(path).network, columns)
    with torch.no_grad():
        return detector(torch.from_numpy(PICTURE)[None])[0].numpy()


@pytest.mark.parametrize('layers', [tiny(), residual()], ids=['tiny', 'residual'])
def test_the_network_is_what_the_files_say(tmp_path, layers):
    expected = said(layers, write(tmp_path / 'net.cfg', layers), PICTURE)
    for name in ('net.cfg', 'net.weights'):
        np.testing.assert_allclose(rows_of(tmp_path / name), expected, atol=1e-3, rtol=1e-4)
    assert np.ptp(expected[:, 4]) > .05


@pytest.mark.parametrize('layers', [tiny(2), residual(2)], ids=['tiny', 'residual'])
def test_opencv_says_the_same(tmp_path, layers):
    """It leaves out weak scores, and gives centre and size as fractions."""
    if not hasattr(cv2.dnn, 'readNetFromDarknet'):
        pytest.skip(f'OpenCV {cv2.__version__} reads no Darknet files')
    write(tmp_path / 'net.cfg', layers)
    net = cv2.dnn.readNetFromDarknet(str(tmp_path / 'net.cfg'), str(tmp_path / 'net.weights'))
    net.setInput(cv2.dnn.blobFromImage(PICTURE, 1 / 255, swapRB=True))
    outputs = net.forward(net.getUnconnectedOutLayersNames())
    # Its rows are cell by cell, anchor by anchor.
    theirs = [rows.reshape(-1, 3, rows.shape[1]).transpose(1, 0, 2).reshape(-1, rows.shape[1])
              for rows in outputs]
    theirs = np.concatenate(sorted(theirs, key=len) if len(theirs) > 1 else theirs)
    ours = [rows_of(tmp_path / 'net.cfg', (column,)) for column in (0, 1)]
    corners = np.concatenate([theirs[:, :2] - theirs[:, 2:4] / 2,
                              theirs[:, :2] + theirs[:, 2:4] / 2], 1) * [64, 32, 64, 32]
    np.testing.assert_allclose(ours[0][:, :4], corners, atol=1e-3, rtol=1e-4)
    for column, rows in enumerate(ours):
        told = theirs[:, 5 + column] > 0
        assert told.any()
        np.testing.assert_allclose(rows[told, 4], theirs[told, 5 + column], atol=1e-4)


def test_anchors_are_decoded_by_the_papers_formulas(tmp_path):
    """A network whose head says the same everywhere: its biases."""
    layers = [conv(18, 1, 16, norm=False, activation='linear'), yolo((0, 3, 5), 1)]
    write(tmp_path / 'net.cfg', layers)
    biases = np.arange(18) / 10 - 1
    header = (tmp_path / 'net.weights').read_bytes()[:20]
    (tmp_path / 'net.weights').write_bytes(
        header + np.concatenate([biases, np.zeros(18 * 3)]).astype('<f4').tobytes())
    rows = rows_of(tmp_path / 'net.cfg').reshape(3, 2, 4, 5)
    for number, index in enumerate((0, 3, 5)):
        tx, ty, tw, th, objectness, score = biases[6 * number:6 * number + 6]
        for y in range(2):
            for x in range(4):
                x0, y0, x1, y1, found = rows[number, y, x]
                assert (x0 + x1) / 2 == pytest.approx((1 / (1 + np.exp(-tx)) + x) * 16, abs=1e-3)
                assert (y0 + y1) / 2 == pytest.approx((1 / (1 + np.exp(-ty)) + y) * 16, abs=1e-3)
                assert x1 - x0 == pytest.approx(ANCHORS[index][0] * np.exp(tw), rel=1e-4)
                assert y1 - y0 == pytest.approx(ANCHORS[index][1] * np.exp(th), rel=1e-4)
                assert found == pytest.approx(
                    1 / (1 + np.exp(-objectness)) / (1 + np.exp(-score)), abs=1e-6)


def test_old_headers_count_pictures_in_32_bits(tmp_path):
    numbers = write(tmp_path / 'old.cfg', tiny(), version=(0, 1, 0))
    np.testing.assert_allclose(rows_of(tmp_path / 'old.cfg'), said(tiny(), numbers, PICTURE),
                               atol=1e-3, rtol=1e-4)


def test_names_and_size_come_from_the_files(tmp_path):
    write(tmp_path / 'a.cfg', tiny(2), names=['hat', 'face'])
    write(tmp_path / 'b.cfg', tiny(2), width=96, height=416)
    assert load_darknet(tmp_path / 'a.cfg')[1:] == (('hat', 'face'), 64)
    assert load_darknet(tmp_path / 'b.weights')[1:] == (('0', '1'), 416)
    write(tmp_path / 'c.cfg', tiny(2), names=['face'])
    with pytest.raises(ModelError, match='c.names has 1 names, the .cfg 2 classes'):
        load_darknet(tmp_path / 'c.cfg')


def one_line(error):
    assert '\n' not in str(error.value)
    return True


@pytest.mark.parametrize('change, message', [
    (lambda data: data[:-4], r'net.weights is too short: \d+ numbers, net.cfg needs \d+'),
    (lambda data: data + bytes(4), 'net.weights is too long'),
    (lambda data: data[:-1], 'are no whole number of float32'),
    (lambda data: data[:10], 'is too short: 10 bytes'),
    (lambda data: b'', 'cannot be read'),
], ids=['short', 'long', 'cut', 'no header', 'empty'])
def test_weights_of_another_length_are_an_error(tmp_path, change, message):
    write(tmp_path / 'net.cfg', tiny())
    path = tmp_path / 'net.weights'
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ModelError, match=message) as error:
        load_darknet(tmp_path / 'net.cfg')
    assert one_line(error)


NET = '[net]\nwidth=64\nheight=64\n'


@pytest.mark.parametrize('text, message', [
    ('', 'has to begin with'),
    ('\x00\xff', 'has to begin|no readable text|no Darknet'),
    ('hello', "line 1 is 'hello', needs"),
    (NET + '[convolutional]\nfilters=8\nactivation=leaky', 'no .yolo. layer'),
    (NET + '[region]\nanchors=1,2', r'is not YOLOv3: line 4 has \[region\]'),
    (NET + '[convolutional]\ngroups=2\n[yolo]', 'line 4, .* has groups=2'),
    (NET + '[yolo]\nscale_x_y=1.05', 'scale_x_y=1.05'),
    (NET + '[convolutional]\nactivation=mish\n[yolo]', 'is mish, which YOLO'),
    ('[net]\nwidth=60\nheight=64\n[yolo]', 'width is 60, needs a multiple of 32'),
    ('[net]\nheight=64\n[yolo]', "width is '', needs numbers"),
    (NET + 'channels=1\n[yolo]', 'channels is 1, needs 3'),
    (NET + '[convolutional]\nfilters=many\nactivation=leaky\n[yolo]',
     "filters is 'many', needs numbers"),
    (NET + '[convolutional]\nfilters=0\nactivation=leaky\n[yolo]',
     'filters is 0, needs 1 to'),
    (NET + '[convolutional]\nfilters=8\nactivation=leaky\n[route]\nlayers=-3'
     '\n[yolo]', 'line 7, .route.: layer -3 is not one before it'),
    (NET + '[convolutional]\nfilters=8\nactivation=leaky\n[shortcut]\n'
     'from=-1\n[convolutional]\nfilters=9\nactivation=leaky\n[shortcut]\nfrom=-2\n[yolo]',
     'differ'),
    (NET + '[convolutional]\nfilters=8\nactivation=linear\n[yolo]\nmask=0\n'
     'anchors=1,2\nclasses=1', '1 anchors and 1 classes need 6 channels, .* has 8'),
    (NET + '[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=1\n'
     'anchors=1,2\nclasses=1', r'mask \[1\] of 2 numbers'),
    (NET + '[convolutional]\nfilters=6\nactivation=linear\nstride=3\n[yolo]'
     '\nmask=0\nanchors=1,2\nclasses=1', 'its stride is 3, needs one that divides 32'),
    (NET + '[convolutional]\nfilters=6\nactivation=linear\n[upsample]\n'
     'stride=2\n[yolo]\nmask=0\nanchors=1,2\nclasses=1', 'stride 2 of a map of stride 1'),
], ids=range(19))
def test_a_cfg_that_is_not_yolov3_is_an_error_in_a_line(tmp_path, text, message):
    (tmp_path / 'net.cfg').write_text(text, encoding='latin-1')
    (tmp_path / 'net.weights').write_bytes(bytes(20))
    with pytest.raises(ModelError, match=message) as error:
        load_darknet(tmp_path / 'net.cfg')
    assert one_line(error) and 'net.cfg' in str(error.value)


def test_a_huge_network_is_refused_before_it_takes_memory(tmp_path):
    layers = [conv(60000), conv(60000), conv(18, 1, 16, norm=False, activation='linear'),
              yolo((0, 1, 2), 1)]
    lines = ['[net]', 'width=64', 'height=64']
    for kind, options in layers:
        lines += [f'[{kind}]', *(f'{key}={value}' for key, value in options.items())]
    (tmp_path / 'net.cfg').write_text('\n'.join(lines))
    (tmp_path / 'net.weights').write_bytes(bytes(400))
    with pytest.raises(ModelError, match='too short: 96 numbers, net.cfg needs 324'):
        load_darknet(tmp_path / 'net.cfg')


@pytest.mark.parametrize('missing', ['.cfg', '.weights'])
def test_half_a_network_is_an_error(tmp_path, missing):
    write(tmp_path / 'net.cfg', tiny())
    (tmp_path / 'net').with_suffix(missing).unlink()
    with pytest.raises(ModelError, match=f'net{missing} is missing; a Darknet network is'):
        load_darknet(tmp_path / 'net.cfg')
