# SPDX-License-Identifier: Apache-2.0
import io
import sys

import pytest

from face_attributes_ros.console import say
from face_attributes_ros.errors import OutputError


@pytest.mark.parametrize('encoding, expected', [('ascii', b'caf\\xe9 \\u5bb6\n'),
                                                ('utf-8', 'caf\u00e9 \u5bb6\n'.encode())])
def test_any_text_can_be_said_in_any_encoding(monkeypatch, encoding, expected):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(raw, encoding))
    say('caf\u00e9 \u5bb6')
    assert raw.getvalue() == expected


def test_lone_surrogates_can_be_said(capsys):
    say('\udcff')
    assert capsys.readouterr().out == '\\udcff\n'


def test_a_full_disk_is_one_error(monkeypatch):
    with open('/dev/full', 'w') as full:
        monkeypatch.setattr(sys, 'stdout', full)
        with pytest.raises(OutputError, match='standard output: No space left on device'):
            say('x')
        monkeypatch.undo()
