# SPDX-License-Identifier: Apache-2.0
"""Many bags and videos at once, on the processes of Dask:

    face-attributes batch recordings/ films/ --out annotated/ --workers 4
    face-attributes batch recordings/ --out annotated/ --scheduler tcp://cluster:8786

Each bag becomes a bag in OUT, each video a folder there, under its own name. What is there already
is done and left alone, so that the same command goes on after whatever happened; a worker that is
killed costs what it was at, which another takes up again (bags where they were, videos from the
beginning).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, as_completed

from face_attributes_ros import options
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.console import say
from face_attributes_ros.errors import FaceAttributesError, ParameterError
from face_attributes_ros.films import run as films
from face_attributes_ros.films.watch import Watcher
from face_attributes_ros.paths import expanded, printable
from face_attributes_ros.pictures.video import is_video
from face_attributes_ros.pictures.writer import make_folder
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.ros.bags.annotate import (
    FLAGS,
    Wish,
    add_wish,
    annotate_bag,
    wish_of,
)
from face_attributes_ros.ros.bags.bag import is_bag
from face_attributes_ros.settings import Settings

MakePipeline = Callable[[Settings], Pipeline]


@dataclass(frozen=True)
class Job:
    """A bag or a video, and what it becomes."""

    source: Path
    target: Path
    settings: Settings
    wish: Wish


@dataclass(frozen=True)
class Outcome:
    """What became of a job, in words, and whether all went well."""

    source: Path
    words: str
    good: bool = True


def jobs_of(paths: Iterable[Path], out: Path, settings: Settings, wish: Wish) -> list[Job]:
    """A job a bag or video among the paths and in the folders among them; ParameterError where
    there is none. Two of one name become NAME and NAME_2."""
    sources = sorted({found for path in paths for found in _found(expanded(path))})
    if not sources:
        raise ParameterError('there is no bag and no video among ' +
                             ', '.join(map(printable, paths)))
    seen: Counter[str] = Counter()
    jobs = []
    for source in sources:
        name = source.stem if source.is_file() else source.name
        seen[name] += 1
        number = f'_{seen[name]}' if seen[name] > 1 else ''
        jobs.append(Job(source.absolute(), out.absolute() / f'{name}{number}', settings, wish))
    return jobs


def _found(path: Path) -> Iterator[Path]:
    if is_bag(path) or (path.is_file() and is_video(path)):
        yield path
    elif path.is_dir():
        for one in sorted(path.iterdir()):
            yield from _found(one)


def work(job: Job, make_pipeline: MakePipeline = build_pipeline) -> Outcome:
    """Does a job, in whatever process this is; what is wrong with its input is its outcome."""
    if job.target.exists():
        return Outcome(job.source, 'done before')
    try:
        if is_bag(job.source):
            report = annotate_bag(job.source, job.target, job.settings, job.wish, make_pipeline)
            return Outcome(job.source, str(report), not report.unreadable)
        return _watch(job, make_pipeline)
    except FaceAttributesError as error:
        return Outcome(job.source, str(error), False)


def _watch(job: Job, make_pipeline: MakePipeline) -> Outcome:
    part = job.target.with_name(f'{job.target.name}.part')
    shutil.rmtree(part, ignore_errors=True)  # of a worker that was killed
    errors: list[FaceAttributesError] = []
    history = films.tell(Watcher(make_pipeline(job.settings)), job.source,
                         films.Told(out=part, bar=False, summary=False), errors.append)
    part.rename(job.target)
    words = f'{history.frames} frames, {len(history.lives)} tracks'
    return Outcome(job.source, ', '.join([words, *map(str, errors)]), not errors)


def run_jobs(client: Client, jobs: Sequence[Job],
             make_pipeline: MakePipeline = build_pipeline) -> Iterator[Outcome]:
    """The outcomes as they come. A job whose workers die again and again is one, too."""
    futures = {client.submit(work, job, make_pipeline, pure=False): job for job in jobs}
    for future in as_completed(list(futures)):
        error = future.exception()
        if error is None:
            yield future.result()
        else:
            yield Outcome(futures[future].source, f'{type(error).__name__}: {error}', False)


@contextmanager
def connected(scheduler: str, workers: int) -> Iterator[Client]:
    """A client of the scheduler at an address, or of new processes of this machine."""
    if scheduler:
        try:
            client = Client(scheduler, timeout='10s')
        except OSError as error:
            raise ParameterError(f'--scheduler {scheduler}: cannot be reached, {error}') from error
        with client:
            yield client
        return
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            yield client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `face-attributes batch`."""
    parser.add_argument('paths', nargs='+', metavar='PATH', type=Path,
                        help='bags, videos, and folders of them')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='where all goes')
    parser.add_argument('--workers', type=int, default=max(1, (os.cpu_count() or 1) // 2),
                        help='processes of this machine (default: half of its processors)')
    parser.add_argument('--scheduler', default='', metavar='ADDRESS',
                        help="of a Dask cluster, all of whose machines see the same files")
    add_wish(parser)
    options.add_arguments(parser, Settings, FLAGS)


def run(args: argparse.Namespace) -> int:
    """Does what the arguments name; 1 if anything of it failed."""
    if args.workers < 1:
        raise ParameterError(f'--workers is {args.workers}, needs 1 or more')
    settings = options.from_arguments(Settings, args, FLAGS)
    if not settings.threads:  # as many networks run as there are workers
        share = max(1, (os.cpu_count() or 1) // args.workers)
        settings = replace(settings, threads=share)
    jobs = jobs_of(args.paths, make_folder(args.out), settings, wish_of(args, bar=False))
    failed = 0
    with connected(args.scheduler, min(args.workers, len(jobs))) as client:
        for outcome in _barred(run_jobs(client, jobs), len(jobs)):
            failed += not outcome.good
            tell = say if outcome.good else _complain
            tell(f'{printable(outcome.source)}: {outcome.words}')
    return 1 if failed else 0


def _complain(words: str) -> None:
    print(f'face-attributes: {words}', file=sys.stderr)


def _barred(outcomes: Iterator[Outcome], count: int) -> Any:
    from tqdm import tqdm

    return tqdm(outcomes, total=count, unit='file', file=sys.stderr)
