# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of the README, the model card and pages of docs/ from the code and from
measured files; a test holds them equal.

    python -m tools.tables            # rewrites what stands between `<!-- NAME -->` and `<!-- \
        /NAME -->`
    python -m tools.tables --check    # exit status 1 if that would change a file
"""

import argparse
import csv
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
from face_attributes_ros.markdown import filled, grid

RESULTS, LOGS = ROOT / 'bench' / 'results', ROOT / 'docs' / 'logs'
PAGES = (ROOT / 'README.md', ROOT / 'models' / 'README.md',
         *(ROOT / 'docs' / f'{name}.md'
           for name in ('performance', 'training_attributes', 'training_detector')))
# Title, column of the log, factor, digits.
ATTRIBUTES_LOG = (('minutes', 'elapsed_s', 1 / 60,
                   0), ('crop, px', 'size', 1, 0), ('val age, years', 'val_age_mae', 1, 2),
                  ('FairFace range, %', 'val_age_bin', 100,
                   1), ('gender UTKFace, %', 'val_gender_utkface', 100,
                        1), ('FairFace, %', 'val_gender_fairface', 100,
                             1), ('FER+, %', 'val_expression', 100,
                                  1), ('balanced, %', 'val_expression_balanced', 100, 1),
                  ('smile, %', 'val_smile', 100, 1), ('pose, degrees', 'val_pose_deg', 1,
                                                      2), ('landmarks, %', 'val_nme', 100, 2))
DETECTOR_LOG = (('minutes', 'elapsed_s', 1 / 60, 0), ('steps', 'step', 1, 0), ('val AP@.5',
                                                                               'val_ap50', 1, 3))


def measured(name):
    """What a command wrote to bench/results/NAME.json."""
    return json.loads((RESULTS / f'{name}.json').read_text())


def attributes():
    """Our network and the peers, by measure."""
    from face_attributes_ros.training.attributes.card import summary_table

    return summary_table(measured('attributes'))


def detector():
    """AP and false positives of ours and the peers on the hard part of the test pictures."""
    results = measured('detector')
    hard, easy = results['parts']['multi'], results['parts']['fddb_te']
    rows = []
    for name, row in hard.items():
        false = [
            row[at]['false_positives_per_face_free_image'] for at in ('at_val_threshold', 'at_0.5')
        ]
        figures = [
            row[key]
            for key in ('ap50', 'ap50_95', 'ap50_small', 'ap50_medium', 'ap50_large', 'best_f1')
        ]
        rows.append([name, *map(_cell, [*figures, *false, easy[name]['ap50']])])
    return grid([
        'detector', 'AP@.5', 'AP@.5:.95', 'small', 'medium', 'large', 'best F1',
        'false positives a face-free picture', 'the same at score 0.5', 'AP@.5, easy part'
    ], rows)


def robustness():
    """AP@.5 under rotation, darkness and motion blur."""
    found = measured('detector')['robustness']
    changes = next(iter(found.values()))
    return grid(['AP@.5', *found],
                [[change, *(_cell(row[change]) for row in found.values())] for change in changes])


def _cell(value):
    return '' if value is None else f'{value:.3f}'


def detector_sizes():
    """AP on val by the canvas's longest side."""
    found, keys = measured('detector_sizes')['detectors'], ('ap50', 'ap50_small', 'ap50_medium',
                                                            'ap50_large', 'best_f1')
    return grid(['val', 'canvas, px', 'AP@.5', 'small', 'medium', 'large', 'best F1'],
                [[name, px, *(_cell(row[key])
                              for key in keys)]
                 for name, rows in found.items()
                 for px, row in rows.items()])


def int8():
    """What int8 costs and gains, by network, and whether it ships."""
    from face_attributes_ros.engines.models import shipped
    from face_attributes_ros.training.int8.measure import table

    parts = []
    for name, result in measured('int8').items():
        ships = bool(shipped()[name].int8_file) and shipped()[name].sha256 == result['made_from']
        kept = {
            'all': 'every convolution in int8',
            None: 'no candidate kept half of the bars on val (below: the last one tried)'
        }.get(result['chosen'], f'{result["chosen"]}, the other convolutions in int8')
        parts.append(
            f'**{name}**: {kept}; {"ships" if ships else "does not ship"}.\n\n{table(result)}')
    return '\n'.join(parts)


def log(name, columns):
    """What val said during a training, from its log under docs/logs/."""
    with (LOGS / f'{name}.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row[columns[-1][1]]]
    return grid(
        [title for title, *_ in columns],
        [[f'{float(row[column]) * factor:.{digits}f}'
          for _, column, factor, digits in columns]
         for row in rows])


def speed():
    """The tables of bench/measure/speed.py by name: `speed` for the README, the others for
    docs/performance.md."""
    from bench.report import tables as speed_tables

    return {name: lambda table=table: table(measured('speed'))
            for name, table in {'speed': speed_tables.readme, **speed_tables.TABLES}.items()}


def tables():
    """Every table by the name of its markers."""
    from face_attributes_ros.ros.api import TABLES

    return {
        **TABLES, 'attributes': attributes, 'detector': detector, 'robustness': robustness,
        'int8': int8,
        **speed(), 'attributes-log': lambda: log('attributes_m_finish', ATTRIBUTES_LOG),
        'attributes-log-s': lambda: log('attributes_s', ATTRIBUTES_LOG),
        'attributes-log-third': lambda: log('attributes_m_third', ATTRIBUTES_LOG),
        'detector-sizes': detector_sizes,
        'detector-log': lambda: log('detector_small', DETECTOR_LOG)
    }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true',
                        help='change nothing; exit status 1 if something would change')
    args = parser.parse_args(argv)
    stale = [page for page in PAGES if _rewrite(page, tables(), args.check)]
    return 1 if args.check and stale else 0


def _rewrite(page, known, check):
    old = page.read_text()
    new = filled(old, known)
    if new != old and not check:
        page.write_text(new)
    print(
        f'{page.relative_to(ROOT)}: {"as generated" if new == old else "stale" if check else "rewritten"}'
    )
    return new != old


if __name__ == '__main__':
    sys.exit(main())
