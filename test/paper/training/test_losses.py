# SPDX-License-Identifier: Apache-2.0
import math

import pytest

torch = pytest.importorskip('torch')

from face_attributes_ros.paper.training import losses

NAN = math.nan


def double(values, grad=False):
    return torch.tensor(values, dtype=torch.float64, requires_grad=grad)


def gradient(loss, x):
    return torch.autograd.grad(loss(x), x)[0]


GENERATOR = torch.Generator().manual_seed(0)


def noise(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64).requires_grad_()


POINTS_21 = torch.cat([torch.full(
    (3, 4, 2), NAN), torch.randn(3, 17, 2, generator=GENERATOR)], 1).double()
VISIBLE = torch.where(POINTS_21[..., 0] > 0, 1., POINTS_21[..., 1])
TABLE = {
    'gender or smile': (lambda x: losses.two_class_loss(x, double([0., 1., NAN, .7])), noise(4,
                                                                                             2)),
    'age, squares': (
        lambda x: losses.age_loss(x, double([30., NAN, 4.]), double([30., NAN, 6.]), 0.),
        noise(3)),
    'age, between': (
        lambda x: losses.age_loss(x * 3 + 20, double([20., 18.]), double([20., 25.]), .4),
        noise(2)),
    'age, Gaussian': (
        lambda x: losses.age_loss(x * 3 + 20, double([20., 18.]), double([20., 25.]), 1.),
        noise(2)),
    'landmarks': (lambda x: losses.landmark_loss(x, POINTS_21), noise(3, 21, 2)),
    'visibility': (lambda x: losses.visibility_loss(x, VISIBLE), noise(3, 21)),
    'pose': (lambda x: losses.pose_loss(x, double([[.1, .2, .3], [NAN] * 3, [0., 1., -1.]])),
             noise(3, 3)),
}


@pytest.mark.parametrize('loss, x', TABLE.values(), ids=TABLE)
def test_gradients_equal_finite_differences(loss, x):
    assert torch.autograd.gradcheck(loss, (x,))
    assert gradient(loss, x).abs().sum() > 0


def test_two_class_loss_is_equation_3_1():
    logits, p = double([[.3, 1.2]]), 1 / (1 + math.exp(.3 - 1.2))
    for target, value in ((1., -math.log(p)), (0., -math.log(1 - p))):
        assert losses.two_class_loss(logits, double([target])).item() == pytest.approx(value)


def test_two_class_gradient_is_probability_minus_target():
    x = double([[.3, 1.2]], grad=True)
    p = x.softmax(1)[0, 1].item()
    assert gradient(lambda x: losses.two_class_loss(x, double([1.])),
                    x)[0].tolist() == pytest.approx([1 - p, p - 1])


@pytest.mark.parametrize('error', [0., 3., -10., 20.])
@pytest.mark.parametrize('lam', [0., .3, 1.])
def test_age_gradient_has_its_closed_form(error, lam):
    years, sigma = double([40. + error], grad=True), 3.
    found = gradient(lambda y: losses.age_loss(y, double([40.]), double([40.]), lam), years).item()
    gaussian = error / sigma**2 * math.exp(-error**2 / (2 * sigma**2))
    assert found == pytest.approx((1 - lam) * error + lam * gaussian, abs=1e-12)


def test_after_the_switch_a_face_far_off_hardly_teaches():
    def pull(error, lam):
        years = double([error], grad=True)
        return gradient(lambda y: losses.age_loss(y, double([0.]), double([0.]), lam),
                        years).item()

    assert pull(3., 1.) == pytest.approx(.2022, abs=1e-4)
    assert pull(10., 1.) == pytest.approx(.0043, abs=1e-4)
    assert pull(10., 0.) == 10


@pytest.mark.parametrize('step, kwargs, value', [(0, {}, 0.), (19_999, {}, 0.), (20_000, {}, 1.),
                                                 (10 ** 6, {}, 1.), (0, {'ramp': True}, 0.),
                                                 (10_000, {'ramp': True}, .45),
                                                 (40_000, {'ramp': True}, .9),
                                                 (7, {'switch': 7}, 1.)])
def test_lambda_steps_or_ramps(step, kwargs, value):
    assert losses.age_weight(step, **kwargs) == pytest.approx(value)


@pytest.mark.parametrize('low, high, least, expected', [(30., 30., 0., (30, 3)),
                                                        (4., 6., 0., (5, 1)), (4., 6., 3., (5, 3)),
                                                        (60., 100., 3., (80, 20))])
def test_a_range_is_its_middle_and_half_width(low, high, least, expected):
    years, sigma = losses.age_targets(double([low]), double([high]), least)
    assert (years.item(), sigma.item()) == expected


def test_landmarks_count_only_where_seen_and_divide_by_all_points():
    true = torch.full((2, 21, 2), NAN)
    true[0, 3] = torch.tensor([.5, .5])
    predicted = torch.zeros(2, 21, 2)
    assert losses.landmark_loss(predicted, true).item() == pytest.approx(.5 / 42)


def test_no_label_no_loss_no_gradient():
    x = noise(2, 3)
    loss = losses.pose_loss(x, torch.full((2, 3), NAN, dtype=torch.float64))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, x)[0].abs().sum() == 0


def test_regions_between_the_overlaps_teach_nothing():
    found = losses.region_labels(torch.tensor([0., .34, .35, .49, .5, 1.]))
    assert torch.nan_to_num(found, nan=-1).tolist() == [0, 0, -1, -1, 1, 1]


def test_hyperface_weights():
    assert [
        losses.WEIGHTS[name] for name in ('face', 'landmarks', 'visibility', 'pose', 'gender')
    ] == [1, 5, .5, 5, 2]
