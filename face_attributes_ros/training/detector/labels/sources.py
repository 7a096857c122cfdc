# SPDX-License-Identifier: Apache-2.0
"""The parts of a training set: human labels, other people's machine labels, and pictures that were
voted on here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from face_attributes_ros.boxes import iou
from face_attributes_ros.errors import DataError
from face_attributes_ros.training.detector.data import Sample, read_samples
from face_attributes_ros.training.detector.labels.ensemble import (
    PART_OF_A_FACE,
    Votes,
    are_faces,
    labels_of,
    share_inside,
    unexplained,
)
from face_attributes_ros.training.detector.labels.framing import (
    DETECTORS,
    Framing,
    blended,
    measure,
    pairs,
    reframed,
)
from face_attributes_ros.training.detector.labels.vote import read_votes, votes_of

UNLABELLED_IOU = 0.2  # a face of the voters that overlaps every label less than this has none
LEAST_PAIRS = 20  # to measure a framing on


class Labelled(NamedTuple):
    """A picture of the set: its file, source, faces (N, 4) and regions to ignore (M, 4), fractions
    of the picture.
    """

    name: str
    path: Path
    source: str
    faces: np.ndarray
    ignore: np.ndarray


def source_of(name: str) -> str:
    """The source in a picture's name: what stands before its last underscore."""
    return name.rsplit('_', 1)[0]


def human_pictures(root: Path, voted: Path,
                   wanted: str) -> tuple[list[Labelled], dict[str, Framing], Framing]:
    """The train pictures of a human-labelled folder in one framing, all framings, and the one.

    Each source's framing is measured against the votes in `voted`; a source with fewer than
    `LEAST_PAIRS` faces to measure stays as it is. `wanted` is `framing.blended`'s. Faces that the
    voters are sure of and nobody labelled become regions to ignore.
    """
    samples, votes = read_samples(root, 'train'), votes_by_name(voted)
    framings = measure_sources(samples, votes)
    framing = blended(framings, wanted)
    pictures = []
    for sample in samples:
        source = source_of(sample.name)
        faces = reframed(sample.boxes, framings.get(source, framing), framing).clip(0, 1)
        extra = missed_faces(sample, votes.get(sample.name), sample.maybe_unlabelled)
        ignore = np.concatenate([sample.ignore, extra])
        pictures.append(Labelled(sample.name, sample.path, source, faces, ignore))
    return pictures, framings, framing


def machine_pictures(root: Path, voted: Path,
                     wanted: Framing) -> tuple[list[Labelled], Framing]:
    """The pictures of a folder of one machine's labels in the framing `wanted`, and the framing
    they had.
    """
    samples, votes = read_samples(root, 'train'), votes_by_name(voted)
    own = measure(*_paired(samples, votes))
    return [
        Labelled(
            sample.name,
            sample.path,
            source_of(sample.name),
            reframed(sample.boxes, own, wanted).clip(0, 1),
            sample.ignore,
        )
        for sample in samples
    ], own


def voted_pictures(folder: Path, wanted: Framing) -> Iterator[Labelled]:
    """The pictures of a folder of `labels.vote` that are fit to learn from, in the framing
    `wanted`.

    Left out are those with a human mark that no candidate explains, and those with nothing but
    doubtful ones.
    """
    for record in read_votes(folder):
        votes, marks = votes_of(record)
        size = np.array([record['width'], record['height']] * 2, np.float32)
        faces, ignore = labels_of(votes, max(size), marks)
        unfit = unexplained(np.concatenate([faces, ignore]), marks).any() or (
            len(ignore) and not len(faces)
        )
        if not unfit:
            framed = reframed(faces, DETECTORS, wanted)
            yield Labelled(
                record['name'],
                Path(folder) / 'images' / f'{record["name"]}.jpg',
                source_of(record['name']),
                (framed / size).clip(0, 1),
                ignore / size,
            )


def measure_sources(samples: Sequence[Sample],
                    votes: Mapping[str, Votes]) -> dict[str, Framing]:
    """The `Framing` of each source with `LEAST_PAIRS` faces that the voters see too, by source."""
    framings = {}
    for source in sorted({source_of(sample.name) for sample in samples}):
        boxes, found = _paired([s for s in samples if source_of(s.name) == source], votes)
        if len(boxes) >= LEAST_PAIRS:
            framings[source] = measure(boxes, found)
    return framings


def missed_faces(sample: Sample, votes: Votes | None, suspicious: bool) -> np.ndarray:
    """Candidates (M, 4) that overlap no label: those the voters are sure of, or all where labels
    are known to lack.
    """
    if votes is None or not len(votes.boxes):
        return np.zeros((0, 4), np.float32)
    lacking = np.ones(len(votes.boxes), bool)
    if len(sample.boxes):
        overlaps = iou(votes.boxes, sample.boxes).max(1)
        lacking = (overlaps < UNLABELLED_IOU) & (
            share_inside(votes.boxes, sample.boxes) < PART_OF_A_FACE
        )
    return votes.boxes[lacking & (are_faces(votes.scores) | suspicious)]


def votes_by_name(folder: Path) -> dict[str, Votes]:
    """The votes of a folder by picture name, boxes as fractions."""
    found = {}
    for record in read_votes(folder):
        votes, _ = votes_of(record)
        size = np.array([record['width'], record['height']] * 2, np.float32)
        found[record['name']] = votes._replace(boxes=votes.boxes / size)
    if not found:
        raise DataError(f'{folder}/votes.jsonl is missing or empty: run labels.vote first')
    return found


def _paired(samples: Sequence[Sample],
            votes: Mapping[str, Votes]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (K, 4) of the samples and, of the same faces, those that the voters are sure of."""
    mine, theirs = [np.zeros((0, 4), np.float32)], [np.zeros((0, 4), np.float32)]
    for sample in samples:
        if sample.name in votes:
            candidates = votes[sample.name]
            sure = candidates.boxes[are_faces(candidates.scores)]
            rows = pairs(sample.boxes, sure)
            mine.append(sample.boxes[rows[:, 0]])
            theirs.append(sure[rows[:, 1]])
    return np.concatenate(mine), np.concatenate(theirs)
