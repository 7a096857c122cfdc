# SPDX-License-Identifier: Apache-2.0
import cv2
import numpy as np
import pytest

from face_attributes_ros.boxes import iou
from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paper import proposals

IMAGE = np.zeros((90, 160, 3), np.uint8)


def test_sliding_covers_every_square_face():
    boxes, scores = proposals.sliding(IMAGE)
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [160.01, 90.01
                                                           ]).all() and not scores.any()
    faces = np.random.default_rng(0).uniform(0, 1, (200, 3))
    side = 12 + faces[:, 2:] * 75
    corner = faces[:, :2] * (np.array([160, 90]) - side)
    overlap = iou(np.hstack([corner, corner + side]).astype(np.float32), boxes).max(1)
    assert overlap.min() > .45 and np.median(overlap) > .6


def test_yolov3_proposes_what_the_network_finds():
    def network(batch):
        return [np.float32([[[10, 10, 50, 60, .2], [200, 100, 250, 150, .01]]])]

    boxes, scores = proposals.open_proposer('yolov3', network, imgsz_px=160)(IMAGE)
    assert scores.tolist() == pytest.approx([.2])
    assert boxes.shape == (1, 4)


def test_no_proposal_is_an_empty_array():
    boxes, scores = proposals.open_proposer('yolov3',
                                            lambda batch: [np.zeros(
                                                (1, 0, 5), np.float32)], 160)(IMAGE)
    assert boxes.shape == (0, 4) and scores.shape == (0,)


def test_unknown_proposals_are_refused():
    with pytest.raises(ParameterError, match='edge_boxes.*yolov3'):
        proposals.open_proposer('edge_boxes')


def test_selective_search_finds_the_square_or_says_what_it_needs():
    image = np.full((120, 160, 3), 60, np.uint8)
    image[40:80, 50:90] = (20, 40, 220)
    if hasattr(cv2, 'ximgproc'):
        boxes, _ = proposals.selective_search(image)
        assert iou(np.float32([[50, 40, 90, 80]]), boxes).max() > .7
    else:
        with pytest.raises(ParameterError, match='opencv-contrib'):
            proposals.selective_search(image)
