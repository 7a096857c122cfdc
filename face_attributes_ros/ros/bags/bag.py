# SPDX-License-Identifier: Apache-2.0
"""Bags in and out, by the library rosbags: rosbag2's folders or single files, mcap and sqlite3."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from face_attributes_ros.errors import DataError, OutputError, ParameterError
from face_attributes_ros.paths import printable
from face_attributes_ros.share import PACKAGE, share_file

STORAGES = ('mcap', 'sqlite3')
IMAGES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
INFO = 'sensor_msgs/msg/CameraInfo'
ARRAY = f'{PACKAGE}/msg/FaceAttributesArray'
_NO_HASH = 'RIHS01_' + 64 * '0'
"""For types of old bags that say neither their hash nor their definition."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A bag to read, as rosbags' Reader; DataError for what is none."""
    try:
        reader = Reader(path)
        reader.open()
    except Exception as error:  # rosbags raises what its storages raise
        raise DataError(f'{printable(path)}: cannot be read as a bag, {error}') from error
    with closing(reader):
        yield reader


def messages(path: Path, reader: Any) -> Iterator[tuple[Connection, int, bytes]]:
    """Connection, time in nanoseconds and content of each message; DataError where the bag is
    damaged."""
    there = iter(reader.messages())
    while True:
        try:
            message = next(there)
        except StopIteration:
            return
        except Exception as error:
            raise DataError(f'{printable(path)}: is damaged, {error}') from error
        yield message


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag: a folder with metadata.yaml, or a file called like one."""
    return (path / 'metadata.yaml').is_file() or (
        path.suffix in ('.mcap', '.db3') and path.is_file())


def storage_of(path: Path) -> str:
    """The storage that a bag has."""
    files = [path] if path.is_file() else sorted(path.iterdir())
    return 'sqlite3' if any('.db3' in file.suffixes for file in files) else 'mcap'


def cameras_of(connections: Sequence[Connection], asked: Sequence[str]) -> list[str]:
    """The image topics to look at: those asked for, else the only one there is, JPEGs beside a raw
    image and depth images aside. ParameterError where that does not say which."""
    there = [each.topic for each in connections if each.msgtype in IMAGES]
    missing = sorted(set(asked) - set(there))
    if missing:
        raise ParameterError(f'the bag has no images on {", ".join(missing)}, but on '
                             f'{", ".join(sorted(set(there))) or "no topic at all"}')
    if asked:
        return list(dict.fromkeys(asked))
    found = sorted({topic for topic in there if 'depth' not in topic.lower()
                    and topic.rpartition('/')[0] not in there})
    if len(found) != 1:
        raise ParameterError('the bag has images on '
                             f'{", ".join(found) or "no topic"}: --image TOPIC says which '
                             'to look at, several times for several')
    return found


class Copy:
    """A bag that is being written: what another has, and topics of ours. It is made under
    `NAME.part` and has its name once it is whole. OutputError where it cannot be written."""

    def __init__(self, path: Path, reader: Any, storage: str, ours: dict[str, str]) -> None:
        self._path = path
        self._part = path.with_name(f'{path.name}.part')
        shutil.rmtree(self._part, ignore_errors=True)  # of a run that was broken off
        self._store = _typestore()
        plugin = StoragePlugin.MCAP if storage == 'mcap' else StoragePlugin.SQLITE3
        # The older of the two versions that rosbags writes: releases before Kilted read it, too.
        self._writer = Writer(self._part, version=8, storage_plugin=plugin)
        with self._said():
            self._writer.open()
            self._copies = {each.id: self._copied(each) for each in reader.connections}
            self._ours = {topic: self._writer.add_connection(
                topic, kind, typestore=self._store, offered_qos_profiles=[_RELIABLE])
                for topic, kind in ours.items()}

    def _copied(self, connection: Connection) -> Connection:
        known, ext = connection.msgtype in self._store.fielddefs, connection.ext
        msgdef, digest = connection.msgdef.data, connection.digest
        if known and not msgdef:
            msgdef, _ = self._store.generate_msgdef(connection.msgtype, ros_version=2)
        if known and not digest:
            digest = self._store.hash_rihs01(connection.msgtype)
        return self._writer.add_connection(
            connection.topic, connection.msgtype, msgdef=msgdef, rihs01=digest or _NO_HASH,
            offered_qos_profiles=getattr(ext, 'offered_qos_profiles', ()))

    def keep(self, connection: Connection, time_ns: int, data: bytes) -> None:
        """Writes a message as it was."""
        with self._said():
            self._writer.write(self._copies[connection.id], time_ns, data)

    def add(self, topic: str, time_ns: int, data: bytes) -> None:
        """Writes a message of ours."""
        with self._said():
            self._writer.write(self._ours[topic], time_ns, data)

    def finish(self) -> None:
        """Gives the bag its name."""
        with self._said():
            self._writer.close()
            self._part.rename(self._path)

    def abandon(self) -> None:
        """Takes away what there is of it."""
        self._writer.abort()
        shutil.rmtree(self._part, ignore_errors=True)

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # of the storages: OSError, apsw's and sqlite's own
            raise OutputError(f'cannot write {printable(self._path)}: {error}') from error


_FOREVER = QosTime(9223372036, 854775807)  # rmw's
_RELIABLE = Qos(QosHistory.KEEP_LAST, 5, QosReliability.RELIABLE, QosDurability.VOLATILE,
                _FOREVER, _FOREVER, QosLiveliness.AUTOMATIC, _FOREVER, False)


def _typestore() -> Any:
    store = get_typestore(Stores.ROS2_JAZZY)
    for path in sorted(share_file('msg/FaceAttributesArray.msg').parent.glob('*.msg')):
        store.register(get_types_from_msg(path.read_text(), f'{PACKAGE}/msg/{path.stem}'))
    return store
