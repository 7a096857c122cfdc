# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import torch

from face_attributes_ros import heads as runtime
from face_attributes_ros.training.attributes import fit, heads, report
from face_attributes_ros.training.attributes.data.tables import Sample, table_of
from face_attributes_ros.training.attributes.heads import HEADS, METRICS, SETS, shown
from face_attributes_ros.training.attributes.losses import yes_no_gap
from face_attributes_ros.training.attributes.scores import yes_no_hits


def test_every_head_of_the_runtime_has_its_row():
    assert {head.name for head in HEADS} == set(runtime.HEADS)


def test_a_metric_is_shown_on_known_sets_and_logged_once():
    assert {source for metric in METRICS.values() for source in metric.sets} == set(SETS)
    columns = [metric.sets[source] for source, metric in shown() if metric.sets[source]]
    assert len(columns) == len(set(columns)) > 0
    assert all(metric.bar != 0 for metric in METRICS.values())


@pytest.mark.parametrize('name, value, text', [('gender_accuracy', .9171, '91.7 %'),
                                               ('age_mae_years', 5.749, '5.75 years'),
                                               ('landmark_nme', .0601, '6.0 %')])
def test_a_figure_is_shown_in_its_unit(name, value, text):
    assert METRICS[name].shown(value) == text


def test_another_head_is_one_row(monkeypatch):
    """A head "glasses" is trained, judged, calibrated and logged by its row alone."""
    smile = next(head for head in HEADS if head.name == 'smile')
    metric = replace(smile.metrics[0], name='glasses_accuracy', sets={'genki4k': 'glasses'},
                     values=yes_no_hits('glasses', 'smile'))
    glasses = replace(smile, name='glasses', loss=heads.yes_no('smile'), gap=yes_no_gap,
                      metrics=(metric,))
    for module in (heads, report, fit):
        monkeypatch.setattr(module, 'HEADS', (*HEADS, glasses))
    monkeypatch.setitem(METRICS, metric.name, metric)
    table = table_of([Sample(f'{n}', 'genki4k', smile=float(n % 2), pose=(0, 0, 0))
                      for n in range(8)])
    raw = {'glasses': torch.zeros(8, 1)}
    labels = {name: torch.from_numpy(column) for name, column in table.labels.items()}
    assert heads.head_losses(raw, labels, {})['glasses'] == pytest.approx(np.log(2))
    assert heads.distillation_loss(raw, raw) == pytest.approx(0, abs=1e-6)
    outputs = {'glasses': np.array([.2, .9] * 4)}
    assert report.report(outputs, table)['genki4k']['glasses_accuracy'] == 1
    assert report.quick_scores(outputs, table) == {'glasses': 1}
    assert set(report.calibration_report(outputs, table, {})) == {'glasses'}
    outputs['smile'] = outputs['glasses']
    assert {'glasses', 'smile'} == set(fit.calibrate(outputs, table.labels, table.sources)[1])
