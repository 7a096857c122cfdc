# SPDX-License-Identifier: Apache-2.0
"""What the annotated image costs beside the work on the same frame: drawing and, where somebody
asks for it, JPEG. Ratios of CPU times that were taken in turn, since those of a busy machine say
little alone.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m bench.measure.overlay --out FILE
"""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2

from bench.report.figures import Report, cpu_ms, summary
from bench.rig import machine
from bench.rig.frames import COUNTS, SIZES, frame

HEIGHT, QUALITY = 720, 80


def measure(rounds: int) -> Report:
    """By number of faces: CPU ms of pipeline, drawing and JPEG, and what the latter two are of the
    first, by round."""
    from face_attributes_ros.build import build_pipeline
    from face_attributes_ros.drawing import draw
    from face_attributes_ros.settings import Settings

    cv2.setNumThreads(1)
    pipeline = build_pipeline(Settings(threads=1, tracking_confirm_hits=1))
    found = {}
    for count in COUNTS:
        picture, _ = frame(*SIZES[HEIGHT], count)
        pipeline.reset()
        rows = [_round(pipeline, draw, picture, number / 10) for number in range(rounds + 3)][3:]
        faces = len(pipeline.process({'': (picture, rounds + 4.)})[''])
        found[str(count)] = {'faces': faces, **{
            name: summary([row[name] for row in rows]) for name in ('pipeline', 'draw', 'jpeg')},
            **{f'{name}_percent': summary([100 * row[name] / row['pipeline'] for row in rows])
               for name in ('draw', 'jpeg')}}
    return {'size': SIZES[HEIGHT], 'quality': QUALITY, 'rounds': rounds,
            'engines': pipeline.description, 'frames': found}


def _round(pipeline: Any, draw: Any, picture: Any, stamp_s: float) -> dict[str, float]:
    tracks: list[Any] = []
    shown = picture.copy()
    return {
        'pipeline': cpu_ms(lambda: tracks.extend(pipeline.process({'': (picture, stamp_s)})[''])),
        'draw': cpu_ms(lambda: draw(shown, tracks)),
        'jpeg': cpu_ms(lambda: cv2.imencode('.jpg', shown, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=60)
    parser.add_argument('--out', type=Path, required=True)
    args = parser.parse_args()
    machine.require_thread_limits(1)
    about = machine.about()
    args.out.write_text(json.dumps({'machine': about, **measure(args.rounds)}, indent=1) + '\n')


if __name__ == '__main__':
    main()
