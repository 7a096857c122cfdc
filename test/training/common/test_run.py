# SPDX-License-Identifier: Apache-2.0
"""A run of a task that is a line fitted to points."""

import math
from argparse import Namespace
from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('safetensors')
pytest.importorskip('matplotlib')

from face_attributes_ros.errors import DataError, ParameterError
from face_attributes_ros.training.common.arguments import check_budget
from face_attributes_ros.training.common.checkpoint import load_tensors
from face_attributes_ros.training.common.log import read_log
from face_attributes_ros.training.common.run import Plan, Run
from face_attributes_ros.training.common.schedule import cosine_schedule

PLAN = Plan(name='line', weights={'squares': 2.}, columns=('squares', 'val_loss'),
            measured='val_loss', identity=('data', 'seed'), ema_decay=.9, clip_gradient=1.)


class Line:
    """y = 2 x from noisy points, a new one a step."""

    def __init__(self, plan=PLAN, data='points'):
        torch.manual_seed(0)
        self.plan, self.data = plan, data
        self.network = torch.nn.Linear(1, 1)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=.1, momentum=.9)

    def schedule(self, now):
        return cosine_schedule(self.optimizer, now, 3, .01)

    def losses(self, network, step, progress):
        x = torch.randn(8, 1)      # from the run's seed of this step
        return {'squares': (network(x) - 2 * x).square().mean()}

    def facts(self):
        return {}

    def validate(self, network, step):
        return {'loss': float((network(torch.ones(1, 1)) - 2).square())}

    def metadata(self):
        return {'data': self.data, 'seed': 0}

    def tensors(self, network):
        return network.state_dict()


def arguments(out, steps, **more):
    return Namespace(**{'out': out, 'steps': steps, 'minutes': math.inf, 'seed': 0,
                        'resume': False, 'checkpoint_minutes': math.inf,
                        'validate_minutes': math.inf, **more})


def test_a_run_learns_and_leaves_its_files(tmp_path):
    run = Run(arguments(tmp_path, 120), Line())
    run.train()
    assert run.figures['loss'] < .01
    assert [(row['step'], row['val_loss'] != '') for row in read_log(tmp_path / 'log.csv')] == [
        ('50', False), ('100', False), ('120', True)]
    assert {path.name for path in tmp_path.iterdir()} == {
        'last.safetensors', 'line.safetensors', 'log.csv', 'curve.png'}
    tensors, about = load_tensors(tmp_path / 'line.safetensors')
    assert torch.equal(tensors['weight'], run.average.module.weight) and about['step'] == 120
    assert not torch.equal(tensors['weight'], run.task.network.weight)


@pytest.mark.parametrize('plan', [
    PLAN, replace(PLAN, ema_decay=0.), replace(PLAN, validate_every=2)], ids=[
        'average', 'none', 'looks'])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, plan):
    Run(arguments(tmp_path / 'whole', 9), Line(plan)).train()
    cut = Run(arguments(tmp_path / 'cut', 9), Line(plan))
    for step in range(7):
        if step == 4:
            cut.save()      # and three steps more that are lost
        cut.step()
    Run(arguments(tmp_path / 'cut', 9, resume=True), Line(plan)).train()
    whole, parts = (load_tensors(tmp_path / name / 'last.safetensors')[0]
                    for name in ('whole', 'cut'))
    assert whole.keys() == parts.keys()
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []


def test_looks_come_by_steps_and_by_time(tmp_path):
    Run(arguments(tmp_path / 'steps', 5), Line(replace(PLAN, validate_every=2))).train()
    assert [row['step'] for row in read_log(tmp_path / 'steps' / 'log.csv')] == ['2', '4', '5']
    Run(arguments(tmp_path / 'time', 3, validate_minutes=0.), Line()).train()
    assert [row['step'] for row in read_log(tmp_path / 'time' / 'log.csv')] == ['1', '2', '3']


def test_minutes_end_a_run_before_its_steps(tmp_path):
    run = Run(arguments(tmp_path, 10 ** 9, minutes=.002), Line())
    run.train()
    assert run.progress == 1 and 0 < run.step_number < 10 ** 9


def test_a_finished_run_that_is_resumed_takes_no_step(tmp_path):
    Run(arguments(tmp_path, 3), Line()).train()
    run = Run(arguments(tmp_path, 3, resume=True), Line())
    run.train()
    assert run.step_number == 3 and len(read_log(tmp_path / 'log.csv')) == 1


def test_other_data_are_refused(tmp_path):
    Run(arguments(tmp_path, 1), Line()).train()
    with pytest.raises(DataError, match="data is 'points', this run has 'others'"):
        Run(arguments(tmp_path, 2, resume=True), Line(data='others'))


@pytest.mark.parametrize('steps, minutes', [(0, math.inf), (-1, math.inf), (0, 0.), (5, 0.),
                                            (5, -1.)])
def test_a_run_without_an_end_is_refused(steps, minutes):
    with pytest.raises(ParameterError, match='--minutes, --steps'):
        check_budget(Namespace(steps=steps, minutes=minutes))
