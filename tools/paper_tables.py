# SPDX-License-Identifier: Apache-2.0
"""Fills docs/paper.md from bench/results/paper.json and docs/paper_networks.md from the code; a
test holds them equal.

    python -m tools.paper_tables            # rewrites what stands between markers
    python -m tools.paper_tables --check    # exit status 1 if that would change a file

What no command has written there reads "not measured".
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from face_attributes_ros.markdown import grid
from tools.pages import DOCS, RESULTS, run

PAGES = (DOCS / 'paper.md', DOCS / 'paper_networks.md')
NOT_MEASURED = 'not measured'

# What the paper states, where it is here, the command, its figure, ours, and why they differ. Ours
# is a text with {path|format} places, a path being entry/key of bench/results/paper.json.
SYSTEMS: tuple[tuple[str, str, str, str, str, str], ...] = (
    ('YOLOv3 at 448 x 448 (sections 3, 4)', '`networks/yolov3.py`, `detector.py`',
     '`evaluate detector --data DIR`', 'none; "45 fps" is quoted for YOLOv1 on a Titan X',
     'AP, false positives and speed: docs/results.md',
     'Ours is the tiny variant, trained on a few thousand pictures'),
    ('Algorithm 1, bilinear resize', '`preprocessing.bilinear_resize`',
     '`python -m bench.measure.paper`', '4.8 ms for 128 x 128',
     '{speed/resize_480x640_to_128x128_ms|.1f} ms from 480 x 640, numpy',
     'MATLAB on an unnamed machine. The pipeline itself resizes with OpenCV'),
    ('POOL5 + SVM, ten-fold (section 6, Table 1)',
     '`paper/pool5.py`, `paper/training/pool5_svm.py`',
     '`evaluate pool5 --data jaffe.zip --crops`', '98 %',
     '{pool5 compact/ten_fold linear/accuracy|.1%} linear, '
     '{pool5 compact/ten_fold rbf/accuracy|.1%} RBF (our trunk)',
     'The same women are on both sides of each fold, in the paper too. Our trunk was trained on '
     'expressions, theirs on ImageNet'),
    ('the same, leave-one-out', 'the same', 'the same', '98 % (not said which of the two)',
     '{pool5 compact/leave_one_out linear/accuracy|.1%} linear, '
     '{pool5 compact/leave_one_out rbf/accuracy|.1%} RBF',
     'As above: one picture is left out, its woman is not. Every trunk: the table below'),
    ('the same, somebody new (leave-one-subject-out)', 'the same', 'the same', 'not given',
     '{pool5 compact/leave_one_subject_out linear/accuracy|.1%} linear, '
     '{pool5 compact/leave_one_subject_out rbf/accuracy|.1%} RBF',
     'This is what a robot meets. The gap to ten-fold is what knowing the woman is worth'),
    ('the same with CaffeNet or AlexNet weights', '`paper/pool5.py`',
     '`evaluate pool5 ... --trunk caffenet --weights FILE`', '98 %',
     'not measured: the weights are not to be had. EfficientNet-Lite0, of ImageNet too, in its '
     'place: {pool5 lite0/ten_fold linear/accuracy|.1%} ten-fold, '
     '{pool5 lite0/leave_one_out linear/accuracy|.1%} leave-one-out, '
     '{pool5 lite0/leave_one_subject_out linear/accuracy|.1%} somebody new',
     'Random convolutions would be no result. Pixels without any network reach '
     '{pool5 pixels/ten_fold linear/accuracy|.1%} ten-fold'),
    ('"96.10 and 100, top 1 to top 5", "CAFFE database" (section 7)',
     '`paper/training/pool5_svm.py`', '`evaluate pool5`', '96.10 % and 100 %',
     'JAFFE, ten-fold: {pool5 compact/ten_fold linear/accuracy|.1%} and '
     '{pool5 compact/ten_fold linear/top5|.1%}',
     'There is no such database; the sentence calls accuracies errors. Top-5 of seven classes '
     'says little'),
    ('Tables 2 and 3, faces with labels', '`paper/training/report_grid.py`',
     '`report grid --data jaffe.zip --crops --out grid.png`',
     '"94 % to 96 %" of some of the results',
     '{grid compact/right_shown|.1%} of {grid compact/shown|d} shown, somebody new each',
     'Eight people of their own, pictures not published; ours are the ten of JAFFE. The picture '
     'stays with you: JAFFE may not be passed on'),
    ('VGG-Face age network (section 5)', '`paper/vgg_age.py`, `paper/training/vgg_age.py`',
     '`train paper --config config/training/paper_vgg_age.yaml --weights FILE ...`', 'none',
     'not measured: VGG-Face\'s weights are not to be had. With a stand-in: the next row',
     'Tested with tiny random weights'),
    ('the same with FaceRes\'s convolutions in VGG-Face\'s place',
     '`paper/stand_ins.py`, `paper/training/vgg_age.py`, `paper/training/evaluate_trained.py`',
     '`train paper --config config/training/paper_vgg_age_faceres.yaml --weights FILE ...`',
     'none',
     '{test vgg_age faceres/exact|.1%} exact, {test vgg_age faceres/one_off|.1%} one-off on '
     '{test vgg_age faceres/faces|d} test faces of UTKFace in one of the groups; ours '
     '{test attributes_m/exact|.1%} and {test attributes_m/one_off|.1%}. On val, where the '
     'stand-in was chosen: FaceRes {val vgg_age faceres/exact|.1%}, EfficientNet-Lite0 '
     '{val vgg_age lite0/exact|.1%} exact',
     'Other faces and other labels than Adience, of which no whole copy is to be had: so no '
     'five folds by person either'),
    ('All-in-one network (section 6.1), full size',
     '`paper/all_in_one.py`, `paper/training/all_in_one.py`',
     '`train paper --config config/training/paper_all_in_one.yaml ...`', 'none',
     'held-out loss {train paper_all_in_one/figures/loss|.2f} after '
     '{train paper_all_in_one/step|d} steps; {speed/all_in_one_ms|.0f} ms a face on one thread',
     'Its convolutions start from nothing here and from face identification there; 70 M '
     'parameters need a GPU and days'),
    ('the same at a quarter of its width', 'the same',
     '`train paper --config config/training/paper_all_in_one_quarter.yaml ...`', 'none',
     'age MAE {train paper_all_in_one_quarter/figures/age_mae|.1f} years, gender '
     '{train paper_all_in_one_quarter/figures/gender|.1%}, smile '
     '{train paper_all_in_one_quarter/figures/smile|.1%}, face '
     '{train paper_all_in_one_quarter/figures/face|.1%} on 20 % held out, after '
     '{train paper_all_in_one_quarter/step|d} steps',
     'Minutes on one CPU core: shows that the recipe learns, no more'),
    ('Losses (3.1), (6), HyperFace\'s', '`paper/training/losses.py`',
     '`pytest test/paper/training/test_losses.py`', 'formulas',
     'gradients equal finite differences and closed forms', ''),
    ('Two-stage test (section 6.3)', '`paper/proposals.py`, `paper/two_stage.py`',
     '`evaluate two-stage --regions DIR --data DIR --jaffe ZIP`', 'none', 'the two tables below',
     'Measured with the shipped attribute network'),
    ('The whole: gender', '`pipeline.py`', '`evaluate attributes`',
     '"94 % to 96 %" of some of the results, kind not said',
     'docs/results.md, by set; models/README.md, by age and gender',
     'Theirs are eight people before a camera'),
)

STAGES = ('proposals', 'network score', 'iterative proposals', 'landmarks NMS',
          'proposals_an_image')
LOOKS = ('first look', '+ mirror', 'upright', 'upright + mirror')


def measured(path: Path = RESULTS / 'paper.json') -> Any:
    """What the commands wrote, by entry."""
    return json.loads(path.read_text()) if path.is_file() else {}


def found(values: Any, path: str) -> Any:
    """The value at a path of keys, or None."""
    for key in path.split('/'):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def filled_text(text: str, values: Mapping[str, Any]) -> str:
    """The text with each {path|format} in place; "not measured" as a whole if nothing in it
    was."""
    places = re.findall(r'\{([^|}]+)\|([^}]+)\}', text)
    if places and all(found(values, path) is None for path, _ in places):
        return NOT_MEASURED

    def shown(match: re.Match[str]) -> str:
        value = found(values, match[1])
        return NOT_MEASURED if value is None else format(value, match[2])

    return re.sub(r'\{([^|}]+)\|([^}]+)\}', shown, text)


def systems(values: Mapping[str, Any]) -> str:
    """One row a system and figure of the paper."""
    head = ('paper', 'here', 'command (`face-attributes ...`)', 'paper\'s figure', 'our figure',
            'why they differ')
    return grid(head, [[*row[:4], *(filled_text(text, values) for text in row[4:])]
                       for row in SYSTEMS])


TRUNKS = (('pixels', 'the 64 x 64 grey levels, no network'),
          ('lite0', 'EfficientNet-Lite0, taught on ImageNet, last grid'),
          ('faceres', 'FaceRes, taught to know people, last grid'),
          ('compact', 'our `attributes_m`, taught expressions, last grid'))
JUDGED = (('ten_fold {}/accuracy', 'ten-fold'), ('leave_one_out {}/accuracy', 'leave-one-out'),
          ('leave_one_subject_out {}/accuracy', 'somebody new'),
          ('ferplus {}/val/accuracy', 'taught on FER+: its val, balanced draw'),
          ('ferplus {}/jaffe/accuracy', 'taught on FER+: JAFFE'))


def folds(values: Mapping[str, Any]) -> str:
    """Algorithm 2 on every trunk: linear / RBF, and whom the nearest other picture shows."""
    rows = []
    for name, label in TRUNKS:
        entry = found(values, f'pool5 {name}') or {}
        cells = [' / '.join(percent(found(entry, path.format(kernel)))
                            for kernel in ('linear', 'rbf')) for path, _ in JUDGED]
        rows.append([label, *cells, percent(found(entry, 'nearest/same_person'))])
    head = ('features', *(label for _, label in JUDGED), 'nearest picture is the same woman\'s')
    return grid(head, rows)


def percent(value: float | None) -> str:
    """A share as text."""
    return NOT_MEASURED if value is None else f'{value:.1%}'


SPEEDS = (('Algorithm 1: 480 x 640 to 128 x 128, numpy', 'resize_480x640_to_128x128_ms'),
          ('all-in-one network, one face of 227 x 227', 'all_in_one_ms'),
          ('the same at a quarter of its width', 'all_in_one_quarter_ms'),
          ('VGG-Face age network, one face of 224 x 224', 'vgg_age_ms'),
          ('the same with FaceRes\'s convolutions', 'vgg_age_faceres_ms'),
          ('CaffeNet to POOL5, one face of 227 x 227', 'pool5_ms'),
          ('EfficientNet-Lite0 and the SVM, one face of 224 x 224', 'pool5_lite0_ms'),
          ('FaceRes and the SVM, one face of 224 x 224', 'pool5_faceres_ms'),
          ('ours (`attributes_m`), one face, on the runtime that ships', 'ours_ms'))
PIPELINES = (('all_in_one', 'the paper\'s pipeline, all-in-one'),
             ('vgg_age+pool5_svm', 'the paper\'s pipeline, VGG age and POOL5'), ('ours', 'ours'))


def speed(values: Mapping[str, Any]) -> str:
    """Milliseconds of every part and of whole pictures, with the machine they were taken on."""
    parts, whole = (found(values, name) or {} for name in ('speed', 'side by side'))
    rows = [[label, milliseconds(parts.get(key))] for label, key in SPEEDS]
    rows += [[f'{label}: a picture, {whole.get("longer_side_px", 0)} px, detector and all',
              milliseconds(found(whole, f'ms/{key}'))] for key, label in PIPELINES
             if whole.get('ms')]
    return f'{conditions(parts)}\n\n{grid(("one thread", "ms"), rows)}'


def conditions(entry: Mapping[str, Any]) -> str:
    """The machine of a measurement, and whether it had anything else to do."""
    busy = entry.get('busy_others')
    flags = ', '.join(name for name in entry.get('flags', ()) if name.startswith(('amx', 'avx5')))
    words = 'other work unknown' if busy is None else (
        f'other processes used {busy} of its {entry.get("cores")} cores meanwhile'
        + ('' if busy < .2 else ': times by the clock are longer than on an idle machine'))
    return f'{entry.get("cpu", "No machine yet")} ({flags or "features not noted"}), {words}.'


def milliseconds(value: float | None) -> str:
    """A time as text."""
    return NOT_MEASURED if value is None else f'{value:.1f}'


def detection(values: Mapping[str, Any]) -> str:
    """AP@.5 after each stage, by kind of proposal."""
    entry = found(values, 'two-stage compact_m') or {}
    rows = [[kind, *(row.get(stage, NOT_MEASURED) for stage in STAGES)]
            for kind, row in entry.get('detection_ap50', {}).items()]
    head = [f'{entry.get("images", 0)} pictures', 'as they come', '+ network score',
            '+ iterative proposals', '+ landmarks NMS', 'a picture']
    return grid(head, rows or [[NOT_MEASURED] * 6])


def looks(values: Mapping[str, Any]) -> str:
    """Age, gender and expression of each way to look."""
    entry = found(values, 'two-stage compact_m') or {}
    parts = (('age_gender', 'age_mae', 'UTKFace validation, age MAE, years'),
             ('age_gender', 'gender', 'the same, gender'),
             ('expression', None, 'JAFFE (never trained on), expression'))
    rows = []
    for part, key, label in parts:
        cells = [found(entry, f'{part}/{look}/{key}' if key else f'{part}/{look}')
                 for look in LOOKS]
        rows.append([f'{label} ({found(entry, f"{part}/faces") or 0} faces)',
                     *(NOT_MEASURED if c is None else c for c in cells)])
    return grid(['', *LOOKS], rows)


def tables() -> dict[str, Callable[[], str]]:
    """Every table by the name of its markers."""
    from face_attributes_ros.paper import describe

    values = measured()
    networks = {name: partial(describe.table, name, markdown=True) for name in describe.NETWORKS}
    ours = {table.__name__: partial(table, values)
            for table in (systems, folds, speed, detection, looks)}
    return {**ours, **networks}


def main(argv: Sequence[str] | None = None) -> int:
    """Fills the pages or checks them; the exit status."""
    return run(__doc__, PAGES, tables(), argv)


if __name__ == '__main__':
    sys.exit(main())
