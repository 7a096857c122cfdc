# SPDX-License-Identifier: Apache-2.0
"""The loss against slow loops after the papers, and against ultralytics' where that is installed.
"""
import math
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
from detector_rig import MICRO, photographs, ultralytics_engine

from face_attributes_ros.engines.models import find_model
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.contract import distances, edges
from face_attributes_ros.networks.yolov3 import build_yolov3, load_yolov3
from face_attributes_ros.networks.yolov3_layers import Predictions
from face_attributes_ros.training.detector.losses import (
    GAINS,
    DetectionLoss,
    Targets,
    assign,
    complete_iou,
    distribution_loss,
)

SIZE = (96, 128)
STRIDES = (8, 16)
CELLS = sum(SIZE[0] // stride * SIZE[1] // stride for stride in STRIDES)


def targets(*rows):
    """Of rows (picture, x0, y0, x1, y1)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)
    return Targets(table[:, 0].long(), table[:, 1:])


def crowd(seed, pictures=3, faces=14):
    rng = np.random.default_rng(seed)
    sides = np.exp(rng.uniform(np.log(5), np.log(80), (faces, 2)))
    corners = rng.uniform(-4, 1, (faces, 2)) * 4 + rng.uniform(0, 1, (faces, 2)) * (
        np.array(SIZE[::-1]) - sides).clip(1)
    owners = np.sort(rng.integers(0, pictures, faces))[:, None]
    return targets(*np.hstack([owners, corners, corners + sides]).tolist())


CASES = {
    'nobody': targets(),
    'one': targets((0, 20, 20, 60, 70)),
    'smaller than a cell': targets((0, 41, 41, 44, 46), (2, 1, 1, 4, 5)),
    'in each other': targets((1, 10, 10, 90, 90), (1, 20, 20, 80, 80), (1, 35, 30, 60, 66)),
    'twins': targets((0, 30, 30, 70, 80), (0, 30, 30, 70, 80)),
    'over the edge': targets((2, -10, -12, 40, 50), (2, 100, 60, 140, 110)),
    'too large for its distribution': targets((0, 0, 0, 128, 96)),
    **{f'crowd {seed}': crowd(seed) for seed in range(6)},
}


def said(seed, pictures=3, reg_max=8):
    """Predictions, that have a gradient, of boxes of some size and scores of some kind."""
    torch.manual_seed(seed)
    boxes = torch.randn(pictures, 4 * reg_max, CELLS) * 1.5
    scores = torch.randn(pictures, 1, CELLS) * 2 - 2
    return Predictions(boxes.requires_grad_(), scores.requires_grad_())


def micro(reg_max=8):
    return build_yolov3(MICRO | {'reg_max': reg_max})


def slow_iou(a, b):
    """Complete IoU of two boxes, Zheng et al., equations 7 to 11."""
    width, height = (max(0., min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
    common = width * height
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - common
    iou = common / union
    rho = sum(((a[i] + a[i + 2]) / 2 - (b[i] + b[i + 2]) / 2) ** 2 for i in (0, 1))
    c = sum((max(a[i + 2], b[i + 2]) - min(a[i], b[i])) ** 2 for i in (0, 1))
    v = 4 / math.pi ** 2 * (math.atan((a[2] - a[0]) / (a[3] - a[1]))
                            - math.atan((b[2] - b[0]) / (b[3] - b[1]))) ** 2
    return iou - rho / c - (v * v / (1 - iou + v) if v else 0.)


def slow_assignment(scores, boxes, centres, faces, least):
    """{(picture, cell): (face, score)} by TOOD, equations 3 to 6, in loops; and the cells of which
    that is open, since a face with too few that fit takes some that do not: any."""
    found, overlaps, open_ = {}, {}, set()
    for face, (picture, box) in enumerate(faces):
        middle = [(box[i] + box[i + 2]) / 2 for i in (0, 1)]
        half = [max(least, box[i + 2] - box[i]) / 2 for i in (0, 1)]
        candidates = []
        for cell, centre in enumerate(centres):
            if all(abs(centre[i] - middle[i]) < half[i] for i in (0, 1)):
                overlap = max(0., slow_iou(box, boxes[picture][cell]))
                overlaps[face, cell] = overlap
                candidates.append((scores[picture][cell] ** .5 * overlap ** 6, cell))
        best = sorted(candidates, reverse=True)[:10]
        for fit, cell in best:
            found.setdefault((picture, cell), []).append((face, fit))
        if any(fit == 0 for fit, _ in best):
            open_ |= {(picture, cell) for fit, cell in candidates if fit == 0}
    fits = {}
    for (picture, cell), wanting in found.items():
        if len(wanting) > 1:
            rivals = [f for f, (owner, _) in enumerate(faces)
                      if owner == picture and (f, cell) in overlaps]
            winner = max(rivals, key=lambda f: (overlaps[f, cell], -f))
            fit = scores[picture][cell] ** .5 * overlaps[winner, cell] ** 6
        else:
            (winner, fit), = wanting
        fits[picture, cell] = winner, fit
    given = {}
    for (picture, cell), (face, fit) in fits.items():
        own = [(other, overlaps[face, c]) for (_, c), (f, other) in fits.items() if f == face]
        best, overlap = max(one for one, _ in own), max(one for _, one in own)
        given[picture, cell] = face, fit * overlap / (best + 1e-9)
    return given, open_


@pytest.mark.parametrize('seed', range(4))
def test_complete_iou_is_the_papers(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 20, (2, 30, 2))
    ours, theirs = np.concatenate([corners, corners + rng.uniform(1, 30, (2, 30, 2))], 2)
    found = complete_iou(*(torch.tensor(each, dtype=torch.float64) for each in (ours, theirs)))
    np.testing.assert_allclose(found, [slow_iou(a, b) for a, b in zip(ours, theirs)], atol=1e-6)
    assert complete_iou(torch.tensor(ours), torch.tensor(ours)).min() > 1 - 1e-5


def test_a_distribution_is_asked_for_the_two_cells_beside_the_number():
    torch.manual_seed(0)
    logits, wanted = torch.randn(1, 4, 8), torch.tensor([[0., 2.25, 6.9, 30.]])
    chances = logits.softmax(2)[0]
    expected = [-math.log(chances[0, 0]),
                -.75 * math.log(chances[1, 2]) - .25 * math.log(chances[1, 3]),
                -.1 * math.log(chances[2, 6]) - .9 * math.log(chances[2, 7]),
                -.01 * math.log(chances[3, 6]) - .99 * math.log(chances[3, 7])]
    assert distribution_loss(logits, wanted).item() == pytest.approx(sum(expected) / 4, abs=1e-5)


@pytest.mark.parametrize('case', CASES)
def test_cells_are_given_to_faces_as_the_paper_says(case):
    faces, predictions = CASES[case], said(7)
    centres, strides = micro().grid(*SIZE, torch.device('cpu'))
    with torch.no_grad():
        scores = predictions.scores[:, 0].sigmoid()
        boxes = edges(distances(predictions.boxes, 8), centres, strides)
    found = assign(scores, boxes, centres, faces, 16.)
    slow, open_ = slow_assignment(scores.tolist(), boxes.tolist(), centres.tolist(),
                                  list(zip(faces.owners.tolist(), faces.boxes_xyxy.tolist())), 16.)
    assert len(open_) < 40
    slow = {key: value for key, value in slow.items() if value[1] > 1e-6 and key not in open_}
    ours = {(faces.owners[face].item(), cell): (face, score) for face, cell, score in
            zip(*(each.tolist() for each in found)) if score > 1e-6}
    assert ours.keys() - open_ == slow.keys()
    for key, (face, score) in slow.items():
        assert ours[key][0] == face and ours[key][1] == pytest.approx(score, rel=1e-3, abs=1e-5)


def test_nobody_there_costs_scores_only_and_reaches_every_part():
    predictions = said(0)
    parts = DetectionLoss(micro())(predictions, SIZE, targets())
    assert parts['box'].item() == parts['dfl'].item() == 0 and parts['cls'].item() > 0
    sum(parts.values()).backward()
    assert predictions.boxes.grad.abs().max() == 0 and predictions.scores.grad.abs().min() > 0


@pytest.mark.parametrize('change', [{'reg_max': 1}, {'nc': 2}])
def test_a_head_that_it_cannot_train_is_an_error(change):
    with pytest.raises(ModelError, match='nc 1 and reg_max of 2 or more'):
        DetectionLoss(build_yolov3(MICRO | change))


def theirs(network, strides, reg_max, predictions, size, faces):
    """ultralytics' three parts of the same, a picture's share of the sum as ours."""
    ultralytics_engine()
    from ultralytics.utils.loss import v8DetectionLoss

    head = SimpleNamespace(stride=torch.tensor(strides, dtype=torch.float32), nc=1,
                           reg_max=reg_max)
    model = SimpleNamespace(parameters=network.parameters, args=SimpleNamespace(**GAINS),
                            model=[head])
    height, width = size
    maps = [torch.zeros(1, 1, height // stride, width // stride) for stride in strides]
    corners = faces.boxes_xyxy / torch.tensor([width, height, width, height])
    batch = {'batch_idx': faces.owners.float(), 'cls': torch.zeros(len(corners)),
             'bboxes': torch.cat([(corners[:, :2] + corners[:, 2:]) / 2,
                                  corners[:, 2:] - corners[:, :2]], 1)}
    parts, _ = v8DetectionLoss(model)(
        {'boxes': predictions.boxes, 'scores': predictions.scores, 'feats': maps}, batch)
    return dict(zip(GAINS, parts / len(predictions.scores)))


def close(a, b):
    torch.testing.assert_close(a, b, atol=1e-4 * max(1., b.abs().max().item()), rtol=1e-4)


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('reg_max', [8, 16])
def test_loss_and_gradients_are_those_of_ultralytics(case, reg_max):
    network, gradients = micro(reg_max), []
    values = []
    for loss in (lambda p: DetectionLoss(network)(p, SIZE, CASES[case]),
                 lambda p: theirs(network, STRIDES, reg_max, p, SIZE, CASES[case])):
        predictions = said(3, reg_max=reg_max)
        parts = loss(predictions)
        sum(parts.values()).backward()
        values.append(torch.stack(list(parts.values())).detach())
        gradients.append([each.grad for each in predictions])
    close(*values)
    for ours, other in zip(*gradients):
        close(ours, other)


def test_so_are_those_of_the_shipped_weights_on_a_photograph():
    """Whole gradients, through all layers, in training mode."""
    pictures = photographs()
    if not pictures:
        pytest.skip('the package ultralytics, whose photographs these are, is not installed')
    image = torch.from_numpy(pictures[0][:192, :256, ::-1].copy()).permute(2, 0, 1)[None] / 255
    faces, found = targets((0, 30, 20, 60, 58), (0, 150, 100, 190, 150)), []
    for kind in range(2):
        network = load_yolov3(find_model('detector_tiny', 'detector').torch_weights()).train()
        predictions = network(image)
        parts = (theirs(network, network.strides, 8, predictions, (192, 256), faces) if kind else
                 DetectionLoss(network)(predictions, (192, 256), faces))
        sum(parts.values()).backward()
        found.append({name: p.grad for name, p in network.named_parameters()
                      if p.grad is not None})
    assert found[0].keys() == found[1].keys() and len(found[0]) > 80
    for name, gradient in found[0].items():
        close(gradient, found[1][name])
