# SPDX-License-Identifier: Apache-2.0
import pytest

torch = pytest.importorskip('torch')

from face_attributes_ros.training.common.average import averaged
from face_attributes_ros.training.common.optimizer import decayed_groups
from face_attributes_ros.training.common.schedule import cosine_schedule, rate_share


@pytest.mark.parametrize('step, progress, share', [(0, 0, .1), (9, .09, .982), (50, .5, .55),
                                                   (100, 1, .1), (200, 2, .1)])
def test_the_rate_warms_up_and_falls(step, progress, share):
    assert rate_share(step, progress, 10, .1) == pytest.approx(share, abs=2e-3)


def test_a_schedule_made_late_goes_on_where_the_first_would_be():
    def rates(first, last):
        layer, now = torch.nn.Linear(1, 1), [first]
        optimizer = torch.optim.SGD(layer.parameters(), lr=2.)
        schedule = cosine_schedule(optimizer, lambda: (now[0], now[0] / 20), 4, .01)
        for step in range(first, last):
            yield optimizer.param_groups[0]['lr']
            optimizer.step()
            now[0] = step + 1
            schedule.step()

    assert list(rates(0, 20))[7:] == list(rates(7, 20))


def test_the_average_counts_early_steps_more_and_counters_not_at_all():
    network = torch.nn.BatchNorm1d(1)
    average = averaged(network, .9)
    for value in range(4):
        network.weight.data.fill_(value)
        network.num_batches_tracked.fill_(value)
        average.update_parameters(network)
    assert 2.5 < float(average.module.weight) < 3
    assert int(average.module.num_batches_tracked) == 3 == int(average.n_averaged) - 1


def test_norms_and_biases_do_not_decay():
    layer = torch.nn.Linear(3, 2)
    kernels, rest = decayed_groups(layer.parameters(), .1, lr=1.)
    assert (kernels['weight_decay'], rest['weight_decay'], kernels['lr']) == (.1, 0, 1)
    assert kernels['params'][0] is layer.weight and rest['params'][0] is layer.bias
