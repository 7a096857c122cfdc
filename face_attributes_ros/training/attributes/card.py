# SPDX-License-Identifier: Apache-2.0
"""Markdown tables of `bench/results/attributes.json`, put between the markers of a document.

    python -m face_attributes_ros.training.attributes.card bench/results/attributes.json \\
        models/README.md

A block starts with `<!-- attributes: NAME -->` and ends with `<!-- end attributes -->`; NAME is a
key of BLOCKS.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from face_attributes_ros.errors import DataError
from face_attributes_ros.markdown import grid
from face_attributes_ros.training.attributes.heads import METRICS, SETS, Metric, shown

Results = dict[str, Any]

BLOCK = re.compile(r'(<!-- attributes: (\w+) -->\n).*?(<!-- end attributes -->)', re.DOTALL)


def cell(figures: Results, source: str, metric: Metric) -> str:
    """A figure as text; a dash where there is none."""
    value = figures.get(source, {}).get(metric.name)
    return '–' if value is None else metric.shown(value)


def summary_table(results: Results) -> str:
    """Our figures beside the peers', on the same pictures."""
    peers = results.get('peers', {})
    rows = [[metric.title_on(source), cell(results['figures'], source, metric),
             *(cell(figures, source, metric) for figures in peers.values())]
            for source, metric in shown()]
    return grid(['measure', 'this network', *peers], rows)


def range_text(interval: Sequence[float], factor: float = 100) -> str:
    """'81.0 to 90.2' of an interval."""
    return f'{interval[0] * factor:.1f} to {interval[1] * factor:.1f}'


def rows_by_group(results: Results, source: str) -> dict[tuple[str, str], dict[str, Any]]:
    """{(age, gender): row} of one source."""
    return {(row['age'], row['gender']): row
            for row in results['people'].get(source, {}).get('groups', [])}


def groups_table(results: Results) -> str:
    """Age x gender on UTKFace and FairFace, with 95 % intervals."""
    utk, fair = (rows_by_group(results, source) for source in ('utkface', 'fairface'))
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


def worst_table(results: Results) -> str:
    """The worst group of at least 30 faces for each figure."""
    rows = [[SETS[source], METRICS[name].title, f'{gender}, {age}', METRICS[name].shown(value)]
            for source, found in results['people'].items()
            for name, (age, gender, value) in found['worst'].items()]
    return grid(['set', 'figure', 'worst group', 'value'], rows)


def recall_table(results: Results) -> str:
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


def calibration_table(results: Results) -> str:
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


def sizes_table(results: Results) -> str:
    """Figures over the size of the face."""
    columns = [(source, metric) for source, metric in shown()
               if metric.by_size and source != 'jaffe']
    rows = [[row['face_px'], *(cell(row, source, metric) for source, metric in columns),
             f'{row["mean_quality"]:.2f}'] for row in results['face_size']]
    titles = [metric.title_on(source) for source, metric in columns]
    return grid(['face, px', *titles, 'mean `quality`'], rows)


def passes_table(results: Results) -> str:
    """One pass beside the paper's two, in columns, and the cost of the second."""
    aligned = results['aligned']
    rows = [[metric.title_on(source),
             *(cell(aligned[way], source, metric) for way in ('one_pass', 'two_passes'))]
            for source, metric in shown()]
    rows.append(['processor time', '1', f'{aligned["cost_ratio"]:.1f}'])
    return grid(['measure', 'one pass', 'with the upright crop and its mirror image'], rows)


def face_table(results: Results) -> str:
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


def filled(text: str, results: Results) -> str:
    """The document with every block made anew. Raises `DataError` on a block that is not known."""
    unknown = {name for _, name, _ in BLOCK.findall(text)} - set(BLOCKS)
    if unknown:
        raise DataError(
            f'unknown block {", ".join(sorted(unknown))}; known are {", ".join(BLOCKS)}')
    return BLOCK.sub(lambda match: match[1] + BLOCKS[match[2]](results) + match[3], text)


def fill(results_path: Path, document: Path) -> None:
    """Rewrites the blocks of a document from a results file."""
    results = json.loads(Path(results_path).read_text(encoding='utf-8'))
    Path(document).write_text(filled(Path(document).read_text(encoding='utf-8'), results),
                              encoding='utf-8')


if __name__ == '__main__':
    fill(*map(Path, sys.argv[1:3]))
