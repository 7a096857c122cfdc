# SPDX-License-Identifier: Apache-2.0
import copy
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
from detector_rig import MICRO, photographs, ultralytics_engine
from places import RECIPES
from safetensors.torch import save_file

from face_attributes_ros import boxes as canvas
from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model, shipped
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import ContractDetector, cell_grid, face_columns
from face_attributes_ros.networks.yolov3 import (
    activation,
    build_yolov3,
    load_detector,
)
from face_attributes_ros.training.detector.export import gflops

DETECTORS = [name for name, model in shipped().items() if model.task == 'detector']


def state_of(network):
    return {key: value.contiguous() for key, value in network.state_dict().items()}


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    torch.manual_seed(0)
    network = build_yolov3(MICRO).eval()
    path = tmp_path_factory.mktemp('weights') / 'detector.safetensors'
    save_file(state_of(network), path, {'model': json.dumps(MICRO)})
    return network, path


def rows_of(network, rgb):
    """What a network says of pictures (B, 3, H, W) of 0..1, decoded."""
    with torch.no_grad():
        return network.decode(network(rgb), network.grid(*rgb.shape[2:], rgb.device))


@pytest.mark.parametrize('batch, height, width', [(1, 32, 32), (2, 64, 96), (3, 96, 64)])
def test_detector_keeps_the_contract_at_any_shape(saved, batch, height, width):
    found = load_detector(saved[1])(torch.zeros(batch, height, width, 3, dtype=torch.uint8))
    assert found.shape == (batch, height * width // 64 + height * width // 256, 5)
    assert ((found[..., 4] >= 0) & (found[..., 4] <= 1)).all()


def test_detector_folds_scale_channel_order_and_batch_norms(saved):
    network, path = saved
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    expected = rows_of(network, image.flip(-1).permute(0, 3, 1, 2).float() / 255)     # RGB, 0..1
    detector = load_detector(path)
    torch.testing.assert_close(detector(image), expected, atol=1e-4, rtol=1e-4)
    assert not [m for m in detector.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_low_precision_keeps_pixels(saved):
    image = torch.randint(0, 256, (1, 320, 448, 3), dtype=torch.uint8)
    whole, half = (load_detector(saved[1]).to(dtype)(image)
                   for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    assert (whole - half)[..., :4].abs().max() < .3


@pytest.mark.parametrize('reg_max', [1, 4])
def test_boxes_are_decoded_as_the_papers_say(reg_max):
    """By plain loops: a softmax's mean from the centre of each cell, times the stride."""
    torch.manual_seed(1)
    network = build_yolov3(MICRO | {'reg_max': reg_max}).eval()
    with torch.no_grad():
        edges, scores = network(torch.rand(1, 3, 32, 64))
        found = network.decode((edges, scores), network.grid(32, 64, edges.device))[0].numpy()
    cells = [(x, y, stride) for stride in (8, 16) for y in range(32 // stride)
             for x in range(64 // stride)]
    assert len(cells) == len(found)
    for n, (x, y, stride) in enumerate(cells):
        logits = edges[0, :, n].double().reshape(4, reg_max).tolist()
        away = [row[0] if reg_max == 1 else
                sum(i * math.exp(v) for i, v in enumerate(row)) / sum(map(math.exp, row))
                for row in logits]
        middle = (x + .5, y + .5, x + .5, y + .5)
        expected = [(m + sign * a) * stride for m, a, sign in zip(middle, away, (-1, -1, 1, 1))]
        np.testing.assert_allclose(found[n, :4], expected, atol=1e-3)
        assert found[n, 4] == pytest.approx(1 / (1 + math.exp(-scores[0, 0, n])), abs=1e-6)


def test_the_grid_is_level_by_level_and_row_by_row():
    centres, strides = cell_grid(32, 48, (16, 32), torch.device('cpu'))
    assert centres[:4].tolist() == [[8, 8], [24, 8], [40, 8], [8, 24]]
    assert centres[6:].tolist() == [[16, 16], [48, 16]] and strides[:, 0].tolist() == [
        16.] * 6 + [32.] * 2


@pytest.mark.parametrize('change, message', [
    ({'head': [[[2, 9], 1, 'Detect', ['nc']]]}, 'layer 4'),
    ({'backbone': [[-1, 1, 'Nothing', [8]]]}, 'Nothing is no layer of YOLOv3'),
    ({'backbone': [[-1, 1, 'Conv', ['eight']]]}, 'layer 0'),
    ({'backbone': [[-1, 10 ** 9, 'Conv', [8]]]}, 'repeats'),
    ({'backbone': [[-1, 1, 'Conv', [8, 3, 2]], [[-1, -2], 1, 'Concat', [1]]]}, 'one stride'),
    ({'head': [[-1, 1, 'Conv', [8]]]}, 'has to be Detect'),
    ({'activation': 'torch.nn.Sequential()'}, 'is none of LeakyReLU'),
    ({'activation': "__import__('os').system('true')"}, 'activation'),
    ({'activation': 'nn.LeakyReLU(open("/etc/passwd"))'}, 'malformed'),
    ({'end2end': True}, "'end2end' is none of"),
], ids=lambda value: value if isinstance(value, str) else '')
def test_a_wrong_model_table_is_a_model_error(change, message):
    with pytest.raises(ModelError, match=message):
        build_yolov3(MICRO | change)


def test_an_activation_is_read_and_not_run():
    leaky = activation('torch.nn.LeakyReLU(0.1, inplace=True)')
    assert isinstance(leaky, torch.nn.LeakyReLU) and leaky.negative_slope == .1 and leaky.inplace
    assert isinstance(build_yolov3(MICRO).model[0].act, torch.nn.SiLU)


def test_weights_of_another_model_are_refused(saved, tmp_path):
    tensors = {key: value for key, value in state_of(saved[0]).items()
               if not key.startswith('model.0')}
    save_file(tensors, tmp_path / 'other.safetensors', {'model': json.dumps(MICRO)})
    with pytest.raises(ModelError, match='missing'):
        load_detector(tmp_path / 'other.safetensors')
    save_file(state_of(saved[0]), tmp_path / 'wide.safetensors',
              {'model': json.dumps(MICRO | {'width_multiple': 2.})})
    with pytest.raises(ModelError, match='wide.safetensors does not fit its model: size mismatch'):
        load_detector(tmp_path / 'wide.safetensors')
    for about in (None, {'model': json.dumps('tiny')}):
        save_file(tensors, tmp_path / 'bare.safetensors', about)
        with pytest.raises(ModelError, match='lacks the `model` table'):
            load_detector(tmp_path / 'bare.safetensors')
    (tmp_path / 'text.safetensors').write_text('no weights')
    with pytest.raises(ModelError, match='readable'):
        load_detector(tmp_path / 'text.safetensors')


@pytest.mark.parametrize('names, wanted, found', [
    (['anything'], ['face'], (0,)), (['cat', 'face', 'dog'], ['face'], (1,)),
    (['mask', 'none', 'car'], ['none', 'mask', 'none'], (1, 0)), (['a', 'b'], ['1'], (1,)),
    (['1', '0'], ['1'], (0,)),
], ids=['one', 'by name', 'several, once each', 'by number', 'a name before a number'])
def test_faces_are_the_classes_that_are_named(names, wanted, found):
    assert face_columns(names, wanted, 'x.cfg') == found


@pytest.mark.parametrize('wanted', [['face'], ['cat', 'face'], [], ['7']])
def test_classes_that_are_not_there_are_an_error_that_names_those_that_are(wanted):
    with pytest.raises(ModelError, match=r'x.cfg: its 6 classes are cat, b, c, d, e, ..., and'):
        face_columns(['cat', 'b', 'c', 'd', 'e', 'f'], wanted, 'x.cfg')


def test_the_best_of_several_classes_is_the_score():
    network = build_yolov3(MICRO | {'nc': 3})
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    one, other, both = (ContractDetector(copy.deepcopy(network), columns)(image)
                        for columns in ((0,), (2,), (2, 0)))
    assert both.shape[2] == 5 and (one[..., 4] != other[..., 4]).any()
    torch.testing.assert_close(both[..., 4], torch.maximum(one[..., 4], other[..., 4]))


@pytest.mark.parametrize('size, most_gflops, most_megabytes', [('tiny', 2.5, 6), ('small', 6, 10)])
def test_the_recipes_keep_their_budgets(size, most_gflops, most_megabytes):
    """At 448 x 448, from a quarter of the area; two bytes a parameter."""
    config = yaml.safe_load((RECIPES / f'detector_{size}.yaml').read_text())
    network = build_yolov3(config['model']).eval()
    assert most_gflops / 2 < 4 * gflops(network, 224) < most_gflops
    assert 2 * sum(p.numel() for p in network.parameters()) / 1e6 < most_megabytes
    assert network.strides == (8, 16, 32)


def inputs(longest):
    """Noise, and the demo's photographs on their canvas."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), dtype=np.uint8)
    yield noise
    for image in photographs():
        height, width = image.shape[:2]
        sides = canvas.canvas_size(width, height, longest)
        drawn = np.empty((sides[1], sides[0], 3), np.uint8)
        canvas.Letterbox(width, height, *sides).apply(image, drawn)
        yield drawn[None]


@pytest.mark.parametrize('name', DETECTORS)
@torch.no_grad()
def test_the_torch_file_says_what_the_onnx_file_says(name):
    model = find_model(name, 'detector')
    detector = load_detector(model.torch_weights())
    theirs = open_network(model.path, backend='onnxruntime', device='cpu', precision='fp32',
                          threads=1)
    for batch in inputs(model.input_px):
        np.testing.assert_allclose(detector(torch.from_numpy(batch)).numpy(), theirs(batch)[0],
                                   atol=1e-3)


def test_it_needs_no_ultralytics():
    program = f'''
import sys
sys.modules['ultralytics'] = None
import torch
from face_attributes_ros.networks.yolov3 import load_detector
path = {str(find_model('detector_tiny', 'detector').torch_weights())!r}
print(load_detector(path)(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).shape[1])
'''
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.split() == ['84'], done.stderr


@pytest.mark.parametrize('size', ['tiny', 'small', 'full'])
def test_it_is_the_network_that_ultralytics_builds(size):
    """The same names, fresh weights, training and evaluation, from the same table."""
    detection_model = ultralytics_engine().detection_model
    table = yaml.safe_load((RECIPES / f'detector_{size}.yaml').read_text())['model']
    table |= {'width_multiple': .125} if size == 'full' else {}
    networks = []
    for build in (build_yolov3, detection_model):
        torch.manual_seed(3)
        networks.append(build(table))
    ours, theirs = networks
    theirs.model[-1].xyxy = True
    image = torch.rand(2, 3, 64, 96)
    edges, scores = ours(image)
    raw = theirs(image)
    torch.testing.assert_close((edges, scores), (raw['boxes'], raw['scores']))
    torch.testing.assert_close(ours.state_dict(), dict(theirs.state_dict()))    # the norms', too
    with torch.no_grad():
        torch.testing.assert_close(rows_of(ours.eval(), image),
                                   theirs.eval()(image)[0].transpose(1, 2), atol=1e-4, rtol=1e-5)
