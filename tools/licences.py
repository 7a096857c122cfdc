# SPDX-License-Identifier: Apache-2.0
"""docs/licences.md: what an install of the node brings, and all that is installed here.

    python -m tools.licences                    # the first table, from this environment
    python -m tools.licences build/sbom.json    # both, the second from the CycloneDX list

Exit code 1 where the node's own dependencies are under the AGPL.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from face_attributes_ros.engines.manifest import tomllib

EXTRAS = ('onnx', 'openvino', 'torch')
"""With these the node has every runtime that is not asked for by `detector.backend: ultralytics`.
"""
PAGE = Path('docs/licences.md')
HEAD = '''# Licences of what is installed

Licences are what the packages declare, in their metadata or in their `package.xml`, or else the
first words of their LICENSE, in quotes. Weights and data have terms of their own:
[model card](../models/README.md).

## What the node needs

All that `pip install "face_attributes_ros[onnx,openvino,torch]"` brings, the default install and
the runtimes; nothing of it is under the AGPL (tested). Made by `python -m tools.licences` from the
environment of `make venv`.

'''
ALL = '''## Everything here

Made by `make sbom` with cyclonedx-bom from the environment of `make venv`, which holds what
training, benchmarks and tests need besides; ultralytics (AGPL-3.0) is there for tests, the peers
of the benchmarks and its photographs. The full list, with package URLs, is `build/sbom.json`
(CycloneDX 1.6).

'''
COLUMNS = '| Package | Version | Licence |\n|---|---|---|\n'


def requirements() -> list[str]:
    """What pyproject.toml says that the node needs, with EXTRAS."""
    project = tomllib.loads(Path('pyproject.toml').read_text(encoding='utf-8'))['project']
    extras = project['optional-dependencies']
    return [*project['dependencies'], *(text for extra in EXTRAS for text in extras[extra])]


def brought(texts: Iterable[str]) -> dict[str, Distribution]:
    """What requirements bring, by name, and what that needs in turn; what is not installed here
    is left out."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in texts]
    seen: set[tuple[str, str]] = set()
    while waiting:
        need = waiting.pop()
        for extra in ('', *sorted(need.extras)):
            key = canonicalize_name(need.name), extra
            if key in seen or need.marker and not need.marker.evaluate({'extra': ''}):
                continue
            seen.add(key)
            with suppress(PackageNotFoundError):
                found[key[0]] = distribution(need.name)
                waiting += _next(found[key[0]], extra)
    return found


def _next(package: Distribution, extra: str) -> list[Requirement]:
    # What a distribution needs with one of its extras, or without: the marker has been looked at.
    needs = [Requirement(text) for text in package.requires or ()]
    held = [need for need in needs
            if need.marker is None or need.marker.evaluate({'extra': extra})]
    for need in held:
        need.marker = None
    return held


def declared(package: Distribution) -> str:
    """The licence that an installed distribution declares: its expression, its classifiers, its
    words, those of the package.xml that it brings, or how its LICENSE begins."""
    about = package.metadata
    said = about.get_all('License-Expression') or ['']
    if not said[0]:
        said = [each.rpartition(' :: ')[2] for each in about.get_all('Classifier') or ()
                if each.startswith('License ::')]
    if not any(said):
        said = [text.strip().partition('\n')[0][:80] for text in about.get_all('License') or ()]
    if not any(said):
        said = [text for path in package.files or () if path.name == 'package.xml'
                for text in _in_package_xml(Path(str(path.locate())))]
    if not any(said):
        said = [f'"{_first_line(package, name)}"' for name in about.get_all('License-File') or ()]
    return ', '.join(sorted(set(filter(None, said)))) or 'none declared'


def _first_line(package: Distribution, name: str) -> str:
    text = package.read_text(f'licenses/{name}') or package.read_text(name) or name
    return text.strip().partition('\n')[0][:60]


def _in_package_xml(path: Path) -> list[str]:
    root = ElementTree.parse(path).getroot()
    return [' '.join((each.text or '').split()) for each in root.iter('license')]


def is_agpl(words: str) -> bool:
    """Whether these words name the GNU Affero licence."""
    return bool(re.search('AGPL|Affero', words, re.IGNORECASE))


def needed() -> list[tuple[str, str, str]]:
    """Name, version and licence of all that the node needs, by name."""
    return sorted((name, package.version, declared(package))
                  for name, package in brought(requirements()).items())


def licence(component: Mapping[str, Any]) -> str:
    """What a component declares: an SPDX expression, identifiers, or the words it has."""
    said = []
    for each in component.get('licenses', ()):
        one = each.get('license', {})
        words = each.get('expression') or one.get('id') or one.get('name') or ''
        said.append(words.removeprefix('License :: OSI Approved :: ').splitlines()[0][:80])
    return ', '.join(sorted(set(filter(None, said)))) or 'none declared'


def everything(bill: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, version and licence of a CycloneDX document's components but ourselves, by name."""
    return sorted((each['name'].lower(), each.get('version', ''), licence(each))
                  for each in bill['components'] if each['name'] != 'face_attributes_ros')


def table(rows: Iterable[tuple[str, str, str]]) -> str:
    """The rows in Markdown."""
    return COLUMNS + ''.join(f'| {name} | {version} | {words} |\n'
                             for name, version, words in rows)


def page(needs: Iterable[tuple[str, str, str]], rest: str) -> str:
    """The page with these rows, and `rest` behind the second heading."""
    return f'{HEAD}{table(needs)}\n{ALL}{rest}'


def main(arguments: list[str]) -> int:
    """Writes the page."""
    if arguments:
        rest = table(everything(json.loads(Path(arguments[0]).read_text(encoding='utf-8'))))
    else:
        rest = COLUMNS + PAGE.read_text(encoding='utf-8').rpartition(COLUMNS)[2]
    needs = needed()
    PAGE.write_text(page(needs, rest), encoding='utf-8')
    wrong = [name for name, _, words in needs if is_agpl(words)]
    if wrong:
        print(f'licences: the node needs {", ".join(wrong)}, under the AGPL', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
