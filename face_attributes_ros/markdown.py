# SPDX-License-Identifier: Apache-2.0
"""Tables in documents: made by code, put between `<!-- NAME -->` and `<!-- /NAME -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from face_attributes_ros.errors import DataError

_BLOCK = re.compile(r'(<!-- (?P<name>[\w-]+) -->\n).*?(<!-- /(?P=name) -->)', re.DOTALL)


def grid(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table of anything that prints."""
    lines = [head, ['---'] * len(head), *rows]
    return '\n'.join('| ' + ' | '.join(str(cell) for cell in line) + ' |' for line in lines) + '\n'


def filled(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """The text with every marked block made anew; `tables` maps names to functions that make one.
    DataError for a marker that names none of them."""
    def block(match: re.Match[str]) -> str:
        if match['name'] not in tables:
            raise DataError(f'unknown table {match["name"]}; known are {", ".join(tables)}')
        return f'{match[1]}\n{tables[match["name"]]()}\n{match[3]}'

    return _BLOCK.sub(block, text)
