# SPDX-License-Identifier: Apache-2.0
"""Fetch weights that are too large for this repository, from URLs that the user names, checked by
SHA-256.

    face-attributes fetch-weights my_weights.toml --out models

The list is TOML, one table a file; we ship none, because we host none:

    [weights.detector_full]
    url = "https://..."          # https, http or file
    sha256 = "64 hex digits"
    file = "detector_full.onnx"  # a plain name, written below --out
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from face_attributes_ros.engines.models import file_sha256
from face_attributes_ros.errors import ModelError, ParameterError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, ROS 2 Humble
    import tomli as tomllib

SCHEMES = ('https', 'http', 'file')
TIMEOUT_S = 60
_BLOCK = 1 << 20
_PATTERNS = {'url': r'[a-z]+:.+', 'sha256': r'[0-9a-f]{64}', 'file': r'\w[\w.-]*'}


@dataclass(frozen=True)
class Source:
    """One file to fetch: where it is, what it must hash to, and its name."""

    name: str
    url: str
    sha256: str
    file: str


def add_arguments(parser):
    """The command line of `fetch-weights`."""
    parser.add_argument('list', type=Path, help='TOML with url, sha256 and file a table')
    parser.add_argument('--out', type=Path, default=Path('models'), help='folder to write to')


def run(args):
    """Fetches what is missing; returns the exit status."""
    sources = read_list(args.list)
    args.out.mkdir(parents=True, exist_ok=True)
    for source in sources:
        print(f'{source.name}: {fetch(source, args.out)}')
    return 0


def read_list(path):
    """The sources of a TOML list. Raises ParameterError naming the table and key that is wrong."""
    try:
        tables = tomllib.loads(Path(path).read_text(encoding='utf-8')).get('weights', {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ParameterError(f'weights list {path}: {error}') from error
    if not tables:
        raise ParameterError(f'weights list {path} has no table [weights.NAME]')
    return [_source(name, table, path) for name, table in tables.items()]


def _source(name, table, path):
    for key, pattern in _PATTERNS.items():
        value = table.get(key)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ParameterError(
                f'weights list {path}: weights.{name}.{key} is {value!r}, needs {pattern}')
    if table['url'].split(':')[0] not in SCHEMES:
        raise ParameterError(f'weights list {path}: weights.{name}.url is {table["url"]!r}, '
                             f'needs {", ".join(SCHEMES)}')
    return Source(name, *(table[key] for key in _PATTERNS))


def fetch(source, folder):
    """The path of the verified file; a file that is there already and matches is kept.

    Raises ModelError where the bytes do not match; nothing is left behind then.
    """
    path = Path(folder) / source.file
    if path.is_file() and file_sha256(path) == source.sha256:
        return path
    part = path.with_name(f'{path.name}.part{os.getpid()}')
    try:
        found = _download(source, part)
        if found != source.sha256:
            raise ModelError(
                f'{source.name}: {source.url} has sha256 {found}, the list says {source.sha256}')
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _download(source, part):
    """Writes the URL's bytes to `part` and returns their SHA-256."""
    from tqdm import tqdm

    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(source.url,
                                    timeout=TIMEOUT_S) as reply, part.open('wb') as file:
            total = int(reply.headers.get('Content-Length') or 0) or None
            with tqdm(total=total, unit='B', unit_scale=True, disable=None,
                      file=sys.stderr) as bar:
                while block := reply.read(_BLOCK):
                    file.write(block)
                    digest.update(block)
                    bar.update(len(block))
    except (urllib.error.URLError, OSError) as error:
        raise ModelError(f'{source.name}: {source.url} cannot be fetched: {error}') from error
    return digest.hexdigest()
