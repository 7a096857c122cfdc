# SPDX-License-Identifier: Apache-2.0
"""Fills the README's tables from the code and from measured files; a test holds them equal.

    python docs/tables.py            # rewrites what stands between `<!-- NAME -->` and `<!-- /NAME -->`
    python docs/tables.py --check    # exit status 1 if that would change the file
"""

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from face_attributes_ros.markdown import filled, grid  # noqa: E402

RESULTS = ROOT / 'bench' / 'results'


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
        at = row['at_val_threshold']
        rows.append([name, *(_cell(row[key]) for key in ('ap50', 'ap50_95', 'ap50_small', 'best_f1')),
                     _cell(at['false_positives_per_face_free_image']), _cell(easy[name]['ap50'])])
    return grid(['detector', 'AP@.5', 'AP@.5:.95', 'AP@.5, small faces', 'best F1', 'false positives a face-free image',
                 'AP@.5, easy part'], rows)


def robustness():
    """AP@.5 under rotation, darkness and motion blur."""
    tables = measured('detector')['robustness']
    changes = list(next(iter(tables.values())))
    return grid(['AP@.5', *changes], [[name, *(_cell(row[change]) for change in changes)] for name, row in tables.items()])


def _cell(value):
    return '' if value is None else f'{value:.3f}'


def speed():
    """CPU milliseconds a frame, and how many times faster than the naive peer."""
    results = measured('speed')
    frames = results['frames']
    rows = [[name.replace('_', ' '), *(f'{frame[name]["median"]:.1f} ({_ratio(frame, name)})' for frame in frames.values())]
            for name in next(iter(frames.values()))]
    about = results['machine']
    note = (f'CPU milliseconds a frame at one thread, median (times faster than naive), measured in one run on {about["cpu"]} '
            f'by `make bench`.\n')
    return grid(['720p', *(key.split('_')[1].replace('faces', ' faces') for key in frames)], rows) + '\n' + note


def _ratio(frame, name):
    return f'{frame["naive"]["median"] / frame[name]["median"]:.1f}x'


def tables():
    """Every table by the name of its markers."""
    from face_attributes_ros.ros.api import TABLES

    return {**TABLES, 'attributes': attributes, 'detector': detector, 'robustness': robustness, 'speed': speed}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='change nothing; exit status 1 if something would change')
    parser.add_argument('--file', type=Path, default=ROOT / 'README.md')
    args = parser.parse_args(argv)
    old = args.file.read_text()
    new = filled(old, tables())
    if new != old and not args.check:
        args.file.write_text(new)
    print(f'{args.file.name}: {"as generated" if new == old else "stale" if args.check else "rewritten"}')
    return 1 if args.check and new != old else 0


if __name__ == '__main__':
    sys.exit(main())
