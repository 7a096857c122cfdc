# SPDX-License-Identifier: Apache-2.0
"""One expression head out of the three that a network was trained with.

    python -m face_attributes_ros.training.attributes.merge \\
        --weights runs/m/attributes.safetensors \\
        --shares 0.5 0.25 0.25 --out runs/m/merged.safetensors

The shares are those of `networks.compact.EXPRESSION_HEADS`; the heads are linear, so that the
merged one gives the sum of their logits by the shares. Everything else stays as it is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from face_attributes_ros.errors import DataError
from face_attributes_ros.networks.bodies import merged
from face_attributes_ros.networks.compact import EXPRESSION_HEADS
from face_attributes_ros.networks.joint import JointNet
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.common.checkpoint import save_tensors


def merge(weights: Path, shares: tuple[float, ...], out: Path) -> None:
    """Writes `out`. Raises `DataError` where the weights have one expression head only."""
    network, metadata = load_network(weights)
    if isinstance(network, JointNet) or not network.config.extra_heads:
        raise DataError(f'{weights} has one expression head: there is nothing to merge')
    by_head = dict(zip(EXPRESSION_HEADS, shares))
    plain = merged(network, by_head)
    save_tensors(out, plain.state_dict(),
                 metadata | {'network': plain.config.to_dict(), 'expression_shares': by_head})


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--shares', type=float, nargs=3, required=True,
                        metavar=('MIXED', 'VOTES', 'TAUGHT'))
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args(arguments)
    merge(args.weights, tuple(args.shares), args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
