# SPDX-License-Identifier: Apache-2.0
import pytest

from tools.licences import licence, page


@pytest.mark.parametrize('licenses, expected', [
    ([], 'none declared'), ([{'license': {'id': 'MIT'}}], 'MIT'),
    ([{'expression': 'MIT OR Apache-2.0'}], 'MIT OR Apache-2.0'),
    ([{'license': {'name': 'License :: OSI Approved :: BSD License'}},
      {'license': {'id': 'BSD-3-Clause'}}], 'BSD License, BSD-3-Clause'),
])
def test_a_licence_is_what_is_declared(licenses, expected):
    assert licence({'licenses': licenses}) == expected


def test_every_component_has_a_row():
    rows = page({'components': [{'name': 'B', 'version': '1'}, {'name': 'a'}]}).splitlines()[-2:]
    assert rows == ['| a |  | none declared |', '| b | 1 | none declared |']
