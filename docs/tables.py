# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of the README, the model card and docs/performance.md from the code and from measured files; a test holds them equal.

    python docs/tables.py            # rewrites what stands between `<!-- NAME -->` and `<!-- /NAME -->`
    python docs/tables.py --check    # exit status 1 if that would change a file
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / 'bench')]

from face_attributes_ros.markdown import filled, grid  # noqa: E402

RESULTS = ROOT / 'bench' / 'results'
PAGES = (ROOT / 'README.md', ROOT / 'models' / 'README.md', ROOT / 'docs' / 'performance.md')


def measured(name):
    """What a command wrote to bench/results/NAME.json."""
    return json.loads((RESULTS / f'{name}.json').read_text())


def attributes():
    """Our network and the peers, by measure."""
    from face_attributes_ros.training.attribute_card import summary_table

    return summary_table(measured('attributes'))


def detector():
    """AP and false positives of ours and the peers on the hard part of the test pictures."""
    results = measured('detector')
    hard, easy = results['parts']['multi'], results['parts']['fddb_te']
    rows = []
    for name, row in hard.items():
        false = [row[at]['false_positives_per_face_free_image'] for at in ('at_val_threshold', 'at_0.5')]
        figures = [row[key] for key in ('ap50', 'ap50_95', 'ap50_small', 'ap50_medium', 'ap50_large', 'best_f1')]
        rows.append([name, *map(_cell, [*figures, *false, easy[name]['ap50']])])
    return grid(['detector', 'AP@.5', 'AP@.5:.95', 'small', 'medium', 'large', 'best F1', 'false positives a face-free picture',
                 'the same at score 0.5', 'AP@.5, easy part'], rows)


def robustness():
    """AP@.5 under rotation, darkness and motion blur."""
    found = measured('detector')['robustness']
    changes = next(iter(found.values()))
    return grid(['AP@.5', *found], [[change, *(_cell(row[change]) for row in found.values())] for change in changes])


def _cell(value):
    return '' if value is None else f'{value:.3f}'


def speed():
    """The tables of bench/speed.py by name: `speed` for the README, the others for docs/performance.md."""
    import speed_tables

    return {name: lambda table=table: table(measured('speed'))
            for name, table in {'speed': speed_tables.readme, **speed_tables.TABLES}.items()}


def tables():
    """Every table by the name of its markers."""
    from face_attributes_ros.ros.api import TABLES

    return {**TABLES, 'attributes': attributes, 'detector': detector, 'robustness': robustness, **speed()}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='change nothing; exit status 1 if something would change')
    args = parser.parse_args(argv)
    stale = [page for page in PAGES if _rewrite(page, tables(), args.check)]
    return 1 if args.check and stale else 0


def _rewrite(page, known, check):
    old = page.read_text()
    new = filled(old, known)
    if new != old and not check:
        page.write_text(new)
    print(f'{page.relative_to(ROOT)}: {"as generated" if new == old else "stale" if check else "rewritten"}')
    return new != old


if __name__ == '__main__':
    sys.exit(main())
