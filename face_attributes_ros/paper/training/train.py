# SPDX-License-Identifier: Apache-2.0
"""Train one of the paper's systems by its recipe (section 6.2).

    face-attributes train paper --config config/training/paper_all_in_one.yaml --data DIR \\
        --regions DIR --out runs/aio --minutes 60
    face-attributes train paper --config config/training/paper_vgg_age.yaml --data DIR \\
        --out runs/vgg --steps 2000 --weights vgg_face.safetensors
    face-attributes train paper --config config/training/all_in_one_imitation.yaml --data DIR \\
        --full DIR --out runs/imitation --steps 4000 --weights faceres.safetensors
    face-attributes train paper ... --resume

DIR of `--data` holds `labels.csv` and its zips, of `--full` the larger `<source>_full` packs, of
`--regions` a YOLO-format detection set. OUT
receives `last.safetensors` (everything needed to go on), `<system>.safetensors` (for
`attributes.model`), `log.csv`, `curve.png` and `result.json`. A resumed run equals the
uninterrupted one where `--steps` is the budget. One process, on the CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.paper.training.recipe import PaperConfig
from face_attributes_ros.paper.training.results import record
from face_attributes_ros.training.common.arguments import add_run_arguments, check_budget
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.run import Run, Task, use_threads

RESULT = ('system', 'network', 'data', 'step', 'elapsed_s', 'figures', 'convolutions')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `train paper`."""
    add_run_arguments(parser, 'folder of labels.csv and its zips')
    parser.set_defaults(validate_minutes=math.inf)      # the plateau counts steps
    parser.add_argument('--full', type=Path,
                        help='folder of <source>_full packs, used in place of the same sources')
    parser.add_argument('--regions', type=Path,
                        help='YOLO-format detection set, for face and not-face')
    parser.add_argument(
        '--weights', type=Path, help='safetensors of convolutions: VGG\'s or a stand-in\'s '
        '(needed by vgg_age), a face-identification trunk for all_in_one, or FaceRes for '
        'imitation')
    parser.add_argument('--random-convolutions', action='store_true',
                        help='rehearse vgg_age without --weights')
    parser.add_argument('--cache', type=Path,
                        help='folder of decoded crops and features; OUT/cache where not given')
    parser.add_argument('--most-per-source', type=int,
                        help='faces of each source, in place of the configuration\'s')
    parser.add_argument('--validate-every', type=int,
                        help='steps, in place of the configuration\'s')
    parser.add_argument('--results', type=Path,
                        help='JSON of figures to enter the run into (bench/results/paper.json)')


def run(args: argparse.Namespace) -> int:
    """Trains as the arguments say; returns the exit status."""
    check_budget(args)
    if int(os.environ.get('WORLD_SIZE', 1)) > 1:
        raise ParameterError(f'train paper runs in one process, WORLD_SIZE is '
                             f'{os.environ["WORLD_SIZE"]}')
    config = overridden(read_config(args.config, PaperConfig), args)
    use_threads(args.threads)
    work = Run(args, open_task(config, args))
    work.train()
    write_result(args, work.about())
    return 0


def overridden(config: PaperConfig, args: argparse.Namespace) -> PaperConfig:
    """The configuration with what the command line says in place of it."""
    if args.most_per_source is not None:
        config = replace(config, most_per_source=args.most_per_source)
    if args.validate_every is not None:
        config = replace(config, recipe=replace(config.recipe, validate_every=args.validate_every))
    return config


def open_task(config: PaperConfig, args: argparse.Namespace) -> Task:
    """The system that a configuration names, with its data."""
    if config.system == 'vgg_age':
        from face_attributes_ros.paper.training.vgg_age import VggAgeTask
        return VggAgeTask(config, args)
    if config.system == 'imitation':
        from face_attributes_ros.paper.training.imitation import ImitationTask
        return ImitationTask(config, args)
    from face_attributes_ros.paper.training.all_in_one import AllInOneTask
    return AllInOneTask(config, args)


def write_result(args: argparse.Namespace, about: Mapping[str, Any]) -> None:
    """OUT/result.json, and the entry in `--results`."""
    result = {name: about[name] for name in RESULT if name in about}
    (args.out / 'result.json').write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')
    if args.results:
        record(args.results, f'train {args.config.stem}', result)


if __name__ == '__main__':
    command = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
