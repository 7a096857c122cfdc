# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import torch

from face_attributes_ros.faces import EXPRESSIONS
from face_attributes_ros.training.attributes.data.tables import Sample, one_hot, table_of
from face_attributes_ros.training.attributes.peers import FACEAPI_ORDER
from face_attributes_ros.training.attributes.teachers import (
    LABEL_SHARES,
    balanced_fit,
    faceapi_expressions,
    taught_expressions,
    with_teacher,
)


def darkness(_, pixels):
    """Probabilities that lean to the last expression, more so where the left is lighter."""
    light = pixels[:, :, :, :56].mean((1, 2, 3))[:, None]
    return torch.softmax(light * torch.arange(7.0), 1)


ADAPTERS = SimpleNamespace(FA=lambda name: name, expr_net=darkness)


def table_of_four():
    happy = one_hot('happy')
    return table_of([Sample('a', 'ferplus', expression=happy), Sample('b', 'utkface'),
                     Sample('c', 'effectnet', expression=happy),
                     Sample('d', 'background', face=0.0)])


def test_answers_are_in_our_order_and_the_same_for_a_mirrored_crop():
    crops = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    crops[0, :, :48] = 255
    found = faceapi_expressions(ADAPTERS, crops)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-3)
    mirrored = faceapi_expressions(ADAPTERS, crops[:, :, ::-1])
    np.testing.assert_allclose(found, mirrored, atol=0.02)
    assert EXPRESSIONS[found[0].argmax()] == FACEAPI_ORDER[-1]


def test_each_head_gets_its_target():
    teacher = np.full((4, 7), 1 / 7, np.float32)
    labels = with_teacher(table_of_four(), teacher).labels
    happy, share = EXPRESSIONS.index('happy'), LABEL_SHARES['ferplus']
    np.testing.assert_allclose(labels['expression'][0, happy], share + (1 - share) / 7, rtol=1e-5)
    np.testing.assert_allclose(labels['expression'][1], 1 / 7, rtol=1e-5)
    known = ~np.isnan(labels['expression_votes'][:, 0])
    assert known.tolist() == [True, False, False, False]
    assert all(np.isnan(labels[name][3]).all() for name in ('expression', 'expression_taught'))
    assert labels['expression_taught'][2, happy] > labels['expression_taught'][0, happy]


def test_answers_are_made_once(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr('face_attributes_ros.training.attributes.teachers.load_adapters',
                        lambda folder: calls.append(folder) or ADAPTERS)
    crops = np.zeros((4, 16, 16, 3), np.uint8)
    first = taught_expressions(tmp_path, table_of_four(), crops, tmp_path)
    np.testing.assert_array_equal(
        taught_expressions(tmp_path, table_of_four(), crops, tmp_path), first)
    assert len(calls) == 1


def test_the_fit_undoes_a_teachers_lean_to_one_class():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, 4000)
    logits = rng.normal(0, 1, (4000, 7)) + 2 * np.eye(7)[truth]
    logits[:, 0] += 2  # says the first one too often
    probs = np.exp(2 * logits) / np.exp(2 * logits).sum(1, keepdims=True)  # and is too sure
    scale, bias = balanced_fit(probs.astype(np.float32), np.eye(7, dtype=np.float32)[truth])
    assert 0.6 < scale < 1.2 and bias[0] - bias[1:].mean() < -2
