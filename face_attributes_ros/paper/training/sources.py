# SPDX-License-Identifier: Apache-2.0
"""The training faces of one source, wherever the command line says that they are."""

from __future__ import annotations

from argparse import Namespace

from face_attributes_ros.paper.training.regions import read_regions
from face_attributes_ros.training.attributes.data.packs import read_train
from face_attributes_ros.training.attributes.data.tables import Sample


def read_source(args: Namespace, source: str, crop_scale: float = 1.) -> list[Sample]:
    """Samples of `source` that may be trained on: `region` from `--regions` (none without it), the
    others by `read_train` from `--data` and `--full`."""
    if source == 'region':
        return read_regions(args.regions, crop_scale=crop_scale) if args.regions else []
    return read_train(args.data, args.full, source)
