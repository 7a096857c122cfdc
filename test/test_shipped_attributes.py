# SPDX-License-Identifier: Apache-2.0
"""The shipped attribute weights still do what the model card says; needs the evaluation data."""

import json
import os
from pathlib import Path

import pytest
from places import ROOT

from face_attributes_ros.engines.choose import open_network
from face_attributes_ros.engines.models import find_model
from face_attributes_ros.training.attributes.card import BLOCKS, filled
from face_attributes_ros.training.attributes.data.cache import read_picture
from face_attributes_ros.training.attributes.data.packs import read_pack
from face_attributes_ros.training.attributes.data.tables import table_of
from face_attributes_ros.training.attributes.predict import predict
from face_attributes_ros.training.attributes.report import headlines

REPOSITORY = ROOT
DATA = Path(os.environ.get('FACE_ATTRIBUTES_DATA', REPOSITORY.parent / 'shared' / 'data'))
RESULTS = REPOSITORY / 'bench' / 'results' / 'attributes.json'
EVERY = 4
MARGINS = {'age_mae_years': 0.5, 'gender_accuracy': 0.035, 'age_bin_accuracy': 0.06,
           'expression_accuracy': 0.04,
           'smile_accuracy': 0.04, 'pose_mae_deg': 0.5, 'landmark_nme': 0.01}
"""How far a figure on a quarter of the faces may lie from the one on all of them."""


@pytest.fixture(scope='module')
def results():
    return json.loads(RESULTS.read_text())


def test_the_results_are_those_of_the_shipped_file(results):
    model = find_model(results['model']['name'], 'attributes')
    assert results['model']['sha256'] == model.sha256 and results['split'] == 'test'
    for source, figures in results['figures'].items():
        for name in set(MARGINS) & set(figures):
            assert model.metrics[f'{source}_{name}'] == pytest.approx(figures[name], abs=1e-4)


def test_the_model_card_shows_the_results(results):
    card = (REPOSITORY / 'models' / 'README.md').read_text()
    assert filled(card, results) == card
    assert all(f'<!-- attributes: {name} -->' in card for name in BLOCKS)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / 'labels.csv').is_file(),
                    reason='the data is not here: set FACE_ATTRIBUTES_DATA')
def test_shipped_weights_reach_their_figures(results):
    model = find_model(results['model']['name'], 'attributes')
    network = open_network(model.path, backend='onnxruntime', device='cpu', threads=1)
    table = table_of(read_pack(DATA, ('test', 'crossval'))[::EVERY])
    outputs = predict(network, [read_picture(image) for image in table.images], model.input_px)
    found = headlines(outputs, table)
    checked = 0
    for source, figures in found.items():
        for name in set(MARGINS) & set(figures):
            margin = MARGINS[name] * (3 if source == 'jaffe' else 1)
            assert figures[name] == pytest.approx(results['figures'][source][name],
                                                  abs=margin), (source, name)
            checked += 1
    assert checked >= 10
