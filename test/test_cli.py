# SPDX-License-Identifier: Apache-2.0
"""The command on a machine that lacks what a subcommand needs."""

import subprocess
import sys

import pytest

from face_attributes_ros.cli import COMMANDS

WITHOUT = '''
import sys
for name in ('torch', 'scipy', 'ultralytics', 'sklearn', 'matplotlib', 'onnx', 'safetensors'):
    sys.modules[name] = None
from face_attributes_ros.cli import main
sys.exit(main(sys.argv[1:]))
'''


def without_torch(*words):
    return subprocess.run([sys.executable, '-c', WITHOUT, *words], capture_output=True, text=True,
                          timeout=120)


@pytest.mark.parametrize('words', [('describe',), ('analyze',), ('train', 'detector')],
                         ids=' '.join)
def test_help_is_had_without_torch(words):
    done = without_torch(*words, '--help')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f'usage: face-attributes {" ".join(words)}')
    assert COMMANDS[words][1] in ' '.join(done.stdout.split())


def test_a_command_that_needs_torch_says_so_in_a_line():
    done = without_torch('describe', 'all_in_one')
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr == 'face-attributes describe: needs torch: pip install torch\n'
