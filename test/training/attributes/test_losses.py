# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from face_attributes_ros.networks.heads import predicted_landmarks
from face_attributes_ros.training.attributes.heads import distillation_loss, head_losses
from face_attributes_ros.training.attributes.losses import (
    age_loss,
    age_targets,
    class_weights,
)
from face_attributes_ros.training.attributes.taught import taught_losses

ALIKE = {'expression': torch.ones(7)}
SIZES = {
    'age': 101, 'gender': 1, 'expression': 7, 'smile': 1, 'pose': 6, 'landmarks': 136, 'face': 1,
    'quality': 1
}


def raw_outputs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(count, size, generator=generator) for name, size in SIZES.items()}


def labels_of(count):
    rng = np.random.default_rng(1)
    values = {
        'age_low': np.array([30, 20, 5, 70][:count]), 'age_high': np.array([30, 29, 5,
                                                                            110][:count]),
        'p_female': rng.integers(0, 2,
                                 count), 'smile': rng.integers(0, 2,
                                                               count), 'face': np.ones(count),
        'quality': rng.uniform(0, 1, count), 'expression': rng.dirichlet(np.ones(7), count),
        'pose': rng.uniform(-.5, .5, (count, 3)), 'landmarks': rng.uniform(0, 1, (count, 68, 2))
    }
    return {name: torch.tensor(value, dtype=torch.float32) for name, value in values.items()}


def with_unlabelled(labels, extra):
    return {name: torch.cat([value, torch.full((extra, *value.shape[1:]), torch.nan)])
            for name, value in labels.items()}


def test_a_face_without_labels_changes_nothing():
    raw, labels = raw_outputs(7), labels_of(4)
    alone = head_losses({name: value[:4] for name, value in raw.items()}, labels, ALIKE)
    mixed = head_losses(raw, with_unlabelled(labels, 3), ALIKE)
    for name, loss in alone.items():
        torch.testing.assert_close(mixed[name], loss, msg=name)


def test_a_batch_without_any_label_gives_zero_and_no_gradient():
    raw = {name: value.requires_grad_() for name, value in raw_outputs(2).items()}
    losses = head_losses(raw, with_unlabelled({n: v[:0] for n, v in labels_of(4).items()}, 2),
                         ALIKE)
    sum(losses.values()).backward()
    for name, value in raw.items():
        assert losses[name] == 0
        assert torch.isfinite(value.grad).all() and not value.grad.any(), name


@pytest.mark.parametrize('head', sorted(SIZES))
def test_gradients_agree_with_differences(head):
    raw, labels, step = raw_outputs(4), labels_of(4), 1e-2
    direction = torch.randn(raw[head].shape, generator=torch.Generator().manual_seed(3))
    direction /= direction.norm()
    variable = raw[head].clone().requires_grad_()
    head_losses(raw | {head: variable}, labels, ALIKE)[head].backward()
    ahead, behind = (float(head_losses(raw | {head: raw[head] + sign * step * direction}, labels,
                                       ALIKE)[head])
                     for sign in (1, -1))
    assert float((variable.grad * direction).sum()) == pytest.approx((ahead - behind) / (2 * step),
                                                                     abs=2e-3, rel=2e-2)


def test_mass_anywhere_inside_of_a_range_is_right():
    logits = torch.full((1, 101), -50.0)
    logits[0, 27] = 50
    low, high = torch.tensor([20.0]), torch.tensor([29.0])
    assert age_loss(logits, low, high) < 1e-4
    assert age_loss(logits, torch.tensor([30.0]), torch.tensor([39.0])) > 10


def test_ages_beyond_the_last_bin_count_as_the_last():
    targets = age_targets(torch.tensor([116.0]), torch.tensor([116.0]), 101)
    assert targets.argmax() == 100
    logits = torch.full((1, 101), -50.0)
    logits[0, 99] = 50
    assert age_loss(logits, torch.tensor([70.0]), torch.tensor([110.0])) < 1e-4


def test_class_weights_lift_rare_classes_and_leave_the_mean():
    shares = np.eye(7, dtype=np.float32)[[0] * 80 + [1] * 16 + [5] * 4]
    weights = class_weights(np.vstack([shares, np.full((3, 7), np.nan, np.float32)]))
    assert weights[5] > weights[1] > weights[0]
    assert float((torch.tensor(shares) @ weights).mean()) == pytest.approx(1, abs=1e-5)


def test_perfect_points_cost_nothing():
    raw, labels = raw_outputs(4), labels_of(4)
    labels['landmarks'] = predicted_landmarks(raw['landmarks'])
    assert head_losses(raw, labels, ALIKE)['landmarks'] == 0


def test_a_student_equal_to_its_teacher_has_nothing_to_learn():
    raw = raw_outputs(3)
    assert float(distillation_loss(raw, raw)) == pytest.approx(0, abs=1e-5)
    assert float(distillation_loss(raw, raw_outputs(3, seed=1))) > 0.1


def test_an_extra_expression_head_has_a_target_of_its_own():
    raw, labels = raw_outputs(4), labels_of(4)
    raw['expression_votes'] = raw['expression']
    missing = torch.full((2, 7), torch.nan)
    labels['expression_votes'] = torch.cat([labels['expression'][:2], missing])
    found = taught_losses(raw, labels, {'expression_votes': torch.ones(7)})
    two = head_losses({n: v[:2] for n, v in raw.items() if n in SIZES},
                      {n: v[:2] for n, v in labels.items()}, ALIKE)
    assert set(found) == {'expression_votes'}
    torch.testing.assert_close(found['expression_votes'], two['expression'])


def test_a_teachers_ages_and_genders_pull_where_it_answered():
    raw, labels = raw_outputs(2), labels_of(2)
    labels |= {'age_taught': torch.softmax(raw['age'], 1),
               'gender_taught': torch.tensor([1., torch.nan])}
    labels['age_taught'][1] = torch.nan
    found = taught_losses(raw, labels, {})
    entropy = -(labels['age_taught'][0] * labels['age_taught'][0].log()).sum()
    torch.testing.assert_close(found['age_taught'], entropy)
    torch.testing.assert_close(found['gender_taught'], -torch.sigmoid(raw['gender'][0, 0]).log())
