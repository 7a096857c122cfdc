# SPDX-License-Identifier: Apache-2.0
"""Weights between those of two runs of one network (Wortsman et al., 2022): where the second run
went on from the first, they often keep what either knows.

    python -m face_attributes_ros.training.attributes.between \\
        --weights runs/m/attributes.safetensors runs/posed/attributes.safetensors \\
        --share 0.6 --out runs/between.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from face_attributes_ros.errors import DataError
from face_attributes_ros.training.common.checkpoint import load_tensors, save_tensors


def between(first: Path, second: Path, share: float, out: Path) -> None:
    """Writes `out`: of each number `share` of the second file's and the rest of the first one's;
    what is said about the network is the second's. Raises `DataError` where the networks
    differ."""
    ours, (theirs, metadata) = load_tensors(first)[0], load_tensors(second)
    shapes = [{name: tensor.shape for name, tensor in each.items()} for each in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise DataError(f'{first} and {second} hold different networks')
    mixed = {name: ours[name].float().lerp(tensor.float(), share).to(tensor.dtype)
             for name, tensor in theirs.items()}
    save_tensors(out, mixed, metadata | {'share_of_second': share})


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split('.')[0])
    parser.add_argument('--weights', type=Path, nargs=2, required=True,
                        metavar=('FIRST', 'SECOND'))
    parser.add_argument('--share', type=float, required=True, help='of the second, 0 to 1')
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args(arguments)
    first, second = args.weights
    between(first, second, args.share, args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
