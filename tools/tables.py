# SPDX-License-Identifier: Apache-2.0
"""Fills the tables of the README, the model card and pages of docs/ from the code and from
measured files; a test holds them equal.

    python -m tools.tables            # rewrites what stands between markers
    python -m tools.tables --check    # exit status 1 if that would change a file
"""

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from face_attributes_ros.markdown import grid
from tools import evidence
from tools.pages import DOCS, RESULTS, ROOT, run

PAGES = (ROOT / 'README.md', ROOT / 'models' / 'README.md',
         *(DOCS / f'{name}.md' for name in ('gpu', 'install', 'parameters', 'topics', 'views',
                                            'results', 'comparison', 'performance', 'reliability',
                                            'training_attributes', 'training_detector',
                                            'videos_and_bags')))
Column = tuple[str, str, float, int]
"""Title, column of the log, factor, digits."""
DETECTOR_LOG: tuple[Column, ...] = (
    ('minutes', 'elapsed_s', 1 / 60, 0),
    ('steps', 'step', 1, 0),
    ('val AP@.5', 'val_ap50', 1, 3))
DETECTOR_FIGURES = ('ap50', 'ap50_95', 'ap50_small', 'ap50_medium', 'ap50_large', 'best_f1')
CONDITION_FIGURES = ('ap50', 'ap50_small', 'ap50_medium', 'ap50_large', 'ap50_crowd', 'recall',
                     'false_positives_per_face_free_image')
ATTRIBUTES_LOGS = {'attributes-log': 'attributes_m_finish', 'attributes-log-s': 'attributes_s',
                   'attributes-log-third': 'attributes_m_third',
                   'attributes-log-taught': 'attributes_m_taught',
                   'attributes-log-posed': 'attributes_m_posed',
                   'attributes-log-sixth': 'attributes_m_sixth',
                   'attributes-log-seventh': 'attributes_m_seventh'}
WEIGHED = (('ferplus', 'expression_accuracy'), ('ferplus', 'expression_balanced'),
           ('laboratory', 'expression_accuracy'), ('laboratory', 'expression_balanced'),
           ('web', 'expression_accuracy'), ('web', 'expression_balanced'),
           ('film', 'expression_accuracy'), ('jaffe', 'expression_accuracy'),
           ('utkface', 'age_mae_years'), ('ages', 'age_mae_years'),
           ('utkface', 'gender_accuracy'), ('fairface', 'gender_accuracy'))
SUMMARY = (('utkface', 'age_mae_years'), ('fairface', 'gender_accuracy'),
           ('ferplus', 'expression_accuracy'), ('jaffe', 'expression_accuracy'),
           ('genki4k', 'smile_accuracy'), ('genki4k', 'pose_mae_deg'))
"""Source and figure."""


def measured(name: str) -> Any:
    """What a command wrote to bench/results/NAME.json."""
    return json.loads((RESULTS / f'{name}.json').read_text())


def summary() -> str:
    """The README's one table: accuracy beside the best peer, and speed."""
    rows = [*map(list, (_detection_row(), *_attribute_rows(), _speed_row()))]
    return grid(['what', 'measured on', 'this package', 'best peer of the same run'], rows)


def _detection_row() -> Sequence[str]:
    hard = measured('detector')['parts']['multi']
    best = max((name for name in hard if not name.startswith('detector_')),
               key=lambda name: hard[name]['ap50'])
    return ('faces found, AP@.5', 'several faces a picture', _cell(hard['detector_tiny']['ap50']),
            f'{_cell(hard[best]["ap50"])}, {best}')


def _attribute_rows() -> list[Sequence[str]]:
    from face_attributes_ros.training.attributes.heads import METRICS

    results = measured('attributes')
    rows: list[Sequence[str]] = []
    for source, name in SUMMARY:
        metric = METRICS[name]
        found = {peer: figures[source][name] for peer, figures in results['peers'].items()
                 if figures.get(source, {}).get(name) is not None}
        best = min(found, key=lambda peer: math.copysign(found[peer], -metric.bar), default=None)
        what, on = metric.title, metric.title_on(source).replace(f' {metric.title}', '')
        rows.append((what, on, metric.shown(results['figures'][source][name]),
                     '–' if best is None else f'{metric.shown(found[best])}, {best}'))
    return rows


def _speed_row() -> Sequence[str]:
    from bench.rig.contenders import OURS

    frame = measured('speed')['pipeline']['frames']['720p_4faces_1t']
    names = [f'{backend}_{precision}' for backend, precision in OURS]
    ours = min((name for name in names if name in frame), key=lambda name: frame[name]['median'])
    best = min((name for name in frame if name not in names),
               key=lambda name: frame[name]['median'])
    return ('CPU ms a frame, one thread', '720p, 4 faces',
            *(f'{frame[name]["median"]:.1f}, {name.replace("_", " ")}' for name in (ours, best)))


def attributes() -> str:
    """Our network and the peers, by measure."""
    from face_attributes_ros.training.attributes.card import summary_table

    return summary_table(measured('attributes'))


def attributes_weigh() -> str:
    """What each share of the newest run is worth on val, and JAFFE beside it."""
    from face_attributes_ros.training.attributes.heads import METRICS, SETS

    found = measured('attributes_weigh')
    places = {source: f'{SETS.get(source, source)} ({count:,})'
              for source, count in found['faces'].items()}
    titles = [f'{places[source]} {METRICS[name].title}' for source, name in WEIGHED]
    rows = [[share, *(METRICS[name].shown(figures[source][name]) for source, name in WEIGHED)]
            for share, figures in found['shares'].items()]
    return grid(['share of the run', *titles], rows)


def detector() -> str:
    """AP and false positives of ours and the peers on the hard part of the test pictures."""
    results = measured('detector')
    hard, easy = results['parts']['multi'], results['parts']['fddb_te']
    rows = []
    for name, row in hard.items():
        false = [row[at]['false_positives_per_face_free_image']
                 for at in ('at_val_threshold', 'at_0.5')]
        figures = [row[key] for key in DETECTOR_FIGURES]
        rows.append([name, *map(_cell, [*figures, *false, easy[name]['ap50']])])
    return grid(['detector', 'AP@.5', 'AP@.5:.95', 'small', 'medium', 'large', 'best F1',
                 'false positives a face-free picture', 'the same at score 0.5',
                 'AP@.5, easy part'], rows)


def robustness() -> str:
    """AP@.5 under rotation, darkness and motion blur."""
    found = measured('detector')['robustness']
    changes = next(iter(found.values()))
    return grid(['AP@.5', *found],
                [[change, *(_cell(row[change]) for row in found.values())] for change in changes])


def detector_crowds() -> str:
    """Ours and the peers in the test pictures with six faces and more."""
    rows = []
    for name, row in measured('detector')['parts']['crowd'].items():
        at = row['at_val_threshold']
        rows.append([name, *map(_cell, [row['ap50'], row['ap50_95'], row['ap50_small'],
                                        row['ap50_medium'], at['precision'], at['recall']])])
    return grid(['crowds', 'AP@.5', 'AP@.5:.95', 'small', 'medium', 'precision', 'recall'], rows)


def conditions() -> str:
    """The last step of each condition: by size, in crowds, and at the shipped threshold."""
    found = measured('detector').get('conditions')
    if not found:
        return 'Not measured with these weights yet (`evaluate detector --robustness`).\n'
    last = {re.sub(r' \d+ \w+$', '', name): name for name in next(iter(found.values()))}
    rows = [[name, detector, *(_cell(table[name][key]) for key in CONDITION_FIGURES)]
            for name in last.values() for detector, table in found.items()]
    return grid(['condition', 'detector', 'AP@.5', 'small', 'medium', 'large', 'crowds',
                 'recall', 'false positives a face-free picture'], rows)


def _cell(value: float | None) -> str:
    return '' if value is None else f'{value:.3f}'


def detector_sizes() -> str:
    """AP on val and CPU time by the canvas's longest side."""
    keys = ('ap50', 'ap50_95', 'ap50_small', 'ap50_medium', 'ap50_large', 'best_f1')
    rows = [[name, px, *(_cell(row[key]) for key in keys), f'{row["cpu_ms"]:.1f}']
            for name, canvases in measured('detector_sizes')['detectors'].items()
            for px, row in canvases.items()]
    return grid(['val', 'canvas, px', 'AP@.5', 'AP@.5:.95', 'small', 'medium', 'large', 'best F1',
                 'CPU ms'], rows)


def detector_tiles() -> str:
    """AP by the faces' size in 4K mosaics and the work, with and without tiles."""
    if not (RESULTS / 'detector_tiles.json').is_file():
        return 'Not measured yet (`python -m face_attributes_ros.training.detector.far`).\n'
    rows = []
    for name, ways in measured('detector_tiles')['detectors'].items():
        for way, row in ways.items():
            by_size = [value for key, value in row.items()
                       if key.startswith('ap50_') and key != 'ap50_95']
            rows.append([name, way, *map(_cell, [row['ap50'], *by_size]),
                         f'{row["times_whole"]:.1f}'])
    sizes = [key.removeprefix('ap50_') for key in row
             if key.startswith('ap50_') and key != 'ap50_95']
    return grid(['4K', 'looked at', 'AP@.5', *sizes, 'CPU time, times whole'], rows)


def detector_framing() -> str:
    """What val says of each framing."""
    rows = [[name, _cell(row['ap50']), _cell(row['ap50_95']),
             *(_cell(row['from 5%'][key]) for key in ('precision', 'recall', 'median_iou'))]
            for name, row in measured('detector_labels').items()]
    return grid(['framing', 'AP@.5', 'AP@.5:.95', 'precision', 'recall', 'median overlap'], rows)


def detector_set() -> str:
    """The training set by source: counts, and how the source drew its boxes."""
    found, keys = measured('detector_set'), ('pictures', 'empty', 'faces', 'ignore')
    counts = found['sources'] | {'all': {
        key: sum(row[key] for row in found['sources'].values()) for key in keys}}
    rows = [[source, *(str(row[key]) for key in keys),
             ', '.join(f'{offset:+.2f}' for offset in found['framings'].get(source, ())[:4])]
            for source, row in counts.items()]
    return grid(['source', 'pictures', 'without a face', 'faces', 'regions to ignore',
                 'left, top, right, bottom'], rows)


def int8() -> str:
    """What int8 costs and gains, by network, and whether it ships."""
    from face_attributes_ros.training.int8.measure import table


    return '\n'.join(f'**{name}**: {_int8_outcome(name, result)}.\n\n{table(result)}'
                     for name, result in measured('int8').items())


def bf16() -> str:
    """What bf16 costs, by network, and whether `auto` may take it."""
    from face_attributes_ros.engines.models import shipped
    from face_attributes_ros.training.int8.bf16 import table

    parts = []
    for name, result in measured('bf16').items():
        model = shipped()[name]
        allowed = 'bf16' in model.auto_precisions and model.sha256 == result['made_from']
        parts.append(f'**{name}**: {"allowed" if allowed else "not allowed"}.\n\n{table(result)}')
    return '\n'.join(parts)


def ways() -> str:
    """In which order `device: auto` takes what."""
    from face_attributes_ros.engines.choose import WAYS

    return grid(['', 'runtime', 'on', 'needs', 'what runs where', '`auto` leaves it because'],
                [[number, way.backend, 'GPU' if way.kind == 'cuda' else 'CPU', way.needs,
                  way.gives, way.unasked] for number, way in enumerate(WAYS, 1)])


def gpu() -> str:
    """What bench.measure.gpu measured on each GPU that somebody had."""
    rows = []
    for path in sorted(RESULTS.glob('gpu_*.json')):
        report = json.loads(path.read_text())
        for name, one in report['detectors'].items():
            rows += [[report['device'], name, peer, f'{times["median"]:.2f}',
                      f'{times["low"]:.2f} to {times["high"]:.2f}',
                      f'{times["median"] / one["floor"]["floor_ms"]:.1f}']
                     for peer, times in one['ms'].items()]
    return grid(['GPU', 'detector', 'who', 'median ms', 'middle half', 'times the floor'],
                rows) if rows else 'No GPU was measured yet.\n'


def doctor() -> str:
    """What `face-attributes doctor` said on the machine of the results."""
    from face_attributes_ros.ros.doctor import text

    return f'```\n{text(measured("doctor"))}\n```\n'


def _int8_outcome(name: str, result: Mapping[str, Any]) -> str:
    from face_attributes_ros.engines.models import shipped

    model = shipped()[name]
    ships = bool(model.int8_file) and model.sha256 == result['made_from']
    kept = {
        'all': 'every convolution in int8',
        None: 'no candidate kept the bars on val (below: the last one tried)'
    }.get(result['chosen'], f'{result["chosen"]}, the other convolutions in int8')
    return f'{kept}; {"ships" if ships else "does not ship"}'


def _attributes_log() -> list[Column]:
    from face_attributes_ros.training.attributes.heads import shown

    return [('minutes', 'elapsed_s', 1 / 60, 0), ('crop, px', 'size', 1, 0),
            *((f'{metric.title_on(source)}, {metric.unit}', f'val_{metric.sets[source]}',
               100 if metric.unit == '%' else 1, metric.digits)
              for source, metric in shown() if metric.sets[source])]


def log(name: str, columns: Sequence[Column]) -> str:
    """What val said during a training, from its log under docs/logs/."""
    with (DOCS / 'logs' / f'{name}.csv').open(newline='') as file:
        rows = [row for row in csv.DictReader(file) if row[columns[-1][1]]]
    return grid([title for title, *_ in columns],
                [[f'{float(row[column]) * factor:.{digits}f}'
                  for _, column, factor, digits in columns] for row in rows])


def speed() -> dict[str, Callable[[], str]]:
    """The tables of bench.measure.speed by name: `speed` for docs/results.md, the others for
    docs/performance.md."""
    from bench.report import tables as speed_tables

    makers = {'speed': speed_tables.overview, **speed_tables.TABLES}
    return {name: partial(make, measured('speed')) for name, make in makers.items()}


def overlay() -> str:
    """What drawing and JPEG take beside the work on the same frame."""
    times, shares = ('pipeline', 'draw', 'jpeg'), ('draw_percent', 'jpeg_percent')
    rows = [[row['faces'], *(f'{row[name]["median"]:.1f}' for name in times),
             *(f'{row[name]["median"]:.0f} %' for name in shares)]
            for row in measured('overlay')['frames'].values()]
    return grid(['faces, 720p', 'work, CPU ms', 'drawing', 'JPEG', 'drawing / work',
                 'JPEG / work'], rows)


def bags() -> str:
    """How fast bags are annotated, on one thread."""
    rows = [[name.replace('_told', '').replace('_', ', '), str(row['images']),
             f'{row["took_s"]:.1f}', f'{row["times_real_time"]:.1f}']
            for name, row in measured('bag')['bags'].items()]
    return grid(['720p at 30 Hz, four faces', 'images', 'seconds', 'times real time'], rows)


def tables() -> dict[str, Callable[[], str]]:
    """Every table by the name of its markers."""
    from face_attributes_ros.ros.api import TABLES

    ours = (summary, attributes, attributes_weigh, detector, detector_crowds, robustness,
            conditions, detector_sizes, detector_tiles, detector_framing, detector_set, int8,
            overlay, bf16, bags, ways, gpu, doctor)
    return {**TABLES, **evidence.TABLES, **speed(),
            **{table.__name__.replace('_', '-'): table for table in ours},
            **{name: partial(log, file, _attributes_log())
               for name, file in ATTRIBUTES_LOGS.items()},
            'detector-log': partial(log, 'detector_small', DETECTOR_LOG),
            'detector-log-more': partial(log, 'detector_tiny_more', DETECTOR_LOG),
            'detector-log-fifth': partial(log, 'detector_tiny_fifth', DETECTOR_LOG),
            'detector-log-sixth': partial(log, 'detector_tiny_sixth', DETECTOR_LOG)}


def main(argv: Sequence[str] | None = None) -> int:
    """Fills the pages or checks them; the exit status."""
    return run(__doc__, PAGES, tables(), argv)


if __name__ == '__main__':
    sys.exit(main())
