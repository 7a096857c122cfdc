# SPDX-License-Identifier: Apache-2.0
"""The training faces of one source, wherever the command line says that they are."""

from __future__ import annotations

from argparse import Namespace

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paper.training.regions import read_regions
from face_attributes_ros.training.attributes.data.packs import (
    LISTED_PACKS,
    read_full_pack,
    read_listed_pack,
    read_pack,
)
from face_attributes_ros.training.attributes.data.tables import Sample


def read_source(args: Namespace, source: str, crop_scale: float = 1.) -> list[Sample]:
    """Samples of `source` that may be trained on: `region` from `--regions` (none without it), its
    larger pack from `--full` where there is one, else the train split of `--data`.

    Raises ParameterError for a source that only `--full` has, without it.
    """
    if source == 'region':
        return read_regions(args.regions, crop_scale=crop_scale) if args.regions else []
    if source in LISTED_PACKS:
        if args.full is None:
            raise ParameterError(f'source {source} needs --full, the folder of '
                                 f'{LISTED_PACKS[source][0]}.csv')
        return read_listed_pack(args.full, source)
    if args.full and (args.full / f'{source}_full.csv').is_file():
        return read_full_pack(args.full, source)
    return read_pack(args.data, ('train',), (source,))
