# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest

from face_attributes_ros.engines import manifest as manifests
from face_attributes_ros.engines import models
from face_attributes_ros.errors import ModelError, ParameterError

WEIGHTS = b'\x08\x07\x12\x07weights'
SMALL = b'\x08\x07\x12\x05small'
"""ONNX files with a version and a producer, and nothing else."""

TABLE = '''
[models.one]
task = "detector"
file = "one.onnx"
sha256 = "{sha}"
licence = "x"
data = "y"
input_px = 448
[models.one.thresholds]
score = 0.4
'''


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / 'one.onnx').write_bytes(WEIGHTS)
    path = tmp_path / 'manifest.toml'
    path.write_text(TABLE.format(sha=hashlib.sha256(WEIGHTS).hexdigest()))
    return path


def test_a_users_manifest_is_read(manifest):
    model = models.find_model(f'{manifest}:one', 'detector')
    assert (model.input_px, model.thresholds['score'], model.path.read_bytes()) == (448, .4,
                                                                                    WEIGHTS)


def damage(manifest):
    (manifest.parent / 'one.onnx').write_bytes(WEIGHTS[:-1] + b'z')


def truncate(manifest):
    (manifest.parent / 'one.onnx').write_bytes(WEIGHTS[:-1])


def remove(manifest):
    (manifest.parent / 'one.onnx').unlink()


def spoil(manifest):
    manifest.write_text('models = [')


def forget_key(manifest):
    manifest.write_text(manifest.read_text().replace('input_px = 448', ''))


def with_int8(manifest, made_from=None):
    """An int8 file beside the float one, made from it unless said otherwise."""
    (manifest.parent / 'one_int8.onnx').write_bytes(SMALL)
    sha = hashlib.sha256(WEIGHTS).hexdigest()
    keys = {
        'int8_file': 'one_int8.onnx', 'int8_sha256': hashlib.sha256(SMALL).hexdigest(),
        'int8_made_from': made_from or sha
    }
    lines = ''.join(f'{key} = "{value}"\n' for key, value in keys.items())
    manifest.write_text(manifest.read_text().replace('input_px = 448\n',
                                                     f'input_px = 448\n{lines}'))


def damage_int8(manifest):
    with_int8(manifest)
    (manifest.parent / 'one_int8.onnx').write_bytes(SMALL + b'er')


def remove_int8(manifest):
    with_int8(manifest)
    (manifest.parent / 'one_int8.onnx').unlink()


def other_weights(manifest):
    with_int8(manifest, made_from='0' * 64)


def test_an_int8_file_is_named_beside_the_float_one(manifest):
    assert models.find_model(f'{manifest}:one', 'detector').int8_path is None
    with_int8(manifest)
    assert models.find_model(f'{manifest}:one', 'detector').int8_path.read_bytes() == SMALL


def wrong_task(manifest):
    manifest.write_text(manifest.read_text().replace('"detector"', '"cats"'))


@pytest.mark.parametrize(
    'change, message',
    [(damage, 'damaged or was changed'), (truncate, 'damaged or was changed'),
     (remove, 'is missing'), (spoil, 'manifest'),
     (forget_key, 'input_px is None, needs a whole number from 16 to 4096'),
     (wrong_task, "'cats', needs one of"), (damage_int8, 'one_int8.onnx has sha256'),
     (remove_int8, 'one_int8.onnx is missing'),
     (other_weights, 'made from other weights than file: run face-attributes export int8 again')])
def test_what_is_wrong_is_named(manifest, change, message):
    change(manifest)
    with pytest.raises(ModelError, match=message):
        models.find_model(f'{manifest}:one', 'detector')


def test_unknown_name_lists_the_known(manifest):
    with pytest.raises(ModelError, match=r":two' is not in the manifest, which has: one") as error:
        models.find_model(f'{manifest}:two', 'detector')
    assert 'detector model' in str(error.value)


def test_a_detector_is_no_attribute_network(manifest):
    with pytest.raises(ModelError, match='is for detector, needed one for attributes'):
        models.find_model(f'{manifest}:one', 'attributes')


def test_a_manifest_at_home_is_found(manifest, monkeypatch):
    monkeypatch.setenv('HOME', str(manifest.parent))
    assert models.find_model('~/manifest.toml:one', 'detector').name == 'one'


def test_a_home_that_there_is_not_is_one_line():
    with pytest.raises(ParameterError, match='there is no home folder ~nobody-here'):
        models.find_model('~nobody-here/manifest.toml:one', 'detector')


@pytest.mark.parametrize('name', ['x' * 5000, f'{"x" * 5000}/manifest.toml:one', '\0', '\0:one',
                                  '/:one', '/dev/zero:one', ':', ''])
def test_a_name_that_cannot_be_is_one_line(name):
    with pytest.raises(ModelError) as error:
        models.find_model(name, 'detector')
    assert '\n' not in str(error.value) and str(error.value)


def test_the_keys_of_a_manifest_are_the_fields_of_a_model():
    assert set(manifests.KEYS) - {'file'} == set(models.Model.__dataclass_fields__) - {
        'name', 'path'}


def test_every_shipped_file_is_what_the_manifest_says():
    assert {model.task for model in models.shipped().values()} == set(models.TASKS)
    for model in models.shipped().values():
        model.checked()
        assert 'research' in model.licence and model.metrics
