# SPDX-License-Identifier: Apache-2.0
"""Copies what the documentation site is made of into build/site_source: the pages, where they lie
in the checkout, and every file that they link to. mkdocs.yml has the order; `make site` builds.

    python -m tools.site
"""

import re
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.pages import DOCS, ROOT

SOURCE = ROOT / 'build' / 'site_source'
_LINK = re.compile(r'\]\((?!https?://|mailto:|#)([^)#\s]+)')


def pages() -> list[Path]:
    """The pages of the site."""
    tops = ('README', 'SECURITY', 'CONTRIBUTING', 'CHANGELOG', 'models/README')
    return [*(ROOT / f'{name}.md' for name in tops), *sorted(DOCS.glob('*.md'))]


def linked(page: Path) -> list[Path]:
    """The files of the checkout that a page links to."""
    found = {(page.parent / link).resolve() for link in _LINK.findall(page.read_text())}
    return sorted(path for path in found if path.is_file() and ROOT in path.parents)


def copy(paths: Iterable[Path], target: Path) -> None:
    """Copies files of the checkout below a folder, under the paths that they have."""
    for path in paths:
        there = target / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)


def main(target: Path = SOURCE) -> int:
    """Makes the folder anew; the exit status."""
    shutil.rmtree(target, ignore_errors=True)
    all_pages = pages()
    copy({*all_pages, *(path for page in all_pages for path in linked(page))}, target)
    return 0


if __name__ == '__main__':
    sys.exit(main())
