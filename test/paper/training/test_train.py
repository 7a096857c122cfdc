# SPDX-License-Identifier: Apache-2.0
import argparse
import csv
import json
import math

import numpy as np
import pytest
import yaml
from places import RECIPES

torch = pytest.importorskip('torch', reason='torch is needed for training only')
pytest.importorskip('matplotlib')
pytest.importorskip('safetensors')

from paper_fixtures import TINY, write_pack, write_regions

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import DataError, ModelError, ParameterError
from face_attributes_ros.networks.mobilenet import mobile_body
from face_attributes_ros.paper.all_in_one import AllInOneConfig, AllInOneNet
from face_attributes_ros.paper.models import open_paper_model
from face_attributes_ros.paper.training import evaluate_trained, imitation
from face_attributes_ros.paper.training import train as train_paper
from face_attributes_ros.paper.training.all_in_one import (
    WHOLE_TRUNK,
    figures,
    middle_labels,
    with_points,
)
from face_attributes_ros.paper.training.recipe import (
    PaperConfig,
    Recipe,
    held_out,
    random_crop,
    split,
)
from face_attributes_ros.paper.training.regions import read_regions
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.paper.training.sources import read_source
from face_attributes_ros.paper.training.vgg_age import accuracy, group_of_range, years_in_group
from face_attributes_ros.paper.vgg_age import VggAgeConfig, VggConvolutions
from face_attributes_ros.training.attributes.data.tables import Sample, table_of
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.results import read_results
from face_attributes_ros.training.common.run import Run

CONFIGS = RECIPES
RECIPE = {'batch': 8, 'validate_every': 2, 'rescale_px': 240, 'patience': 0}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('paper_data')
    write_regions(folder / 'regions')
    return write_pack(folder)


def arguments(data, out, config, *more):
    parser = argparse.ArgumentParser()
    train_paper.add_arguments(parser)
    path = out.parent / 'config.yaml'
    path.write_text(yaml.safe_dump(config))
    return parser.parse_args([
        '--config',
        str(path), '--data',
        str(data), '--regions',
        str(data / 'regions'), '--cache',
        str(data / 'cache'), '--out',
        str(out), *more
    ])


def write_faceres(path, width=1 / 32):
    """Random weights of FaceRes's shape, narrower."""
    body = mobile_body(width)
    tensors = {f'trunk.{i}.{part}': getattr(layer.conv, part).detach().clone()
               for i, layer in enumerate(body) for part in ('weight', 'bias')}
    save_tensors(path, tensors, {})
    return path


ALL_IN_ONE = {'system': 'all_in_one', 'network': {'width': TINY, 'dropout': .6}, 'recipe': RECIPE,
              'age': {'switch': 2}, 'shares': {'utkface': .5, 'ytf68': .3, 'region': .2}}
VGG_AGE = {
    'system': 'vgg_age', 'network': {'width': TINY}, 'recipe': RECIPE, 'views': 2,
    'sources': ['utkface']
}


STAND_IN = {**VGG_AGE, 'network': {'width': TINY, 'kind': 'faceres', 'trunk': 'faceres'},
            'recipe': {**RECIPE, 'precision': 'auto', 'stored_px': 48}}
IMITATION = {
    'system': 'imitation', 'network': {'width': TINY}, 'sources': ['utkface', 'ytf68'],
    'recipe': {**RECIPE, 'batch': 4, 'learning_rate': .001, 'ema_decay': .9, 'stored_px': 48},
    'validate_most': 3
}


@pytest.fixture
def numbers(monkeypatch):
    """What FaceRes would say: brightness, 1024 times."""
    def said(path, crops):
        return np.repeat(crops.mean((1, 2, 3), np.float32)[:, None], 1024, 1).astype(np.float16)

    monkeypatch.setattr(imitation, 'features', said)


def log_of(out):
    with open(out / 'log.csv', newline='') as file:
        return [{name: value
                 for name, value in row.items()
                 if name not in ('elapsed_s', 'progress')}      # of the clock, of the budget
                for row in csv.DictReader(file)]


@pytest.mark.parametrize('config, more', [(ALL_IN_ONE, []), (VGG_AGE, ['--random-convolutions'])],
                         ids=['aio', 'vgg'])
def test_a_resumed_run_is_the_uninterrupted_one(config, more, data, tmp_path):
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    assert train_paper.run(arguments(data, whole, config, '--steps', '4', *more)) == 0
    train_paper.run(arguments(data, parts, config, '--steps', '2', *more))
    train_paper.run(arguments(data, parts, config, '--steps', '4', '--resume', *more))
    assert log_of(parts) == log_of(whole)
    name = f'{config["system"]}.safetensors'
    (one, about), (other, _) = load_tensors(whole / name), load_tensors(parts / name)
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert about['step'] == 4 and about['data']['held_out'] > 0
    assert (whole / 'curve.png').stat().st_size > 5000
    assert json.loads((whole / 'result.json').read_text())['figures']['loss'] > 0


def test_all_in_one_starts_from_a_users_trunk(data, tmp_path):
    network = AllInOneNet(AllInOneConfig(TINY))
    tensors = {
        name.replace('.0.', '.'): torch.rand_like(value)
        for name, value in network.state_dict().items()
        if '.0.' in name
    }
    save_tensors(tmp_path / 'trunk.safetensors', tensors, {})
    args = arguments(data, tmp_path / 'run', ALL_IN_ONE, '--weights',
                     str(tmp_path / 'trunk.safetensors'))
    task = train_paper.open_task(read_config(args.config, PaperConfig), args)
    assert torch.equal(task.network.conv6[0].weight, tensors['conv6.weight'])
    assert task.metadata()['started_from'] == file_sha256(tmp_path / 'trunk.safetensors')
    save_tensors(tmp_path / 'trunk.safetensors',
                 {k: v for k, v in tensors.items() if k != 'conv3.bias'}, {})
    with pytest.raises(ModelError, match='conv3.bias is missing'):
        train_paper.open_task(read_config(args.config, PaperConfig), args)


def test_a_trained_all_in_one_runs_live(data, tmp_path):
    train_paper.run(
        arguments(data, tmp_path / 'run', ALL_IN_ONE, '--steps', '1', '--results',
                  str(tmp_path / 'r.json')))
    assert open_paper_model('all_in_one', 'cpu', folder=tmp_path / 'run').crop_scale == 1.3
    assert read_results(tmp_path / 'r.json')['train config']['figures']['age_mae'] > 0


def test_an_imitation_resumed_is_the_uninterrupted_one_and_starts_the_tasks(data, tmp_path,
                                                                            numbers):
    weights = ['--weights', str(write_faceres(tmp_path / 'faceres.safetensors'))]
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    train_paper.run(arguments(data, whole, IMITATION, '--steps', '4', *weights))
    train_paper.run(arguments(data, parts, IMITATION, '--steps', '4', *weights))
    tensors, about = load_tensors(whole / 'imitation.safetensors')
    assert all(torch.equal(value, load_tensors(parts / 'imitation.safetensors')[0][name])
               for name, value in tensors.items())
    assert about['data']['held_out'] <= 3 and 0 < about['figures']['loss'] < 10
    assert tensors.keys() == WHOLE_TRUNK.keys()
    train_paper.run(arguments(data, whole, IMITATION, '--steps', '5', '--resume', *weights))
    assert load_tensors(whole / 'imitation.safetensors')[1]['step'] == 5
    args = arguments(data, tmp_path / 'tasks', ALL_IN_ONE, '--weights',
                     str(parts / 'imitation.safetensors'))
    started = train_paper.open_task(read_config(args.config, PaperConfig), args).network
    assert torch.equal(started.conv_all[1].weight, tensors['conv_all.slope'])
    assert torch.equal(started.conv6[0].weight, tensors['conv6.weight'])


def test_imitation_learns_what_it_is_told(data, tmp_path, numbers):
    config = {**IMITATION, 'recipe': {**IMITATION['recipe'], 'batch': 16, 'learning_rate': .003,
                                      'ema_decay': 0., 'validation_share': .2},
              'validate_most': 0}
    train_paper.run(arguments(data, tmp_path / 'run', config, '--steps', '60', '--weights',
                              str(write_faceres(tmp_path / 'faceres.safetensors')),
                              '--validate-every', '30'))
    losses = [float(row['train_loss']) for row in log_of(tmp_path / 'run')]
    assert losses[-1] < .9 * losses[0]


def test_imitation_needs_somebody_to_imitate(data, tmp_path):
    with pytest.raises(ModelError, match='--weights faceres.safetensors'):
        train_paper.run(arguments(data, tmp_path / 'run', IMITATION, '--steps', '1'))


def test_a_larger_pack_takes_the_place_of_the_smaller(data, tmp_path):
    full = tmp_path / 'full'
    full.mkdir()
    (full / 'utkface_full.csv').write_text('path,age_min,age_max,gender,votes\n'
                                           'utkface_full/0.jpg,5,5,0,\n')
    for name in ('posed_more', 'lfw_more'):
        (full / f'{name}.csv').write_text('path,gender,expression,group\n'
                                          f'{name}/1.jpg,1,happy,p\n')
    args = argparse.Namespace(data=data, full=full, regions=None)
    assert [sample.image[-19:] for sample in read_source(args, 'utkface')] == [
        '/utkface_full.zip!0.jpg'[-19:]]
    assert len(read_source(args, 'posed')) == 1 and read_source(args, 'region') == []
    assert len(read_source(args, 'ytf68')) == 12
    args.full = None
    assert len(read_source(args, 'utkface')) == 12
    with pytest.raises(ParameterError, match='source lfw needs --full'):
        read_source(args, 'lfw')


def test_a_stand_in_takes_the_place_of_vggs_convolutions(data, tmp_path):
    weights = write_faceres(tmp_path / 'faceres.safetensors', TINY)
    train_paper.run(arguments(data, tmp_path / 'run', STAND_IN, '--steps', '2', '--weights',
                              str(weights)))
    path = tmp_path / 'run' / 'vgg_age.safetensors'
    found, about = load_tensors(path)
    given, _ = load_tensors(weights)
    assert torch.equal(found['convolutions.trunk.body.26.conv.weight'], given['trunk.26.weight'])
    assert found['heads.0.weight'].shape[1] == 32 and about['convolutions'] == file_sha256(weights)
    for words in (['--weights', str(path)], []):
        parser = argparse.ArgumentParser()
        evaluate_trained.add_arguments(parser)
        assert evaluate_trained.run(parser.parse_args([
            '--data', str(data), '--split', 'val', '--results', str(tmp_path / 'r.json'), *words
        ])) == 0
    results = read_results(tmp_path / 'r.json')
    for entry in results.values():
        assert np.sum(entry['confusion']) == entry['faces'] > 5
        assert entry['exact'] <= entry['one_off'] <= 1
    assert results.keys() == {'val vgg_age faceres', 'val attributes_m'}


def test_a_trained_all_in_one_is_asked_about_every_source(data, tmp_path):
    train_paper.run(arguments(data, tmp_path / 'run', ALL_IN_ONE, '--steps', '1'))
    parser = argparse.ArgumentParser()
    evaluate_trained.add_arguments(parser)
    words = ['--data', str(data), '--weights', str(tmp_path / 'run' / 'all_in_one.safetensors'),
             '--results', str(tmp_path / 'r.json')]
    assert evaluate_trained.run(parser.parse_args(words)) == 0
    entry = read_results(tmp_path / 'r.json')[f'val all_in_one {TINY}']
    assert entry['utkface']['age_mae'] > 0 and entry['ytf68']['landmarks_nme'] > 0
    last = tmp_path / 'run' / 'last.safetensors'
    tensors, about = load_tensors(last)
    save_tensors(last, tensors, {**about, 'system': 'imitation'})
    with pytest.raises(ModelError, match='needs vgg_age or all_in_one'):
        evaluate_trained.run(parser.parse_args([*words[:3], str(last), *words[4:]]))


def test_the_plateau_divides_the_rate_by_ten(data, tmp_path):
    work_args = arguments(data, tmp_path / 'run', ALL_IN_ONE, '--steps', '1')
    config = read_config(work_args.config, PaperConfig)
    run = Run(work_args, train_paper.open_task(config, work_args))
    rates = []
    for loss in (1., 2., 2.):  # patience 0: each validation without a gain counts
        run.task.validate = lambda network, step, loss=loss: {'loss': loss}
        run.look()
        rates.append(run.task.optimizer.param_groups[0]['lr'])
    assert rates == pytest.approx([.01, .001, .0001])


def test_resume_refuses_another_network(data, tmp_path):
    train_paper.run(arguments(data, tmp_path / 'run', ALL_IN_ONE, '--steps', '1'))
    other = {**ALL_IN_ONE, 'network': {'width': TINY, 'dropout': .1}}
    with pytest.raises(DataError, match='network is'):
        train_paper.run(arguments(data, tmp_path / 'run', other, '--steps', '2', '--resume'))


def test_vgg_without_weights_says_so(data, tmp_path):
    with pytest.raises(ModelError, match='--weights FILE.safetensors.*figures mean nothing'):
        train_paper.run(arguments(data, tmp_path / 'run', VGG_AGE, '--steps', '1'))


def test_vgg_with_a_users_weights_runs_live(data, tmp_path):
    convolutions = VggConvolutions(VggAgeConfig(TINY))
    tensors = {
        name.replace('.0.', '.'): value for name, value in convolutions.state_dict().items()
    }
    save_tensors(tmp_path / 'vgg_face.safetensors', tensors, {})
    weights = str(tmp_path / 'vgg_face.safetensors')
    train_paper.run(
        arguments(data, tmp_path / 'run', VGG_AGE, '--steps', '1', '--weights', weights))
    found, about = load_tensors(tmp_path / 'run' / 'vgg_age.safetensors')
    assert torch.equal(found['convolutions.conv5_3.0.weight'], tensors['conv5_3.weight'])  # frozen
    assert about['convolutions'] != 'random'


def test_the_command_line_overrides_the_configuration(data, tmp_path):
    words = '--steps 3 --most-per-source 4 --validate-every 1'.split()
    train_paper.run(arguments(data, tmp_path / 'run', ALL_IN_ONE, *words))
    assert [row['step'] for row in log_of(tmp_path / 'run')] == ['1', '2', '3']
    about = load_tensors(tmp_path / 'run' / 'last.safetensors')[1]
    assert about['data']['faces'] + about['data']['held_out'] == 12 and about['config'][
        'most_per_source'] == 4


def test_a_budget_is_needed(data, tmp_path):
    with pytest.raises(ParameterError, match='--minutes, --steps'):
        train_paper.run(arguments(data, tmp_path / 'run', ALL_IN_ONE))


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('paper_*.yaml')), ids=lambda path: path.stem)
def test_shipped_configurations_are_the_papers_recipe(path):
    config = read_config(path, PaperConfig)
    recipe = config.recipe
    assert (recipe.momentum, recipe.weight_decay, recipe.validation_share) == (.9, 1e-3, .2)
    assert (recipe.rescale_px, recipe.crop_px, config.network['dropout']) == (256, 224, .6)
    assert recipe.batch == (64 if 'quarter' in path.stem else 256)


def test_the_imitation_that_ships_is_for_the_network_that_it_starts():
    before, after = (read_config(CONFIGS / f'{name}.yaml', PaperConfig)
                     for name in ('all_in_one_imitation', 'paper_all_in_one_taught'))
    assert before.network == after.network and before.recipe.ema_decay and after.recipe.ema_decay
    assert before.recipe.cached_px == after.recipe.cached_px == 112
    assert Recipe().cached_px == Recipe().rescale_px


@pytest.mark.parametrize(
    'text',
    ['system: other\nnetwork: {}\nrecipe: {}', 'system: vgg_age', 'recipe: {speed: 3}', '- 1'])
def test_a_wrong_configuration_is_refused(text, tmp_path):
    (tmp_path / 'c.yaml').write_text(text)
    with pytest.raises(ParameterError, match='c.yaml'):
        read_config(tmp_path / 'c.yaml', PaperConfig)


def test_near_duplicates_stay_on_one_side():
    samples = [Sample(f'{i}.jpg', 'utkface', group=f'g{i // 3}') for i in range(3000)]
    train, held = split(samples, .2)
    assert len(train) + len(held) == 3000 and not set(train.groups) & set(held.groups)
    assert .15 < len(held) / 3000 < .25
    assert not held_out(samples[0], 0.) and held_out(samples[0], 1.)


def test_random_crops_lie_inside_the_picture():
    recipe = Recipe(rescale_px=256, crop_px=224)
    motion = random_crop(torch.Generator().manual_seed(0), 500, recipe, mirror=False)
    corner = (-1 - motion.shift) / motion.scale[:,
                                                None]  # of the crop, in half-sides of the picture
    assert corner.min() >= -1 - 1e-6 and (corner + 2 * 224 / 256).max() <= 1 + 1e-6
    assert corner.std() > .05


def test_middle_crop_moves_landmarks():
    points = torch.tensor([[[.5, .5], [16 / 256, 240 / 256]]])
    moved = middle_labels({'landmarks': points}, Recipe())['landmarks'][0]
    assert moved.tolist() == [pytest.approx([.5, .5]), pytest.approx([0, 1], abs=1e-6)]


def test_points_without_a_label_have_no_visibility():
    table = table_of([Sample('a', 'x', landmarks=np.full((68, 2), .75)), Sample('b', 'x')])
    labels = with_points({name: torch.from_numpy(column) for name, column in table.labels.items()})
    assert labels['points'][0, 20].tolist() == [.25, .25]
    assert labels['visibility'][0].isnan().nonzero()[:, 0].tolist() == [12, 16]  # ears
    assert labels['visibility'].nansum(1).tolist() == [19, 0]


def test_regions_are_labelled_by_overlap(tmp_path):
    samples = read_regions(write_regions(tmp_path / 'set', 30), per_picture=4, crop_scale=1.)
    for sample in samples:
        x0, y0, x1, y1 = sample.box_fraction
        inside = max(0, min(x1, .7) - max(x0, .3)) * max(0, min(y1, .7) - max(y0, .3))
        iou = inside / ((x1 - x0) * (y1 - y0) + .16 - inside)
        # cut at the picture's edge, so a little to either side
        assert iou >= .45 if sample.face else iou < .4
    assert {sample.face for sample in samples} == {0., 1.}


@pytest.mark.parametrize('low, high, group', [(None, None, None), (0, 2, 0), (3, 3, None),
                                              (3, 9, None), (8, 13, 2), (25, 25, 4),
                                              (20, 29, None), (60, 60, 7), (70, 110, 7),
                                              (116, 116, 7)])
def test_ages_fall_into_one_group_or_none(low, high, group):
    assert group_of_range(low, high) == group


def test_years_within_a_group_follow_the_labels():
    table = table_of([Sample('a', 'x', 25, 25)] * 7 + [Sample('b', 'x', 110, 110)])
    rows = years_in_group(table)
    assert rows[4, 25] == 8 / 15 and rows[4, 26] == 1 / 15 and rows[7, 100] == 2 / 42
    assert rows.sum(1).tolist() == pytest.approx([1] * 8)


def test_one_off_counts_the_neighbours():
    assert accuracy(np.array([0, 1, 2, 7]), np.array([0, 2, 0,
                                                      6])) == {'exact': .25, 'one_off': .75}


def test_figures_leave_out_what_has_no_label():
    table = table_of([
        Sample('a', 'x', 30, 30, 1.),
        Sample('b', 'x', 20, 29, 0.),
        Sample('c', 'x', pose=(.1, 0., -.1))
    ])
    labels = {
        name: column.numpy() for name, column in with_points(
            {name: torch.from_numpy(column) for name, column in table.labels.items()}).items()
    }
    raw = {
        'age': np.full((3, 1), 33.), 'gender': np.array([[0, 1], [0, 1], [1, 0]]),
        'smile': np.zeros((3, 2)), 'face': np.array([[0, 1]] * 3), 'pose': np.zeros(
            (3, 3)), 'landmarks': np.zeros((3, 42))
    }
    assert figures(raw, labels) == pytest.approx(
        {'age_mae': 3, 'gender': .5, 'face': 1, 'pose_deg': math.degrees(.2 / 3)})


def test_results_are_replaced_one_entry_at_a_time(tmp_path):
    path = tmp_path / 'bench' / 'paper.json'
    record(path, 'b', {'x': 1})
    record(path, 'a', {'x': 2})
    record(path, 'b', {'x': 3})
    assert {name: entry['x']
            for name, entry in read_results(path).items()} == {'a': 2, 'b': 3}
    path.write_text('{')
    with pytest.raises(DataError, match='not JSON'):
        read_results(path)
