# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field
from typing import Literal

import pytest

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.training.common.config import read_config


@dataclass(frozen=True)
class Inner:
    share: float = .5


def positive(value):
    if value <= 0:
        raise ValueError('needs a number above 0')
    return value


@dataclass(frozen=True)
class Outer:
    batch: int
    sizes: tuple[tuple[float, int], ...] = ()
    names: dict[str, float] = field(default_factory=dict)
    kind: Literal['a', 'b'] = 'a'
    inner: Inner = Inner()
    layers: dict[int, int] | None = None
    rate: float = field(default=1., metadata={'read': positive})


def read(tmp_path, text):
    path = tmp_path / 'c.yaml'
    path.write_text(text)
    return read_config(path, Outer)


def test_what_the_file_says_and_defaults(tmp_path):
    assert read(tmp_path, 'batch: 3') == Outer(3)
    assert read(tmp_path, """batch: 3
sizes: [[0, 64], [0.5, 80]]
names: {x: 1}
kind: b
inner: {share: 1}
layers: {1: 2}
rate: 2
""") == Outer(3, ((0., 64), (.5, 80)), {'x': 1.}, 'b', Inner(1.), {1: 2}, 2)


@pytest.mark.parametrize('text, message', [
    ('[', 'c.yaml is not a readable YAML file'),
    ('', 'c.yaml: the file is None, needs a table of Outer'),
    ('{}', 'batch is missing, needs a whole number'),
    ('batch: many', "batch is 'many', needs a whole number"),
    ('batch: true', 'batch is True, needs a whole number'),
    ('{batch: 1, speed: 3}', 'speed is no setting; known are batch, sizes'),
    ('{batch: 1, inner: {speed: 3}}', 'inner.speed is no setting; known are share'),
    ('{batch: 1, inner: 3}', 'inner is 3, needs a table of Inner'),
    ('{batch: 1, sizes: [[0, 64, 1]]}', r'sizes\[0\] is \[0, 64, 1\], needs a list of 2'),
    ('{batch: 1, sizes: [[0, x]]}', r"sizes\[0\]\[1\] is 'x', needs a whole number"),
    ('{batch: 1, names: {x: y}}', "names.x is 'y', needs a number"),
    ('{batch: 1, kind: c}', "kind is 'c', needs one of a, b"),
    ('{batch: 1, rate: 0}', 'rate is 0: needs a number above 0')])
def test_what_is_wrong_is_named_with_its_need(tmp_path, text, message):
    with pytest.raises(ParameterError, match=message):
        read(tmp_path, text)
