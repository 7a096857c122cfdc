# SPDX-License-Identifier: Apache-2.0
"""Rewrites what stands between `<!-- NAME -->` and `<!-- /NAME -->` on pages, or says which are
stale."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from face_attributes_ros.markdown import filled

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / 'docs'
RESULTS = ROOT / 'bench' / 'results'
Tables = Mapping[str, Callable[[], str]]


def run(about: str | None, pages: Sequence[Path], tables: Tables,
        argv: Sequence[str] | None = None) -> int:
    """Fills the pages with the tables; the exit status, 1 where `--check` found a stale one."""
    parser = argparse.ArgumentParser(description=(about or '').splitlines()[0])
    parser.add_argument('--check', action='store_true',
                        help='change nothing; exit status 1 if something would change')
    args = parser.parse_args(argv)
    stale = [page for page in pages if _rewrite(page, tables, args.check)]
    return 1 if args.check and stale else 0


def _rewrite(page: Path, tables: Tables, check: bool) -> bool:
    old = page.read_text()
    new = filled(old, tables)
    if new != old and not check:
        page.write_text(new)
    state = 'as generated' if new == old else 'stale' if check else 'rewritten'
    print(f'{page.relative_to(ROOT)}: {state}')
    return new != old
