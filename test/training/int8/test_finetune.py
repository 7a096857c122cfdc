# SPDX-License-Identifier: Apache-2.0
"""Training under int8 rounding: it computes what the int8 file computes, and comes nearer to the
float one."""
import argparse
import copy
import json
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
from detector_rig import AUGMENT, MICRO, TRAIN, write_yolo_folder
from safetensors.torch import save_file

from face_attributes_ros.engines.models import Model, find_model
from face_attributes_ros.errors import DataError, ModelError, ParameterError
from face_attributes_ros.networks.yolov3 import build_yolov3, load_detector
from face_attributes_ros.training.common.config import made
from face_attributes_ros.training.common.run import Run
from face_attributes_ros.training.detector import export as export_detector
from face_attributes_ros.training.int8 import export as export_int8
from face_attributes_ros.training.int8.choose import Ingredients, candidates
from face_attributes_ros.training.int8.conv_graph import ConvGraph
from face_attributes_ros.training.int8.distillation import LOSSES, cells, distillation
from face_attributes_ros.training.int8.finetune import (
    FinetuneTask,
    Finetuning,
    fine_tuned,
    under_rounding,
)
from face_attributes_ros.training.int8.graph import (
    activation_ranges,
    pair_safe_scales,
    quantise,
    whole,
)
from face_attributes_ros.training.int8.ranges import session
from face_attributes_ros.training.int8.rounding import RoundedTensor, rounded_weights

ROOT = Path(__file__).parents[3]
TINY = MICRO | {
    'activation': 'torch.nn.LeakyReLU(0.1)',
    'backbone': [*MICRO['backbone'], [-1, 1, 'nn.ZeroPad2d', [[0, 1, 0, 1]]],
                 [-1, 1, 'nn.MaxPool2d', [2, 1, 0]]],
    'head': [[-1, 1, 'Bottleneck', [16]], [-1, 1, 'nn.Upsample', [None, 2, 'nearest']],
             [[-1, 2], 1, 'Concat', [1]], [-1, 1, 'Conv', [16, 3, 1]],
             [[9, 6], 1, 'Detect', ['nc']]]}
CONFIG = {'floats': 'last float', 'pictures': 4, 'range_rate': .01,
          'train': TRAIN | {'learning_rate': .003, 'warmup_steps': 1}, 'augment': AUGMENT}


def detector_file(folder, table):
    """The float ONNX model of a random detector."""
    torch.manual_seed(1)
    state = build_yolov3(table).state_dict()
    save_file({k: v.contiguous() for k, v in state.items()}, folder / 'd.safetensors',
              {'model': json.dumps(table)})
    return whole(export_detector.to_onnx(load_detector(folder / 'd.safetensors'), half=False))


@pytest.fixture(scope='module')
def given(tmp_path_factory):
    model = detector_file(tmp_path_factory.mktemp('tiny'), TINY)
    batches = [np.random.default_rng(seed).integers(0, 256, (1, 64, 96, 3), np.uint8)
               for seed in range(3)]
    return Ingredients(model, activation_ranges(model, batches), batches,
                       {'int8_made_from': 'abc'})


@pytest.fixture
def data(tmp_path):
    return write_yolo_folder(tmp_path / 'data')


def pixels(batch):
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float()


def outputs(model, graph, batch):
    return session(model, graph.outputs, optimise=False).run(graph.outputs, {'image': batch})


@pytest.mark.parametrize('table', [TINY, MICRO], ids=['leaky', 'silu'])
def test_without_rounding_it_is_the_float_file(tmp_path, given, table):
    model = detector_file(tmp_path, table)
    graph = ConvGraph(model)
    with torch.no_grad():
        found = graph(pixels(given.batches[0]))
    assert len(found) == 4
    for ours, theirs in zip(found, outputs(model, graph, given.batches[0]), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


@pytest.mark.parametrize('name', ['all', 'last float', 'first and last float'])
def test_under_rounding_it_is_the_int8_file(given, name):
    """But for sums that fall between two levels, where either is right."""
    kept = candidates(given.source)[name]
    graph = under_rounding(given, kept)
    int8 = quantise(given.source, given.ranges, given.batches[0], kept)
    with torch.no_grad():
        found = copy.deepcopy(graph)(pixels(given.batches[0]))
    floats = outputs(given.source, graph, given.batches[0])
    for ours, theirs, whole_ in zip(found, outputs(int8, graph, given.batches[0]), floats,
                                    strict=True):
        cost = np.abs(theirs - whole_).mean()
        assert np.abs(ours.numpy() - theirs).mean() < .2 * cost


def test_what_was_learned_goes_into_the_file(given):
    graph = under_rounding(given, ())
    with torch.no_grad():
        for one in graph.parameters_:
            one.add_(.01)
        graph.ranges_[1].high.mul_(.5)
    changed = ConvGraph(graph.put_into(given.source))
    assert all(torch.equal(a, b)
               for a, b in zip(changed.parameters_, graph.parameters_, strict=True))
    owner = graph.owners[1]
    assert graph.ranges()[owner][1] == pytest.approx(given.ranges[owner][1] / 2)


def test_an_operation_that_is_not_known_is_an_error(given):
    model = copy.deepcopy(given.source)
    next(node for node in model.graph.node if node.op_type == 'LeakyRelu').op_type = 'Elu'
    with pytest.raises(ModelError, match='this kind of Elu'):
        ConvGraph(model)


def test_weights_are_rounded_as_the_file_has_them():
    weights = torch.randn(5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weights[1] = 0
    scales = pair_safe_scales(weights.numpy()).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(rounded_weights(weights).numpy(),
                               np.round(weights.numpy() / scales) * scales, atol=1e-6)
    one = weights.clone().requires_grad_()
    rounded_weights(one).sum().backward()
    assert torch.equal(one.grad, torch.ones_like(weights))


def test_values_are_cut_and_rounded_and_the_ends_learn():
    rounded = RoundedTensor(-1., 2.)
    values = torch.tensor([-3., -1., .004, .5, 2., 7.], requires_grad=True)
    found = rounded(values)
    step = 3 / 255
    assert found.tolist() == pytest.approx([-1, -1, 0, round(.5 / step) * step, 2, 2], abs=1e-5)
    found.sum().backward()
    assert values.grad.tolist() == [0, 1, 1, 1, 1, 0]
    # How those inside move with the step.
    apart = float((found - values)[1:5].detach().sum()) / 3
    assert float(rounded.high.grad) == pytest.approx(1 + apart, abs=1e-5)
    assert float(rounded.low.grad) == pytest.approx(1 - apart, abs=1e-5)


def test_distances_of_equal_maps_are_nothing_and_background_does_not_count():
    maps = [torch.zeros(1, 16, 4, 4), torch.full((1, 1, 4, 4), -20.),
            torch.zeros(1, 16, 2, 2), torch.full((1, 1, 2, 2), -20.)]
    teacher = cells(maps)
    assert teacher.scores.shape == (20,) and teacher.boxes.shape == (20, 4, 4)
    other = [maps[0] + torch.randn(1, 16, 4, 4), maps[1] - 3, *maps[2:]]
    assert set(distillation(cells(other), teacher)) == set(LOSSES)
    assert all(float(loss) == 0 for loss in distillation(cells(other), teacher).values())
    seen = [maps[0], maps[1].clone(), *maps[2:]]
    seen[1][0, 0, 1, 1] = 2.
    wrong = [other[0], seen[1] - 1, *maps[2:]]
    assert all(float(loss) > .1 for loss in distillation(cells(wrong), cells(seen)).values())
    with pytest.raises(ModelError, match='a map of scores'):
        cells(maps[1:])


def arguments(data, out, **more):
    return argparse.Namespace(**{
        'data': data, 'out': out, 'seed': 0, 'steps': 4, 'minutes': 1e9, 'resume': False,
        'checkpoint_minutes': 1e9, 'validate_minutes': 1e9, 'threads': 1, **more})


def task_of(given, args):
    config = made(Finetuning, CONFIG)
    return FinetuneTask(given, candidates(given.source)[config.floats], config, args, 96)


def test_fine_tuning_comes_nearer_to_the_float_network(given, data, tmp_path):
    args = arguments(data, tmp_path / 'run', steps=30)
    task = task_of(given, args)
    with torch.no_grad():
        before = task.validate(task.network, 0)
    run = Run(args, task)
    run.train()
    assert run.figures['score'] < .8 * before['score'] and run.figures['box'] < before['box']


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(given, data, tmp_path):
    through = Run(args := arguments(data, tmp_path / 'a'), task_of(given, args))
    through.train()
    Run(args := arguments(data, tmp_path / 'b', steps=2), task_of(given, args)).train()
    args = arguments(data, tmp_path / 'b', resume=True)
    going_on = Run(args, task_of(given, args))
    assert going_on.step_number == 2
    for _ in range(2):
        going_on.step()
    for a, b in zip(through.task.network.parameters(), going_on.task.network.parameters(),
                    strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    other = given._replace(note={'int8_made_from': 'other'})
    with pytest.raises(DataError, match='made_from'):
        Run(args, task_of(other, args))


def command(tmp_path, data, *more, config=CONFIG):
    (tmp_path / 'int8.yaml').write_text(yaml.safe_dump(config))
    models = tmp_path / 'models'
    if not models.is_dir():
        models.mkdir()
        detector_file(tmp_path, TINY)
        parser = ArgumentParser()
        export_detector.add_arguments(parser)
        export_detector.run(parser.parse_args([
            '--weights', f'{tmp_path}/d.safetensors', '--out', f'{models}/tiny.onnx',
            '--manifest', f'{models}/manifest.toml', '--input-px', '96']))
    parser = ArgumentParser()
    export_int8.add_arguments(parser)
    return parser.parse_args([
        '--model', 'tiny', '--data', f'{data}', '--manifest', f'{models}/manifest.toml',
        '--images', '3', '--json', f'{tmp_path}/int8.json', '--finetune', '0.02',
        '--config', f'{tmp_path}/int8.yaml', '--out', f'{tmp_path}/run', *more])


def test_the_command_fine_tunes_and_writes_what_came_out(tmp_path, data):
    assert export_int8.run(command(tmp_path, data)) == 0
    result = json.loads((tmp_path / 'int8.json').read_text())['tiny']
    assert result['chosen'] == 'fine-tuned, last float' and result['finetune_minutes'] == .02
    assert (tmp_path / 'run' / 'log.csv').is_file()
    model = find_model(f'{tmp_path}/models/manifest.toml:tiny', 'detector')
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor)
               for tensor in onnx.load(model.int8_path).graph.initializer}
    assert sum(values.dtype == np.int8 and values.ndim == 4 for values in tensors.values()) > 5
    assert export_int8.run(command(tmp_path, data, '--resume')) == 0


def test_a_configuration_that_names_no_candidate_is_an_error(tmp_path, data):
    args = command(tmp_path, data, config=CONFIG | {'floats': 'none of them'})
    with pytest.raises(ParameterError, match='needs one of all, first float'):
        export_int8.run(args)


def test_only_detectors_are_fine_tuned(given, tmp_path):
    model = Model('x', 'attributes', tmp_path, '', '', '', 80)
    with pytest.raises(ParameterError, match='is for attributes'):
        fine_tuned(given, {}, args=argparse.Namespace(), model=model)


def test_the_shipped_configuration_is_read():
    config = made(Finetuning,
                  yaml.safe_load((ROOT / 'config/training/int8_detector.yaml').read_text()))
    assert config.floats == 'last float' and set(config.loss_weights) == set(LOSSES)
