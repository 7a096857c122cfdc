# SPDX-License-Identifier: Apache-2.0
"""Train the multi-task attribute network.

    face-attributes train attributes --config config/training/attributes_m.yaml --data DIR \\
        --full DIR --backgrounds DIR --cache runs/cache --out runs/m --minutes 95
    face-attributes train attributes ... --resume
    face-attributes train attributes ... --init models/attributes_m.safetensors
    face-attributes train attributes --config config/training/attributes_s.yaml \\
        --teacher runs/l/attributes.safetensors ...
    torchrun --nproc-per-node 4 -m face_attributes_ros.training.attributes.train --config ...

DIR of `--data` holds `labels.csv` and its zips; of `--full` the larger `<source>_full` packs; of
`--backgrounds` a YOLO-format detection set, from which faceless squares are cut. OUT receives
`last.safetensors` (everything needed to go on), `attributes.safetensors` (the averaged weights
with their configuration), `log.csv` and `curve.png`. Progress runs from 0 to 1 by the larger of
its share of `--steps` and of `--minutes`; crop size and learning rate follow it. With `--steps`
alone a resumed run equals the uninterrupted one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from face_attributes_ros.networks.heads import decode
from face_attributes_ros.training.attributes.config import TrainConfig, at
from face_attributes_ros.training.attributes.data.batches import (
    Batches,
    balanced_rows,
    plain_batch,
    source_counts,
)
from face_attributes_ros.training.attributes.data.cache import cached_crops
from face_attributes_ros.training.attributes.data.packs import (
    LISTED_PACKS,
    read_backgrounds,
    read_listed_pack,
    read_pack,
    read_train,
)
from face_attributes_ros.training.attributes.data.readers import READERS
from face_attributes_ros.training.attributes.data.tables import LabelTable, Sample, table_of
from face_attributes_ros.training.attributes.faceres import load_faceres
from face_attributes_ros.training.attributes.heads import HEADS
from face_attributes_ros.training.attributes.log import LOG_COLUMNS
from face_attributes_ros.training.attributes.losses import class_weights
from face_attributes_ros.training.attributes.network import load_network
from face_attributes_ros.training.attributes.report import quick_scores
from face_attributes_ros.training.attributes.step import (
    new_network,
    new_optimizer,
    normalised,
    start_from,
    step_losses,
)
from face_attributes_ros.training.attributes.taught import EXTRA_HEADS
from face_attributes_ros.training.attributes.teachers import add_teacher_arguments, taught_table
from face_attributes_ros.training.common.arguments import (
    add_look_arguments,
    add_run_arguments,
    check_budget,
)
from face_attributes_ros.training.common.config import read_config
from face_attributes_ros.training.common.place import ALONE, Place, processes
from face_attributes_ros.training.common.precision import bf16_is_native
from face_attributes_ros.training.common.run import Plan, Run, use_threads
from face_attributes_ros.training.common.schedule import cosine_schedule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line of `train attributes`."""
    add_run_arguments(parser, 'folder of labels.csv and its zips')
    add_look_arguments(parser, 10.0)
    parser.add_argument('--full', type=Path,
                        help='folder of <source>_full packs, used in place of the same sources')
    parser.add_argument(
        '--folder', action='append', default=[], metavar='SOURCE=DIR', type=source_folder,
        help='a public set in its own layout, for instance celeba=DIR; see data/readers.py')
    parser.add_argument('--backgrounds', type=Path,
                        help='YOLO-format detection set, for pictures without a face')
    parser.add_argument('--cache', type=Path,
                        help='folder of decoded crops; OUT/cache where not given')
    parser.add_argument('--init', type=Path,
                        help='averaged weights of the same network to start from')
    parser.add_argument('--faceres', type=Path,
                        help='faceres.safetensors, for a mobilenet_v1 body to start from')
    add_teacher_arguments(parser)
    parser.add_argument('--teacher', type=Path,
                        help='attributes.safetensors of a larger network to learn from as well')
    parser.add_argument('--validate-faces', type=int, default=600, help='from each source of val')


def source_folder(text: str) -> tuple[str, Path]:
    """(source, folder) of SOURCE=DIR."""
    source, _, folder = text.partition('=')
    if source not in READERS or not folder:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not SOURCE=DIR with a source of {", ".join(READERS)}')
    return source, Path(folder)


def training_table(args: argparse.Namespace, config: TrainConfig) -> LabelTable:
    """Everything that may be trained on: of each source its own folder, else its full pack, else
    the train split.
    """
    folders = dict(args.folder)
    samples: list[Sample] = []
    for source in config.shares:
        if source in folders:
            samples += READERS[source](folders[source], 'train')
        elif source == 'background':
            samples += read_backgrounds(args.backgrounds,
                                        config.backgrounds_per_picture) if args.backgrounds else []
        else:
            samples += read_train(args.data, args.full, source)
    return table_of(samples)


def validation_table(args: argparse.Namespace, config: TrainConfig) -> LabelTable:
    """Faces drawn evenly from each source's val split."""
    samples: list[Sample] = []
    for source in config.shares:
        if source in LISTED_PACKS:
            found = read_listed_pack(args.full, source, 'val')
        else:
            found = read_pack(args.data, ('val',), (source,)) if source != 'background' else []
        samples += found[::max(1, len(found) // args.validate_faces)]
    return table_of(samples)


@torch.no_grad()
def validate(network: nn.Module, table: LabelTable, crops: np.ndarray, size: int,
             bfloat16: bool = False, batch: int = 256) -> dict[str, float]:
    """`quick_scores` of a network over a cached table."""
    device, parts = next(network.parameters()).device, []
    for start in range(0, len(table), batch):
        pixels = normalised(plain_batch(crops[start:start + batch], size))
        pixels = pixels.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            raw = network(pixels)
        parts.append(decode({name: value.float().cpu() for name, value in raw.items()}))
    return quick_scores(
        {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}, table)


class AttributesTask:
    """The attribute network, its mixed batches, losses and figures."""

    def __init__(self, args: argparse.Namespace, config: TrainConfig, place: Place = ALONE):
        self.args, self.config, self.device = args, config, place.device
        self.plan = Plan(
            name='attributes', weights={**config.loss_weights,
                                        'distillation': config.distill_weight},
            columns=LOG_COLUMNS, measured='val_age_mae', identity=('data', 'network', 'seed'),
            ema_decay=config.ema, clip_gradient=config.clip_gradient)
        self.bfloat16 = config.bfloat16 and bf16_is_native(place.device)
        self.size = config.sizes[0][1]
        self._read_data(place)
        network = new_network(config, args.seed, place.device)
        if args.faceres:
            load_faceres(network, args.faceres)
        if args.init:
            start_from(network, args.init)
        self.network: nn.Module = network
        self.optimizer = new_optimizer(network, config)
        self.teacher = load_network(args.teacher)[0].to(place.device) if args.teacher else None

    def _read_data(self, place: Place) -> None:
        args, config = self.args, self.config
        table, self.val_table = training_table(args, config), validation_table(args, config)
        cache = args.cache or args.out / 'cache'
        if not place.first:
            place.wait()      # the first process decodes for all
        crops, native = cached_crops(table, config.cache_px, cache)
        self.val_crops, _ = cached_crops(self.val_table, config.cache_px, cache)
        if place.first:
            place.wait()
        table = taught_table(args.peers, args.people_teacher, table, crops, cache)
        counts = source_counts(config.shares, config.batch)
        pools = {source: balanced_rows(table, source, config.rare_balance) for source in counts}
        self.batches = Batches(table, crops, native, counts, pools, args.seed, config.augment,
                               place.rank, place.processes)
        self.class_weights = {
            head.name: class_weights(table.labels[head.column]).to(place.device)
            for head in HEADS if head.balanced}
        self.class_weights |= {name: class_weights(table.labels[name]).to(place.device)
                               for name in EXTRA_HEADS if name in table.labels}
        self.data = {'faces': len(table), 'sha256': table.digest(), 'batch': counts}

    def schedule(self, now: Callable[[], tuple[int, float]]) -> LRScheduler:
        """Warm-up over steps, then a cosine over progress."""
        return cosine_schedule(self.optimizer, now, self.config.warmup_steps,
                               self.config.final_learning_rate_share)

    def losses(self, network: nn.Module, step: int, progress: float) -> dict[str, Tensor]:
        """The loss of each head at the crop size of this moment."""
        self.size = at(progress, self.config.sizes)
        return step_losses(network, self.batches.make(step, self.size), self.class_weights,
                           self.bfloat16, self.teacher)

    def facts(self) -> Mapping[str, float | int]:
        """The crop size."""
        return {'size': self.size}

    def validate(self, network: nn.Module, step: int) -> dict[str, float]:
        """`quick_scores` on val."""
        return validate(network, self.val_table, self.val_crops, self.size, self.bfloat16)

    def metadata(self) -> dict[str, Any]:
        """What both files say of the run; `network` builds it again."""
        return {'network': self.config.network.to_dict(), 'config': self.args.config.read_text(),
                'seed': self.args.seed, 'data': self.data, 'size': self.size}

    def tensors(self, network: nn.Module) -> Mapping[str, Tensor]:
        """The weights file's tensors."""
        return network.state_dict()


def run(args: argparse.Namespace) -> int:
    """Trains as the arguments say; the exit status."""
    check_budget(args)
    config = read_config(args.config, TrainConfig)
    use_threads(args.threads)
    with processes(args.device) as place:
        Run(args, AttributesTask(args, config, place), place).train()
    return 0


if __name__ == '__main__':
    command = argparse.ArgumentParser(description=__doc__,
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(command)
    sys.exit(run(command.parse_args()))
