# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a manifest is either right or a ModelError that names it."""

import contextlib
import math
import random

import pytest

from face_attributes_ros.engines.manifest import KEYS, read_tables
from face_attributes_ros.errors import ModelError

GOOD = {
    'task': '"detector"', 'file': '"one.onnx"', 'sha256': f'"{"0" * 64}"', 'licence': '"x"',
    'data': '"y"', 'input_px': '448', 'crop_scale': '1.3', 'torch_file': '"one.safetensors"',
    'torch_sha256': f'"{"1" * 64}"', 'int8_file': '"one_int8.onnx"',
    'int8_sha256': f'"{"2" * 64}"', 'int8_made_from': f'"{"0" * 64}"',
    'thresholds': '{score = 0.4}', 'metrics': '{ap = 0.5, parameters = 4388291, how = "so"}',
    'int8_metrics': '{}', 'auto_precisions': '["bf16", "int8"]'
}
VALUES = ('1', '-1', '0', '0.5', '1e400', 'nan', '-inf', '""', '"x"', 'true', '[]', '[1]', '{}',
          '{a = "b"}', '{a = nan}', '1979-05-27', f'1{"0" * 30}', f'0x{"f" * 5000}',
          f'"{"x" * 300}.onnx"', f'"{"y" * 20_000}"', r'"a\u0000.onnx"', '[[[[[[]]]]]]')
ODD = {
    'nothing': '', 'models is no table': 'models = 1', 'models is a list': 'models = [1]',
    'one is no table': '[models]\none = 1', 'one is a list': '[[models.one]]\ntask = "detector"',
    'no TOML': 'models = [', 'nested': f'models = {"[" * 5000}',
    'nested keys': f'models.one{".a" * 5000} = 1',
    'no UTF-8': b'\xff\xfe', 'zero': '\0', 'a long number': f'models = {"9" * 5000}',
    'a long name': f'[models.{"x" * 1000}]\ntask = "detector"',
    'a name with a colon': '[models."a:b"]\ntask = "detector"', 'no name': '[models.""]',
    'large': '#' * (2 << 20),
}


def written(folder, **changes):
    path = folder / 'manifest.toml'
    lines = [f'{key} = {value}' for key, value in {**GOOD, **changes}.items() if value is not None]
    path.write_text('\n'.join(['[models.one]', *lines]), encoding='utf-8')
    return path


def test_what_is_good_is_read(tmp_path):
    table = read_tables(written(tmp_path))['one']
    assert set(table) == set(KEYS) and table['crop_scale'] == 1.3
    assert table['auto_precisions'] == ('bf16', 'int8')
    table = read_tables(written(tmp_path, crop_scale='1', auto_precisions='[]'))['one']
    assert type(table['crop_scale']) is float and table['auto_precisions'] == ()


@pytest.mark.parametrize('key, value, need', [
    ('input_px', f'1{"0" * 30}', 'a whole number from 16 to 4096'),
    ('input_px', '448.0', 'a whole number'), ('input_px', 'true', 'a whole number'),
    ('crop_scale', '0', 'from 0.1 to 10'), ('crop_scale', 'nan', 'from 0.1 to 10'),
    ('crop_scale', '"1"', 'from 0.1 to 10'), ('thresholds', '1', 'a table of numbers from 0 to 1'),
    ('thresholds', '{score = 1.5}', 'from 0 to 1'), ('file', '"one.xml"', 'an .onnx file'),
    ('file', f'"{"x" * 251}.onnx"', 'longer than 255 bytes'), ('sha256', '7', 'at most 64'),
    ('auto_precisions', '["fp8"]', 'a list of bf16 and int8'),
    ('auto_precisions', '"bf16"', 'a list of bf16'), ('auto_precisions', '[1]', 'a list of bf16'),
    ('metrics', '{a = [1]}', 'a table of numbers'), ('task', '"cats"', 'one of detector'),
    ('licence', 'None', 'manifest'), ('torch_file', '"one.pt"', 'an .safetensors file'),
])
def test_a_wrong_value_is_named_with_what_it_needs(tmp_path, key, value, need):
    path = written(tmp_path, **{key: value})
    with pytest.raises(ModelError) as error:
        read_tables(path)
    assert str(path) in str(error.value) and need in str(error.value), error.value
    if value != 'None':
        assert f'models.one.{key} is ' in str(error.value)


@pytest.mark.parametrize('changes, message', [
    ({'crop_scal': '1.0'}, "models.one.crop_scal is unknown, did you mean 'crop_scale'?"),
    ({'torch_sha256': None}, 'torch_sha256 is missing beside torch_file'),
    ({'int8_file': None}, 'int8_file is missing beside int8_sha256, int8_made_from'),
    ({'int8_made_from': f'"{"3" * 64}"'}, 'made from other weights'),
])
def test_keys_that_do_not_fit_together_are_named(tmp_path, changes, message):
    with pytest.raises(ModelError, match='.*') as error:
        read_tables(written(tmp_path, **changes))
    assert message in str(error.value)


def test_keys_of_others_are_left_alone(tmp_path):
    assert set(read_tables(written(tmp_path, zebra='"x"'))['one']) == set(KEYS)


@pytest.mark.parametrize('text', ODD.values(), ids=ODD)
def test_an_odd_file_is_one_line_or_has_no_models(tmp_path, text):
    path = tmp_path / 'manifest.toml'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        assert read_tables(path) == {} and text == ''
    except ModelError as error:
        assert '\n' not in str(error) and len(str(error)) < 1000 + len(str(path))


def test_a_fifo_is_not_waited_for(tmp_path):
    import os

    os.mkfifo(tmp_path / 'manifest.toml')
    with pytest.raises(ModelError, match='not a file'):
        read_tables(tmp_path / 'manifest.toml')


def test_two_thousand_mutated_manifests_are_right_or_named(tmp_path):
    """Values of every type in every place, and bytes that flip: what is read has the types that it
    should."""
    rng, good = random.Random(0), written(tmp_path).read_bytes()
    for number in range(2000):
        if number % 2:
            key = rng.choice(list(GOOD))
            path = written(tmp_path, **{key: rng.choice(VALUES)})
        else:
            path, mutated = tmp_path / 'manifest.toml', bytearray(good)
            for _ in range(rng.randint(1, 4)):
                mutated[rng.randrange(len(mutated))] = rng.randrange(256)
            path.write_bytes(mutated)
        with contextlib.suppress(ModelError):
            for table in read_tables(path).values():
                assert all(KEYS[key].fits(value) for key, value in table.items())
                assert 16 <= table['input_px'] <= 4096
                assert math.isfinite(table.get('crop_scale', 1.))
