# SPDX-License-Identifier: Apache-2.0
"""What has to be set before ROS starts, and the shared memory it works with.

Each of these changes the whole process, which is why it is done here and nowhere else: the DDS
profile, since Fast DDS reads it once; the log folder, without which rclpy does not start; malloc's
thresholds, since they are glibc's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from face_attributes_ros.errors import FaceAttributesError
from face_attributes_ros.share import share_file

SHARED_MEMORY = Path('/dev/shm')
LARGE, SMALL = 'config/fastdds_large_images.xml', 'config/fastdds_small_memory.xml'
TRANSPORTS = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
              'FASTDDS_BUILTIN_TRANSPORTS')
"""Whoever sets one of these has decided how DDS transports; we then set nothing."""
DEFAULT_SEGMENT = 512 << 10
"""Bytes of shared memory that a participant takes where no profile says more."""


class SharedMemoryError(FaceAttributesError):
    """Too little shared memory to start: Fast DDS would end in SIGBUS without a word."""


def prepare_environment() -> None:
    """Sets what has to be set before ROS starts; SharedMemoryError where it could not start."""
    if not any(os.environ.get(name) for name in TRANSPORTS):
        os.environ['FASTDDS_DEFAULT_PROFILES_FILE'] = str(dds_profile())
    check_shared_memory()
    _choose_log_folder()
    keep_large_buffers()


def dds_profile() -> Path:
    """The profile for large images where shared memory has room for four of its segments, which is
    a camera, the node, a viewer and one more; else the small one, which a line on stderr says."""
    large = share_file(LARGE)
    free = free_shared_memory()
    if free is None or free >= 4 * needed(segment_bytes(large)):
        return large
    print(f'{SHARED_MEMORY} has {free >> 20} MiB free: Fast DDS gets small segments, through '
          'which raw images above 1920x1200 are lost (docker run --shm-size=1g gives more)',
          file=sys.stderr)
    return share_file(SMALL)


def check_shared_memory() -> None:
    """SharedMemoryError where Fast DDS has no room for its segment."""
    need, free = shared_memory_need(), free_shared_memory()
    if free is not None and free < need:
        raise SharedMemoryError(
            f'{SHARED_MEMORY} has {free / 2**20:.1f} MiB free, Fast DDS needs {need / 2**20:.1f}: '
            'remove what lies there (fastdds shm clean), give a container more '
            '(docker run --shm-size=1g), or set FASTDDS_BUILTIN_TRANSPORTS=UDPv4')


def shared_memory_need(profile: str | None = None) -> int:
    """Bytes of /dev/shm that DDS takes with a profile, by default the environment's; 0 where it
    does without."""
    if not _uses_shared_memory():
        return 0
    path = os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE', '') if profile is None else profile
    return needed(segment_bytes(Path(path)) if path else DEFAULT_SEGMENT)


def _uses_shared_memory() -> bool:
    fast = os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp').startswith('rmw_fastrtps')
    return fast and not os.environ.get('FASTDDS_BUILTIN_TRANSPORTS', '').startswith('UDP')


def needed(segment: int) -> int:
    """Bytes of /dev/shm that a participant with such a segment takes: 5 % more, and its ports."""
    return segment + segment // 20 + (1 << 20) if segment else 0


def free_shared_memory() -> int | None:
    """Bytes free in /dev/shm; None where there is none, on systems that keep it elsewhere."""
    try:
        status = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def segment_bytes(profile: Path) -> int:
    """The largest segment that a Fast DDS profile asks for; 0 where it uses no shared memory."""
    try:
        tree = ElementTree.parse(profile)
    except (OSError, ElementTree.ParseError):
        return DEFAULT_SEGMENT  # Fast DDS says what is wrong with it, and goes on without
    said = {tag: [node.text or '' for node in tree.iter() if node.tag.endswith(f'}}{tag}')]
            for tag in ('segment_size', 'useBuiltinTransports', 'type')}
    if 'false' in said['useBuiltinTransports'] and 'SHM' not in said['type']:
        return 0
    return max((int(size) for size in said['segment_size'] if size.isdigit()),
               default=DEFAULT_SEGMENT)


def close_to_other_users() -> None:
    """Takes the right to read this process's shared memory, where rows of images pass, from other
    users of the machine.

    Fast DDS makes its segments 0644 whatever the umask is. No reader is lost: other users' DDS
    cannot write to our ports as it is.
    """
    for path in _mapped_segments():
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o600)


def leave_shared_memory() -> None:
    """Takes what Fast DDS made in shared memory for this process out of it, where it has no time
    to tidy up; whoever has a segment mapped keeps it. Without, 8 MiB stay until the next boot."""
    for path in _own_segments():
        for each in (path, path.with_name(f'{path.name}_el')):
            with contextlib.suppress(OSError):
                each.unlink()


def _own_segments() -> list[Path]:
    # Segments of others are mapped just as ours are; a lock is held on ours alone.
    found = []
    for handle in Path('/proc/self/fd').glob('*'):
        with contextlib.suppress(OSError):  # closed by now, the one that lists among them
            match = re.fullmatch(rf'({SHARED_MEMORY}/fastdds_[0-9a-f]{{16}})_el',
                                 os.readlink(handle))
            found += [Path(match[1])] if match else []
    return found


def _mapped_segments() -> list[Path]:
    try:
        maps = Path('/proc/self/maps').read_text()
    except OSError:
        return []
    found = set(re.findall(rf'{SHARED_MEMORY}/fastdds_[0-9a-f]{{16}}$', maps, re.MULTILINE))
    return [Path(name) for name in sorted(found) if Path(name).is_file()]


def _choose_log_folder() -> None:
    # rclpy.init raises where it cannot make the folder for its logs. Where somebody has named one
    # that is so, it may.
    if os.environ.get('ROS_LOG_DIR'):
        return
    homes = [os.environ.get('ROS_HOME'), os.environ.get('HOME') and f'{os.environ["HOME"]}/.ros']
    wanted = next((Path(home) / 'log' for home in homes if home), None)
    if wanted is not None and _can_write(wanted):
        return
    folder = tempfile.mkdtemp(prefix='ros-log-')
    why = f'{wanted} cannot be written' if wanted else 'HOME is not set'
    print(f'ROS logs go to {folder}: {why}', file=sys.stderr)
    os.environ['ROS_LOG_DIR'] = folder


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def keep_large_buffers() -> None:
    """Keeps glibc from giving image-sized buffers back to the kernel after each frame: a third of
    the CPU at 1080p. One heap serves all threads, since each thread's own would keep them too:
    with cameras and transitions that come and go, 12 MB more a minute (bench.measure.soak)."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(-3, 1 << 28)  # M_MMAP_THRESHOLD
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
        mallopt(-8, 1)  # M_ARENA_MAX
