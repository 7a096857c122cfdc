# SPDX-License-Identifier: Apache-2.0
import argparse
import csv
import itertools
import json
import math
import zipfile

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is needed for the paper\'s networks only')
pytest.importorskip('sklearn')
pytest.importorskip('matplotlib')

from paper_fixtures import TINY_COMPACT, jpeg, write_jaffe

from face_attributes_ros.errors import DataError, ModelError
from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.networks.compact import CompactNet
from face_attributes_ros.paper.models import _open_pool5_svm, read_weights
from face_attributes_ros.paper.pool5 import Features, Pool5Contract
from face_attributes_ros.paper.training import (
    evaluate_pool5,
    pool5_svm,
    pool5_transfer,
    report_grid,
)
from face_attributes_ros.paper.training.jaffe import (
    face_crops,
    grey_pictures,
    labels,
    read_portraits,
)
from face_attributes_ros.training.common.checkpoint import save_tensors
from face_attributes_ros.training.common.results import read_results

PERSONS = np.repeat([f'P{i}' for i in range(5)], 14)
TRUTH = np.tile(np.repeat(np.arange(7), 2), 5)
RANDOM = np.random.default_rng(0)
CLEAR = np.eye(7)[TRUTH] @ RANDOM.normal(size=(7, 40)) + RANDOM.normal(size=(70, 40)) * .3


@pytest.mark.parametrize('protocol, count', [('ten_fold', 10), ('leave_one_out', 70),
                                             ('leave_one_subject_out', 5)])
def test_every_face_is_judged_once_by_a_machine_that_did_not_see_it(protocol, count):
    folds = pool5_svm.folds(protocol, TRUTH, PERSONS)
    assert len(folds) == count
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(70))
    assert all(not set(train) & set(test) for train, test in folds)


def test_leave_one_subject_out_has_nobody_on_both_sides():
    for train, test in pool5_svm.folds('leave_one_subject_out', TRUTH, PERSONS):
        assert len(set(PERSONS[test])) == 1 and not set(PERSONS[test]) & set(PERSONS[train])


@pytest.mark.parametrize('kernel', pool5_svm.KERNELS)
def test_scaling_sees_training_faces_only(kernel):
    train = np.arange(50)
    changed = CLEAR.copy()
    changed[50:] *= 1000
    before, after = (pool5_svm.kernel_matrix(x, train, kernel)[:50, :50] for x in (CLEAR, changed))
    assert np.array_equal(before, after)


@pytest.mark.parametrize('protocol', ['ten_fold', 'leave_one_subject_out'])
@pytest.mark.parametrize('kernel', pool5_svm.KERNELS)
def test_what_can_be_told_apart_is(protocol, kernel):
    scores = pool5_svm.held_out_scores(CLEAR, TRUTH, PERSONS, protocol, kernel)
    assert pool5_svm.summary(scores, TRUTH)['accuracy'] > .95


def test_image_folds_reward_knowing_the_person_and_subject_folds_do_not():
    # Each person shows each expression in a way of her own: nothing carries over to somebody new.
    own = RANDOM.normal(size=(35,
                              40))[(PERSONS == np.unique(PERSONS)[:, None]).argmax(0) * 7 + TRUTH]
    features = own + RANDOM.normal(size=own.shape) * .05
    found = {
        p: pool5_svm.summary(pool5_svm.held_out_scores(features, TRUTH, PERSONS, p),
                             TRUTH)['accuracy'] for p in ('ten_fold', 'leave_one_subject_out')
    }
    assert found['ten_fold'] > .9 and found['leave_one_subject_out'] < .4


def test_the_head_is_scikit_learns_machine():
    head = pool5_svm.fit_head(CLEAR, TRUTH, PERSONS)
    scale = head.scale.double().numpy()
    z = (CLEAR - head.mean.double().numpy()) / scale
    c = pool5_svm.choose_c(pool5_svm.kernel_matrix(CLEAR, np.arange(70), 'linear'), TRUTH, PERSONS,
                           True)
    fitted = pool5_svm.machine(c, 'linear').fit(z, TRUTH)
    expected = fitted.decision_function(z)
    features = torch.from_numpy(CLEAR).float()
    assert np.abs(head.scores(features).numpy() - expected).max() < 1e-3
    probs = head(features)
    assert probs.sum(1).numpy() == pytest.approx(np.ones(70), abs=1e-5)
    assert (probs.argmax(1).numpy() == TRUTH).mean() > .95


def test_temperature_makes_probabilities_as_sure_as_they_are_right():
    scores = np.eye(7)[TRUTH] * 6.
    wrong = RANDOM.permutation(70)[:14]
    scores[wrong] = np.eye(7)[(TRUTH[wrong] + 1) % 7] * 6
    probs = pool5_svm.probabilities(scores, pool5_svm.temperature(scores, TRUTH))
    assert probs.sum(1) == pytest.approx(np.ones(70))
    assert probs.max(1).mean() == pytest.approx(.8, abs=.02)


def test_summary_by_hand():
    scores = np.eye(7)[[0, 0, 1, 1]]
    scores[1] = [9, 1, 2, 3, 4, 5, 6]  # the true class, 1, comes last
    found = pool5_svm.summary(scores, np.array([0, 1, 1, 1]))
    assert (found['accuracy'], found['balanced']) == (.75, pytest.approx(5 / 6, abs=1e-4))
    assert found['confusion'][1][:2] == [1, 2] and found['top5'] == .75
    assert pool5_svm.wilson(8, 10) == pytest.approx((.4902, .9433), abs=1e-4)


def test_jaffe_is_read_by_its_names(tmp_path):
    archive = write_jaffe(tmp_path / 'jaffe.zip', ('KA', 'KL'), each=1)
    portraits = read_portraits(archive)
    assert len(portraits) == 14
    truth, persons = labels(portraits)
    assert sorted(set(truth)) == list(range(7)) and set(persons) == {'KA', 'KL'}
    folder = tmp_path / 'files'
    folder.mkdir()
    cv2.imwrite(str(folder / 'KA.SU2.37.tiff'), np.zeros((8, 8, 3), np.uint8))
    (folder / 'README').touch()
    assert [portrait[1:] for portrait in read_portraits(folder)] == [('KA', 'surprise')]
    with pytest.raises(DataError, match='KA.AN1.39'):
        read_portraits(tmp_path / 'nothing')


def test_crops_are_grey_and_missed_faces_are_counted(tmp_path):
    portraits = read_portraits(write_jaffe(tmp_path / 'jaffe.zip', ('KA',), each=1))
    pictures = list(grey_pictures(portraits))
    assert all((picture[..., 0] == picture[..., 2]).all() for picture in pictures)
    crops, missed = face_crops(pictures, lambda picture: [], 32, 1.3)
    assert crops.shape == (7, 32, 32, 3) and missed == 7
    assert abs(float(crops[0].mean()) - float(pictures[0].mean())) < 3  # the whole picture
    same, missed = face_crops(pictures, None, 32, 1.3)
    assert np.array_equal(same, crops) and missed == 0


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`run(module, *words)` on a drawn JAFFE with a tiny compact trunk; the detector finds the
    middle of each picture."""
    write_jaffe(tmp_path / 'jaffe.zip')
    torch.manual_seed(0)
    network = CompactNet(TINY_COMPACT).eval()
    save_tensors(tmp_path / 'trunk.safetensors', network.state_dict(),
                 {'network': TINY_COMPACT.to_dict()})

    class Found:
        box_xyxy = (6., 6., 58., 58.)

    monkeypatch.setattr(evaluate_pool5, 'open_detector', lambda args: lambda picture: [Found])
    monkeypatch.setattr(report_grid, 'open_detector', lambda args: lambda picture: [Found])

    def run(module, *words):
        parser = argparse.ArgumentParser()
        module.add_arguments(parser)
        data = [
            '--data',
            str(tmp_path / 'jaffe.zip'), '--weights',
            str(tmp_path / 'trunk.safetensors')
        ]
        return module.run(parser.parse_args([*data, *words]))

    return run


def test_the_command_measures_and_saves_a_machine_that_runs(command, tmp_path, capsys):
    saved, results = tmp_path / 'pool5_svm.safetensors', tmp_path / 'paper.json'
    code = command(evaluate_pool5, '--protocol', 'ten_fold', 'leave_one_subject_out', '--kernel',
                   'linear', '--save', str(saved), '--results', str(results), '--plot',
                   str(tmp_path / 'confusion.png'))
    assert code == 0
    assert 'ten_fold' in capsys.readouterr().out
    entry = read_results(results)['pool5 compact']
    assert entry['pictures'] == 84 and entry['persons'] == 4 and entry['faces_not_found'] == 0
    assert entry['leave_one_subject_out linear']['accuracy'] > .8  # drawn circles of seven sizes
    assert (tmp_path / 'confusion.png').stat().st_size > 5000
    contract, about = _open_pool5_svm(saved, *read_weights(saved))
    assert isinstance(contract, Pool5Contract) and isinstance(
        contract.features, Features) and about['trunk'] == 'compact'
    probs = contract(torch.zeros(2, 96, 96, 3, dtype=torch.uint8))['expression']
    assert probs.shape == (2, len(EXPRESSIONS)) and math.isclose(probs[0].sum().item(), 1,
                                                                 abs_tol=1e-5)
    assert json.dumps(entry)


def test_pixels_need_no_network(command, tmp_path):
    command(evaluate_pool5, '--trunk', 'pixels', '--protocol', 'ten_fold', '--kernel', 'linear',
            '--results', str(tmp_path / 'paper.json'))
    entry = read_results(tmp_path / 'paper.json')['pool5 pixels']
    assert entry['features'] == 64 * 64 and entry['weights'] is None
    # Backgrounds tell the women apart, and each expression is drawn three times alike.
    assert entry['nearest']['same_person_and_expression'] > .8


def test_a_machine_taught_elsewhere_is_judged_here(command, tmp_path):
    write_expressions(tmp_path / 'pack')
    words = ['--protocol', 'ten_fold', '--kernel', 'linear', '--teach', str(tmp_path / 'pack'),
             '--teach-most', '9', '--results', str(tmp_path / 'paper.json')]
    assert command(evaluate_pool5, '--trunk', 'pixels', *words) == 0
    row = read_results(tmp_path / 'paper.json')['pool5 pixels']['ferplus linear']
    assert row['taught'] == 7 * 6 and row['val']['faces'] == 7 * 3 and row['jaffe']['faces'] == 84
    assert row['val']['accuracy'] > .9 and row['jaffe']['accuracy'] > .5      # the same circles


def write_expressions(folder):
    """A pack `ferplus` of drawn circles, one size an expression, six of each to learn from."""
    folder.mkdir()
    columns = ('path', 'gender', 'expression', 'source', 'split', 'age_min', 'age_max', 'smile',
               'yaw', 'pitch', 'roll', 'group')
    rows = []
    with zipfile.ZipFile(folder / 'ferplus.zip', 'w') as archive:
        for number, (e, n) in enumerate(itertools.product(range(len(EXPRESSIONS)), range(12))):
            image = np.full((64, 64, 3), 40 + 4 * n, np.uint8)
            cv2.circle(image, (32, 32), 6 + 3 * e, (220, 220, 220), -1)
            archive.writestr(f'{number}.jpg', jpeg(image))
            rows.append({'path': f'ferplus/{number}.jpg', 'source': 'ferplus',
                         'split': 'val' if n % 2 else 'train', 'expression': EXPRESSIONS[e],
                         'group': f'g{number}'})
    with open(folder / 'labels.csv', 'w', newline='') as file:
        writer = csv.DictWriter(file, columns, restval='')
        writer.writeheader()
        writer.writerows(rows)


def test_a_pack_without_an_expression_is_refused(tmp_path):
    write_expressions(tmp_path / 'pack')
    with pytest.raises(DataError, match='no test face of ferplus that shows neutral'):
        pool5_transfer.read_faces(tmp_path / 'pack', 'ferplus', 'test', 5)


@pytest.mark.parametrize('kernel', pool5_svm.KERNELS)
def test_a_transferred_machine_never_sees_what_it_judges(kernel):
    taught, groups = CLEAR[:56].astype(np.float32), PERSONS[:56]
    tests = [CLEAR[56:].astype(np.float32)] * 2
    tests[1] = tests[1] * 1000      # does not move how the first is scaled
    c, (scores, _) = pool5_transfer.transferred((taught, TRUTH[:56]), groups, tests, kernel)
    assert c in pool5_svm.C_GRID
    assert (scores.argmax(1) == TRUTH[56:]).mean() > .9


def test_neighbours_by_hand():
    features = np.array([[0.], [.1], [5.], [5.1]])
    found = pool5_transfer.neighbours(features, np.array([0, 1, 0, 0]),
                                      np.array(['a', 'a', 'b', 'c']))
    assert found == {'same_person': .5, 'same_expression': .5, 'same_person_and_expression': 0.}


def test_the_grid_shows_each_person_and_expression(command, tmp_path, capsys):
    assert command(report_grid, '--out', str(tmp_path / 'grid.png')) == 0
    assert '28 of 84 pictures shown' in capsys.readouterr().out
    image = cv2.imread(str(tmp_path / 'grid.png'))
    assert image.shape[0] > 700 and image.shape[1] > 400
    green = (np.abs(image.astype(int) - (0x37, 0x7f, 0x1a)).sum(2) < 30).sum()
    assert green > 1000  # frames of right answers


def test_convolutions_without_weights_are_refused():
    for trunk in ('caffenet', 'alexnet', 'lite0', 'faceres'):
        with pytest.raises(ModelError, match=f'trunk {trunk} needs your weights'):
            evaluate_pool5.open_trunk(trunk)
