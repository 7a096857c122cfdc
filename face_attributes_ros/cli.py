# SPDX-License-Identifier: Apache-2.0
"""The `face-attributes` command; each subcommand is a module with `add_arguments(parser)` and
`run(args)`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from face_attributes_ros.errors import FaceAttributesError

COMMANDS = {
    ('analyze',): ('analyze', 'find faces in pictures and videos and say what they show'),
    ('annotate-bag',): ('ros.bags.annotate', 'write a recorded bag anew, with our messages in it'),
    ('batch',): ('ros.bags.batch', 'many bags and videos at once, on many processes'),
    ('doctor',): ('ros.doctor', 'what this machine has, what the node takes of it, what it lacks'),
    ('train', 'detector'): ('training.detector.train', 'train the YOLOv3 face detector'),
    ('train', 'attributes'): ('training.attributes.train',
                              'train the multi-task attribute network'),
    ('evaluate', 'detector'): ('training.detector.evaluate',
                               'measure a detector on labelled pictures'),
    ('evaluate', 'attributes'): ('training.attributes.evaluate',
                                 'measure an attribute network on labelled faces'),
    ('evaluate', 'bf16'): ('training.int8.bf16',
                           'measure what bf16 costs a shipped network, and allow it'),
    ('train', 'paper'): ('paper.training.train', "train one of the paper's systems by its recipe"),
    ('evaluate', 'paper'): ('paper.training.evaluate_trained',
                            "what a trained one of the paper's networks knows of held-out faces"),
    ('evaluate', 'pool5'): ('paper.training.evaluate_pool5',
                            "the paper's POOL5 features and SVM on JAFFE"),
    ('evaluate', 'two-stage'): ('paper.training.evaluate_two_stage',
                                "what each step of the paper's two-stage test is worth"),
    ('describe',): ('paper.describe', "the paper's networks, layer by layer"),
    ('report', 'side-by-side'): ('paper.side_by_side',
                                 "the paper's pipeline and ours on the same pictures, with times"),
    ('report', 'grid'): ('paper.training.report_grid',
                         'persons by expressions with what the system says, as one picture'),
    ('export', 'detector'): ('training.detector.export', 'write a trained detector as ONNX'),
    ('export', 'attributes'): ('training.attributes.export',
                               'write a trained attribute network as ONNX'),
    ('export', 'int8'): ('training.int8.export',
                         'make and measure the int8 file of a shipped network'),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit status is its own, or 2 with one line on what was wrong with the
    input."""
    argv = sys.argv[1:] if argv is None else list(argv)
    words = next((words for words in COMMANDS if tuple(argv[:len(words)]) == words), None)
    if words is None:
        print(_usage(), file=sys.stdout if argv in (['-h'], ['--help']) else sys.stderr)
        return 0 if argv in (['-h'], ['--help']) else 2
    home, summary = COMMANDS[words]
    try:
        module = import_module(f'face_attributes_ros.{home}')
    except ModuleNotFoundError as error:
        return _say_missing(words, summary, error, argv)
    parser = argparse.ArgumentParser(prog=f'face-attributes {" ".join(words)}',
                                     description=summary)
    module.add_arguments(parser)
    try:
        status: int = module.run(parser.parse_args(argv[len(words):]))
        return status
    except FaceAttributesError as error:
        print(f'face-attributes: {error}', file=sys.stderr)
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _say_missing(words: tuple[str, ...], summary: str, error: ModuleNotFoundError,
                 argv: Sequence[str]) -> int:
    # What a command is for, everybody may read; its options are those of modules that are not
    # here.
    if str(error.name).startswith('face_attributes_ros'):
        raise error
    name = f'face-attributes {" ".join(words)}'
    if '-h' in argv or '--help' in argv:
        print(f'usage: {name} [-h] ...\n\n{summary}\n\nOptions are shown once {error.name} is '
              'installed.')
        raise SystemExit(0)  # as argparse does
    print(f'{name}: needs {error.name}: pip install {error.name}', file=sys.stderr)
    return 2


def _usage() -> str:
    rows = [f'  face-attributes {" ".join(words):<22}{summary}'
            for words, (_, summary) in COMMANDS.items()]
    return '\n'.join(['usage: face-attributes COMMAND [-h] ...', '', *rows])


if __name__ == '__main__':
    sys.exit(main())
