# SPDX-License-Identifier: Apache-2.0
"""The part of a command line that every training has."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from face_attributes_ros.errors import ParameterError


def add_run_arguments(parser: argparse.ArgumentParser, data: str) -> None:
    """Where from, where to and for how long; `data` says what the folder of `--data` holds."""
    parser.add_argument('--config', type=Path, required=True, help='a YAML of config/training/')
    parser.add_argument('--data', type=Path, required=True, help=data)
    parser.add_argument('--out', type=Path, required=True, help='folder of checkpoints and logs')
    parser.add_argument('--minutes', type=float, default=math.inf, help='wall-clock budget')
    parser.add_argument('--steps', type=int, default=0, help='number of optimiser steps')
    parser.add_argument('--resume', action='store_true', help='go on from OUT/last.safetensors')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads; 0 leaves torch its choice')
    parser.add_argument('--checkpoint-minutes', type=float, default=3.0)


def add_look_arguments(parser: argparse.ArgumentParser, minutes: float) -> None:
    """What a training by minutes has besides: a device, and how often it looks at val."""
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda')
    parser.add_argument('--validate-minutes', type=float, default=minutes)


def check_budget(args: argparse.Namespace) -> None:
    """Raises `ParameterError` where neither steps nor minutes end the run."""
    endless = args.steps == 0 and args.minutes == math.inf
    if endless or args.steps < 0 or args.minutes <= 0:
        raise ParameterError('give --minutes, --steps or both, above 0; '
                             f'--minutes is {args.minutes:g}, --steps is {args.steps}')
