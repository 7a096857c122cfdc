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
     'As above: one picture is left out, its woman is not'),
    ('the same, somebody new (leave-one-subject-out)', 'the same', 'the same', 'not given',
     '{pool5 compact/leave_one_subject_out linear/accuracy|.1%} linear, '
     '{pool5 compact/leave_one_subject_out rbf/accuracy|.1%} RBF',
     'This is what a robot meets. The gap to ten-fold is what knowing the woman is worth'),
    ('the same with CaffeNet or AlexNet weights', '`paper/pool5.py`',
     '`evaluate pool5 ... --trunk caffenet --weights FILE`', '98 %',
     '{pool5 caffenet/ten_fold linear/accuracy|.1%}',
     'The ImageNet weights are not ours to ship and were not at hand; random convolutions would '
     'be no result'),
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
     'exact {train paper_vgg_age/figures/exact|.1%}',
     'Needs VGG-Face weights, which may not be shipped, and Adience; neither was at hand. Tested '
     'with tiny random weights'),
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
    return grid(head, [[*row[:4], filled_text(row[4], values), row[5]] for row in SYSTEMS])


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
    ours = {table.__name__: partial(table, values) for table in (systems, detection, looks)}
    return {**ours, **networks}


def main(argv: Sequence[str] | None = None) -> int:
    """Fills the pages or checks them; the exit status."""
    return run(__doc__, PAGES, tables(), argv)


if __name__ == '__main__':
    sys.exit(main())
