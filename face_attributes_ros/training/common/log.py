# SPDX-License-Identifier: Apache-2.0
"""The CSV log of a training run. Its columns are fixed, so that a resumed run goes on in the same
file."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

Cell = float | int | str


class Log:
    """OUT/log.csv."""

    def __init__(self, path: Path, columns: Sequence[str]):
        self.path, self.columns = path, list(columns)

    def add(self, row: Mapping[str, Cell]) -> None:
        """Appends a row, and prints it; what has no column is left out of the file."""
        self._write('a' if self.path.is_file() else 'w',
                    [{name: _text(value) for name, value in row.items()}])
        print(' '.join(f'{name} {_text(value)}' for name, value in row.items()), flush=True)

    def cut(self, step: int) -> None:
        """Drops the rows after a step: a run that resumes there is about to repeat them."""
        if self.path.is_file():
            self._write('w', [row for row in read_log(self.path) if int(row['step']) <= step])

    def _write(self, mode: str, rows: Sequence[Mapping[str, str]]) -> None:
        with self.path.open(mode, newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, self.columns, restval='', extrasaction='ignore')
            if mode == 'w':
                writer.writeheader()
            writer.writerows(rows)


def _text(value: Cell) -> str:
    return f'{value:.5g}' if isinstance(value, float) else str(value)


def read_log(path: Path) -> list[dict[str, str]]:
    """The rows of a run's log, as text."""
    with Path(path).open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))
