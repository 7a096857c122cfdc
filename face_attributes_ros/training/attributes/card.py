# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of `bench/results/attributes.json`, put between the markers of a document.

    python -m face_attributes_ros.training.attributes.card bench/results/attributes.json
    models/README.md

A block starts with `<!-- attributes: NAME -->` and ends with `<!-- end attributes -->`; NAME is a
key of BLOCKS.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from face_attributes_ros.errors import DataError
from face_attributes_ros.markdown import grid

BLOCK = re.compile(r'(<!-- attributes: (\w+) -->\n).*?(<!-- end attributes -->)', re.DOTALL)
MEASURES = (('utkface', 'age_mae_years', 'UTKFace age, mean error, years', 1),
            ('utkface', 'gender_accuracy', 'UTKFace gender', 100),
            ('fairface', 'gender_accuracy', 'FairFace gender', 100),
            ('fairface', 'age_bin_accuracy', 'FairFace age, 9 ranges', 100),
            ('ferplus', 'expression_accuracy', 'FER+ expression', 100),
            ('ferplus', 'expression_balanced', 'FER+ expression, balanced', 100),
            ('jaffe', 'expression_accuracy', 'JAFFE expression, never trained on', 100),
            ('genki4k', 'smile_accuracy', 'GENKI-4K smile', 100),
            ('genki4k', 'pose_mae_deg', 'GENKI-4K head pose, mean error, degrees', 1),
            ('ytf68', 'landmark_nme', 'YouTube Faces landmarks, error over eye distance', 100))


def cell(figures, source, name, factor):
    """A figure as text: percent where the factor is 100; a dash where there is none."""
    value = figures.get(source, {}).get(name)
    if value is None:
        return '–'
    return f'{value * 100:.1f} %' if factor == 100 else f'{value:.2f}'


def summary_table(results):
    """Our figures beside the peers', on the same pictures."""
    peers = results.get('peers', {})
    rows = [[label, cell(results['figures'], source, name, factor),
             *(cell(figures, source, name, factor) for figures in peers.values())]
            for source, name, label, factor in MEASURES]
    return grid(['measure', 'this network', *peers], rows)


def range_text(interval, factor=100):
    """'81.0 to 90.2' of an interval."""
    return f'{interval[0] * factor:.1f} to {interval[1] * factor:.1f}'


def groups_of(results, source):
    """{(age, gender): row} of one source."""
    return {(row['age'], row['gender']): row
            for row in results['people'].get(source, {}).get('groups', [])}


def groups_table(results):
    """Age x gender on UTKFace and FairFace, with 95 % intervals."""
    utk, fair = (groups_of(results, source) for source in ('utkface', 'fairface'))
    rows = []
    for group in dict.fromkeys([*utk, *fair]):
        cells = [*group]
        if group in utk:
            row = utk[group]
            cells += [row['count'],
                      f'{100 * row["gender_accuracy"]:.1f} ({range_text(row["gender_interval"])})',
                      f'{row["age_mae_years"]:.1f} ({range_text(row["age_interval_years"], 1)})',
                      f'{row["age_bias_years"]:+.1f}']
        cells += ['–'] * (6 - len(cells))
        if group in fair:
            row = fair[group]
            cells += [
                row['count'],
                f'{100 * row["gender_accuracy"]:.1f} ({range_text(row["gender_interval"])})',
                f'{100 * row["age_bin_accuracy"]:.1f} ({range_text(row["age_bin_interval"])})'
            ]
        rows.append(cells + ['–'] * (9 - len(cells)))
    return grid([
        'age', 'labelled', 'UTKFace n', 'gender %', 'age error, years', 'bias', 'FairFace n',
        'gender %', 'age range %'
    ], rows)


def worst_table(results):
    """The worst group of at least 30 faces for each figure."""
    names = {
        'gender_accuracy': ('gender accuracy', 100, ' %'),
        'age_mae_years': ('age error', 1, ' years'),
        'age_bin_accuracy': ('age range accuracy', 100, ' %')
    }
    rows = [[source, names[figure][0], f'{gender}, {age}',
             f'{value * names[figure][1]:.1f}{names[figure][2]}']
            for source, found in results['people'].items()
            for figure, (age, gender, value) in found['worst'].items()]
    return grid(['set', 'figure', 'worst group', 'value'], rows)


def recall_table(results):
    """Recall by expression on FER+ and JAFFE, with counts."""
    figures, rows = results['figures'], []
    for label in figures['ferplus']['recall']:
        cells = [label]
        for source in ('ferplus', 'jaffe'):
            found = figures.get(source, {})
            order = list(found.get('recall', {}))
            counts = [sum(row) for row in found.get('confusion', []) if sum(row)]
            cells += [f'{100 * found["recall"][label]:.1f}',
                      counts[order.index(label)]] if label in order else ['–', '–']
        rows.append(cells)
    return grid(['expression', 'FER+ recall %', 'n', 'JAFFE recall %', 'n'], rows)


def calibration_table(results):
    """Calibration errors, and what the thresholds of `unknown` do."""
    rows = []
    for head, found in results['calibration'].items():
        kept = results['selective'].get(head, {})
        rows.append([
            head, f'{100 * found["ece_before"]:.1f}', f'{100 * found["ece"]:.1f}',
            *((f'{kept["threshold"]:.2f}', f'{100 * kept["answered"]:.1f}',
               f'{100 * kept["accuracy"]:.1f}') if kept.get('accuracy') is not None else
              ('–', '–', '–'))
        ])
    return grid([
        'head', 'ECE before %', 'ECE after %', '`unknown` below', 'answered %', 'of those right %'
    ], rows)


def sizes_table(results):
    """Figures over the size of the face."""
    columns = (('utkface', 'age_mae_years', 'age error, years',
                1), ('utkface', 'gender_accuracy', 'gender UTKFace',
                     100), ('fairface', 'gender_accuracy', 'gender FairFace',
                            100), ('ferplus', 'expression_accuracy', 'expression FER+', 100),
               ('genki4k', 'smile_accuracy', 'smile', 100), ('ytf68', 'landmark_nme', 'landmarks',
                                                             100))
    rows = [[
        row['face_px'], *(cell(row, source, name, factor)
                          for source, name, _, factor in columns), f'{row["mean_quality"]:.2f}'
    ]
            for row in results['face_size']]
    return grid(['face, px', *(label for _, _, label, _ in columns), 'mean `quality`'], rows)


def passes_table(results):
    """One pass beside the paper's two, in columns, and the cost of the second."""
    aligned = results['aligned']
    rows = [[
        label, *(cell(aligned[way], source, name, factor) for way in ('one_pass', 'two_passes'))
    ] for source, name, label, factor in MEASURES]
    rows.append(['processor time', '1', f'{aligned["cost_ratio"]:.1f}'])
    return grid(['measure', 'one pass', 'with the upright crop and its mirror image'], rows)


def face_table(results):
    """What the face head accepts and refuses at 0.5."""
    found = results['face_head']
    return grid(
        ['pictures', 'n', 'right'],
        [['faces of all sets', found['faces'], f'{100 * found["accepted"]:.1f} % accepted'],
         [
             'faceless squares of unseen pictures', found['backgrounds'],
             f'{100 * found["refused"]:.1f} % refused'
         ]])


BLOCKS = {
    'summary': summary_table, 'passes': passes_table, 'face': face_table, 'groups': groups_table,
    'worst': worst_table, 'recall': recall_table, 'calibration': calibration_table,
    'sizes': sizes_table
}


def filled(text, results):
    """The document with every block made anew. Raises `DataError` on a block that is not known."""
    unknown = {name for _, name, _ in BLOCK.findall(text)} - set(BLOCKS)
    if unknown:
        raise DataError(
            f'unknown block {", ".join(sorted(unknown))}; known are {", ".join(BLOCKS)}')
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]](results) + match[3], text)


def fill(results_path, document):
    """Rewrites the blocks of a document from a results file."""
    results = json.loads(Path(results_path).read_text(encoding='utf-8'))
    Path(document).write_text(filled(Path(document).read_text(encoding='utf-8'), results),
                              encoding='utf-8')


if __name__ == '__main__':
    fill(*sys.argv[1:3])
