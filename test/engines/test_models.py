# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest

from face_attributes_ros.engines import models
from face_attributes_ros.errors import ModelError

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
    (tmp_path / 'one.onnx').write_bytes(b'weights')
    path = tmp_path / 'manifest.toml'
    path.write_text(TABLE.format(sha=hashlib.sha256(b'weights').hexdigest()))
    return path


def test_a_users_manifest_is_read(manifest):
    model = models.find_model(f'{manifest}:one', 'detector')
    assert (model.input_px, model.thresholds['score'], model.path.read_bytes()) == (448, .4,
                                                                                    b'weights')


def damage(manifest):
    (manifest.parent / 'one.onnx').write_bytes(b'weightz')


def truncate(manifest):
    (manifest.parent / 'one.onnx').write_bytes(b'wei')


def remove(manifest):
    (manifest.parent / 'one.onnx').unlink()


def spoil(manifest):
    manifest.write_text('models = [')


def forget_key(manifest):
    manifest.write_text(manifest.read_text().replace('input_px = 448', ''))


def with_int8(manifest, made_from=None):
    """An int8 file beside the float one, made from it unless said otherwise."""
    (manifest.parent / 'one_int8.onnx').write_bytes(b'small')
    sha = hashlib.sha256(b'weights').hexdigest()
    keys = {
        'int8_file': 'one_int8.onnx', 'int8_sha256': hashlib.sha256(b'small').hexdigest(),
        'int8_made_from': made_from or sha
    }
    lines = ''.join(f'{key} = "{value}"\n' for key, value in keys.items())
    manifest.write_text(manifest.read_text().replace('input_px = 448\n',
                                                     f'input_px = 448\n{lines}'))


def damage_int8(manifest):
    with_int8(manifest)
    (manifest.parent / 'one_int8.onnx').write_bytes(b'smaller')


def remove_int8(manifest):
    with_int8(manifest)
    (manifest.parent / 'one_int8.onnx').unlink()


def other_weights(manifest):
    with_int8(manifest, made_from='0' * 64)


def test_an_int8_file_is_named_beside_the_float_one(manifest):
    assert models.find_model(f'{manifest}:one', 'detector').int8_path is None
    with_int8(manifest)
    assert models.find_model(f'{manifest}:one', 'detector').int8_path.read_bytes() == b'small'


def wrong_task(manifest):
    manifest.write_text(manifest.read_text().replace('"detector"', '"cats"'))


@pytest.mark.parametrize(
    'change, message',
    [(damage, 'damaged or was changed'), (truncate, 'damaged or was changed'),
     (remove, 'is missing'), (spoil, 'manifest'), (forget_key, 'input_px is None, needs a int'),
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


def test_every_shipped_file_is_what_the_manifest_says():
    assert {model.task for model in models.shipped().values()} == set(models.TASKS)
    for model in models.shipped().values():
        model.checked()
        assert 'research' in model.licence and model.metrics
