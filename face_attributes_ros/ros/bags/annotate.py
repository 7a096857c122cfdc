# SPDX-License-Identifier: Apache-2.0
"""A recorded bag to one that has our messages besides:

    face-attributes annotate-bag drive/ drive_faces/ --annotated

Every image is looked at, with its own stamp, as fast as the machine can. What a run that was
broken off had found is kept beside OUT, in OUT.journal: the same command goes on from there, and
OUT is the same as if it had never been broken off.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from face_attributes_ros import options
from face_attributes_ros.build import build_pipeline
from face_attributes_ros.console import say
from face_attributes_ros.errors import ImageError, OutputError, ParameterError
from face_attributes_ros.paths import expanded, printable
from face_attributes_ros.pipeline import Pipeline
from face_attributes_ros.ros.bags.bag import (
    IMAGES,
    INFO,
    STORAGES,
    Copy,
    cameras_of,
    messages,
    opened,
    storage_of,
)
from face_attributes_ros.ros.bags.camera import BagCamera, Names
from face_attributes_ros.ros.bags.journal import Journal
from face_attributes_ros.ros.bags.memory import Tape, remembered
from face_attributes_ros.settings import Settings

FLAGS = {'--threshold': 'detector_confidence', '--rotate': 'image_rotation',
         '--detector': 'detector_model', '--attributes': 'attributes_model', '--device': 'device',
         '--precision': 'precision'}


@dataclass(frozen=True)
class Wish:
    """What is to be done with a bag: the image topics (empty: the only one), the namespace of our
    topics, whether to draw, the storage (empty: as it is), whether to show a bar."""

    topics: tuple[str, ...] = ()
    namespace: str = '/face_attributes'
    draw: bool = False
    storage: str = ''
    bar: bool = False


@dataclass
class Report:
    """What was done: images looked at, those of them that an earlier run had looked at, those that
    could not be read, the bag's length and the time it took in seconds."""

    images: int = 0
    told_before: int = 0
    unreadable: int = 0
    bag_s: float = 0.
    took_s: float = 0.

    def __str__(self) -> str:
        """In words."""
        words = [f'{self.images} images of {self.bag_s:.1f} s in {self.took_s:.1f} s']
        if self.took_s > 0:
            words.append(f'{self.bag_s / self.took_s:.1f} times real time')
        if self.told_before:
            words.append(f'{self.told_before} of them looked at by a run before')
        if self.unreadable:
            words.append(f'{self.unreadable} more could not be read')
        return ', '.join(words)


def names_of(topics: Sequence[str], namespace: str) -> list[Names]:
    """The cameras of image topics: without a name if there is one, else called like their
    topics."""
    found = []
    for topic in topics:
        camera = '' if len(topics) == 1 else re.sub(
            r'\W+', '_', topic.removesuffix('/compressed').strip('/'))
        home = ''.join(f'/{part}' for part in (namespace.strip('/'), camera) if part)
        found.append(Names(camera, topic, f'{home}/faces', f'{home}/image_annotated/compressed'))
    return found


def annotate_bag(source: Path, target: Path, settings: Settings, wish: Wish,
                 make_pipeline: Callable[[Settings], Pipeline] = build_pipeline,
                 on_error: Callable[[ImageError], object] = lambda error: None) -> Report:
    """Writes what a bag has and our messages into a new one. OutputError if that is there already
    or cannot be written, DataError or ParameterError for a bag with which it cannot be done;
    `on_error` gets each image that cannot be read."""
    if target.exists():
        raise OutputError(f'{printable(target)} is there already')
    start = perf_counter()
    with opened(source) as reader:
        names = names_of(cameras_of(reader.connections, wish.topics), wish.namespace)
        settings = replace(settings, cameras=tuple(each.camera for each in names))
        taken = {topic for each in names for topic in each.ours(wish.draw)} & set(reader.topics)
        if taken:
            raise ParameterError(f'{printable(source)} has {", ".join(sorted(taken))} already: '
                                 '--namespace says where else to write')
        work = _Work(messages(source, reader), reader, names, settings, wish, make_pipeline,
                     on_error)
        with _journal(source, target, reader, settings, wish) as journal:
            work.run(journal, Copy(target, reader, wish.storage or storage_of(source),
                                   {topic: kind for each in names
                                    for topic, kind in each.ours(wish.draw).items()}))
        work.report.bag_s = reader.duration * 1e-9
    work.report.took_s = perf_counter() - start
    return work.report


@contextmanager
def _journal(source: Path, target: Path, reader: Any, settings: Settings,
             wish: Wish) -> Iterator[Journal]:
    # Another recording, or other settings, are another matter.
    about = {'bag': str(source.absolute()), 'messages': reader.message_count,
             'start_ns': reader.start_time, 'duration_ns': reader.duration,
             'topics': list(wish.topics), 'settings': repr(settings)}
    journal, done = Journal(target.with_name(f'{target.name}.journal'), about), False
    try:
        yield journal
        done = True
    finally:
        journal.close(done=done)


class _Work:
    """One bag, message by message."""

    def __init__(self, stream: Iterator[Any], reader: Any, names: Sequence[Names],
                 settings: Settings, wish: Wish, make_pipeline: Callable[[Settings], Pipeline],
                 on_error: Callable[[ImageError], object]) -> None:
        tape = Tape()
        pipeline = remembered(make_pipeline(settings), settings, tape)
        kinds = {each.topic: each.msgtype for each in reader.connections
                 if each.msgtype in IMAGES}
        cameras = [BagCamera(each, kinds[each.image], pipeline, tape, wish.draw) for each in names]
        self._messages = _barred(stream, reader.message_count) if wish.bar else stream
        self._on_error = on_error
        self._looks = {camera.names.image: camera for camera in cameras}
        self._learns = {camera.names.info: camera for camera in cameras}
        self.report = Report()

    def run(self, journal: Journal, copy: Copy) -> None:
        """Copies every message, and adds ours behind each image."""
        try:
            for connection, time_ns, data in self._messages:
                copy.keep(connection, time_ns, data)
                if connection.topic in self._learns and connection.msgtype == INFO:
                    self._learns[connection.topic].learn(data)
                elif connection.topic in self._looks and connection.msgtype in IMAGES:
                    self._look(self._looks[connection.topic], time_ns, data, journal, copy)
            copy.finish()
        except BaseException:
            copy.abandon()
            raise

    def _look(self, camera: BagCamera, time_ns: int, data: bytes, journal: Journal,
              copy: Copy) -> None:
        told = journal.told.popleft() if journal.told else None
        try:
            entry, written = camera.look(data, time_ns, told)
        except ImageError as error:
            entry, written = {'unreadable': str(error)}, []
            self._on_error(error)
            self.report.unreadable += 1
        else:
            self.report.images += 1
            self.report.told_before += told is not None
        if told is None:
            journal.write(entry)
        for topic, message in written:
            copy.add(topic, time_ns, message)


def _barred(stream: Iterator[Any], count: int) -> Iterator[Any]:
    from tqdm import tqdm

    return iter(tqdm(stream, total=count, unit='message', file=sys.stderr))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the arguments of `face-attributes annotate-bag`."""
    parser.add_argument('source', metavar='IN', type=Path,
                        help='a bag of rosbag2: its folder, or one .mcap or .db3')
    parser.add_argument('target', metavar='OUT', type=Path, help='the new bag, a folder')
    add_wish(parser)
    options.add_arguments(parser, Settings, FLAGS)


def add_wish(parser: argparse.ArgumentParser) -> None:
    """Declares what `wish_of` reads."""
    parser.add_argument('--image', action='append', default=[], metavar='TOPIC',
                        help='images to look at (default: the only ones there are)')
    parser.add_argument('--namespace', default='/face_attributes', help='of our topics')
    parser.add_argument('--annotated', action='store_true',
                        help='write annotated images, too, as JPEG')
    parser.add_argument('--storage', choices=STORAGES, default='', help='(default: that of IN)')


def wish_of(args: argparse.Namespace, *, bar: bool) -> Wish:
    """What the arguments ask for."""
    return Wish(tuple(args.image), args.namespace, args.annotated, args.storage, bar)


def run(args: argparse.Namespace) -> int:
    """Annotates the bag that the arguments name; 1 if an image in it could not be read."""
    settings = options.from_arguments(Settings, args, FLAGS)
    first: list[ImageError] = []
    report = annotate_bag(expanded(args.source), expanded(args.target), settings,
                          wish_of(args, bar=True), on_error=first.append)
    if first:
        print(f'face-attributes: {first[0]} (the first of {len(first)})', file=sys.stderr)
    say(f'{printable(args.target)}: {report}')
    return 1 if report.unreadable else 0
