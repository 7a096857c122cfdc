# SPDX-License-Identifier: Apache-2.0
"""The large attribute network out of the default one and FaceRes: no body learns anything.

    python -m face_attributes_ros.training.attributes.join --plain runs/p2/merged.safetensors \\
        --faceres faceres.safetensors --full FULL --cache runs/cache --out runs/l/joint.safetensors

A hidden layer learns ages and genders of UTKFace's and FairFace's training faces from what FaceRes
sees at twice the plain network's size; `export attributes --size 160` makes the file that ships.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from torch import Tensor

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.compact import CompactNet
from face_attributes_ros.networks.joint import JointConfig, JointNet
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.packs import read_full_pack
from face_attributes_ros.training.attributes.data.tables import table_of
from face_attributes_ros.training.attributes.faceres import load_faceres
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.probe import Reader, features, fitted
from face_attributes_ros.training.common.checkpoint import save_tensors

SOURCES = ('utkface', 'fairface')


@torch.no_grad()
def folded_reader(reader: Reader) -> dict[str, Tensor]:
    """The tensors of `JointNet.reader` from a fitted reader: its standardisation is folded in."""
    first, last = (layer for layer in reader.network.children()
                   if isinstance(layer, torch.nn.Linear))
    weight = first.weight / reader.spread
    return {'0.weight': weight, '0.bias': first.bias - weight @ reader.mean,
            '2.weight': last.weight, '2.bias': last.bias}


def fitted_reader(faceres: Path, full: Path, cache: Path, size_px: int, side: int) -> Reader:
    """A reader of what FaceRes sees in the training faces, enlarged to `size_px`."""
    table = table_of([sample for source in SOURCES for sample in read_full_pack(full, source)])
    crops, _ = cached_crops(table, side, cache)
    return fitted(features(faceres, crops, size_px), table.labels)


def join(plain: Path, faceres: Path, reader: Reader, share: float, out: Path,
         size_px: int) -> None:
    """Writes `out`, the two bodies with their reader."""
    network, metadata = load_network(plain)
    if not isinstance(network, CompactNet):
        raise DataError(f'{plain} is not the plain network')
    joint = JointNet(JointConfig(plain=network.config, share=share))
    joint.plain.load_state_dict(network.state_dict())
    load_faceres(joint, faceres)
    joint.reader.load_state_dict(folded_reader(reader))
    save_tensors(out, joint.state_dict(),
                 metadata | {'network': joint.config.to_dict(), 'size': size_px})


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ('plain', 'faceres', 'full', 'cache', 'out'):
        parser.add_argument(f'--{name}', type=Path, required=True)
    parser.add_argument('--share', type=float, default=0.5, help="the reader's part of the logits")
    parser.add_argument('--size', type=int, default=160, help='crop side, pixels')
    parser.add_argument('--cache-px', type=int, default=112)
    args = parser.parse_args(arguments)
    reader = fitted_reader(args.faceres, args.full, args.cache, args.size, args.cache_px)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    join(args.plain, args.faceres, reader, args.share, args.out, args.size)
    return 0


if __name__ == '__main__':
    sys.exit(main())
