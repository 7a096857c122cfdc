# SPDX-License-Identifier: Apache-2.0
"""Where config/, launch/ and models/ are: share/ of the installation that this code runs from, or
the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from face_attributes_ros.errors import FaceAttributesError

PACKAGE = 'face_attributes_ros'
_HERE = Path(__file__).absolute()  # not resolved: a symlink install is its prefix, not its source


def share_file(name: str, module: Path = _HERE) -> Path:
    """A file of ours, as `config/face_attributes.yaml`.

    FaceAttributesError names the folders that were searched. `module` is where this code lies.
    """
    folders = list(_folders(module))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FaceAttributesError(
        f'{name} is in none of {", ".join(map(str, folders))}: is {PACKAGE} installed?')


def _folders(module: Path) -> Iterator[Path]:
    """Ament's index, the checkout, and share/ of an environment that nobody has sourced (pip)."""
    indexed = _indexed()
    # Of two installations only the one that holds this code counts: an editable install leaves
    # copies in its environment, which grow old while the checkout goes on.
    if indexed is not None and indexed.parents[1] in module.parents:
        yield indexed
    if (module.parents[1] / 'package.xml').is_file():
        yield module.parents[1]
    # PREFIX/lib/pythonX/site-packages/PACKAGE, PREFIX/local/lib/pythonX/dist-packages/PACKAGE
    shares = (prefix / 'share' / PACKAGE for prefix in module.parents)
    yield from (share for share in shares if share.is_dir() and share != indexed)


def _indexed() -> Path | None:
    try:
        from ament_index_python.packages import get_package_share_directory
    except ModuleNotFoundError:  # without ROS
        return None
    try:
        return Path(get_package_share_directory(PACKAGE))
    except (LookupError, OSError):  # not in the index; AMENT_PREFIX_PATH is not set
        return None
