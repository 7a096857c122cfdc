# SPDX-License-Identifier: Apache-2.0
"""Tables in a weight file's header make a network, or one line of an error; they run nothing and
take no memory."""

import json
import time

import pytest
from detector_rig import MICRO

torch = pytest.importorskip('torch', reason='torch is needed for the torch backend only')
pytest.importorskip('safetensors', reason='safetensors is needed for the torch backend only')

from safetensors.torch import save_file

from face_attributes_ros.engines.torch import open_file
from face_attributes_ros.engines.ultralytics import shipped_model
from face_attributes_ros.errors import ModelError
from face_attributes_ros.networks.bodies import check_sizes
from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.networks.yolov3 import build_yolov3

TINY = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)
CALIBRATION = {'temperatures': {}, 'offsets': {}}


def conv(*arguments, repeats=1):
    return MICRO | {'backbone': [[-1, repeats, 'Conv', list(arguments)]] * 4}


@pytest.mark.parametrize('table, text', [
    (MICRO | {'activation': "__import__('os').system('true')"}, 'activation'),
    (MICRO | {'activation': 'torch.nn.ReLU() or exit()'}, 'activation'),
    (MICRO | {'activation': '(' * 10_000}, 'cannot build'), (MICRO | {'activation': 3}, 'build'),
    (MICRO | {'backbone': [[-1, 1, 'load_checkpoint', ['evil.pt']]]}, 'load_checkpoint is no'),
    (MICRO | {'backbone': [[-1, 1, ['Conv'], [8]]]}, 'cannot build'),
    (MICRO | {'backbone': [[-1, 1, 'nn.Sequential', []]]}, 'nn.Sequential is no layer'),
    (conv('locals()', 3, 2), 'cannot build'), (conv(10**12, 3, 2), 'build'),
    (conv(10**30, 3, 2), 'cannot build'), (conv(8, 10**6, 2), 'build'),
    (conv(8, repeats=10**9), 'repeats, needs'), (conv(2048, 99), 'weights, needs at most'),
    (MICRO | {'width_multiple': 1e300}, 'cannot build'),
    (MICRO | {'width_multiple': float('inf')}, 'cannot build'),
    (MICRO | {'depth_multiple': float('nan')}, None), (MICRO | {'reg_max': 10**9}, 'build'),
    (MICRO | {'nc': 'x'}, 'cannot build'), (MICRO | {'nc': 0}, 'cannot build'),
    (MICRO | {'backbone': [[-1, 1, 'Conv', [8, 3, 0]]] * 4}, 'cannot build'),
    (MICRO | {'backbone': []}, 'cannot build'),
    (MICRO | {'backbone': 5}, 'cannot build'), (MICRO | {'backbone': [5]}, 'cannot build'),
    (MICRO | {'channels': 10**9}, "'channels' is none of"),
    (MICRO | {'head': [[-1, 1, 'Conv', [8]]] * 1000}, 'layers, needs'),
    (MICRO | {'head': [[-1, 1, 'nn.Upsample', [None, 0, 'nearest']]]}, 'cannot build'),
    ('x', 'a str'), (None, 'a NoneType'),
])
def test_what_is_no_table_of_a_yolov3_is_refused(table, text):
    if text is None:  # of no consequence
        build_yolov3(table)
        return
    with pytest.raises(ModelError, match=text) as error:
        build_yolov3(table)
    assert len(str(error.value)) < 700 and '\n' not in str(error.value)


@pytest.mark.parametrize('table', [None, 5, [8], {'stem': 10**12}, {'stem': -1}, {'stem': None},
                                   {'stages': [[8, 10**9]]}, {'stem': float('nan')},
                                   {'stages': [[8]] * 1000}, {'a': [[[[[8]]]]]}])
def test_what_is_no_table_of_sizes_is_refused(table):
    check_sizes(TINY.to_dict())
    with pytest.raises(ModelError, match='sizes of the network'):
        check_sizes(table)


@pytest.mark.parametrize('open_', [open_file, shipped_model])
def test_a_safetensors_file_runs_no_code(open_, tmp_path):
    """ultralytics evaluates the activation of a table."""
    if open_ is shipped_model:
        pytest.importorskip('ultralytics', reason='ultralytics is not installed')
    code = f"open({str(tmp_path / 'ran')!r}, 'w') and torch.nn.ReLU()"
    save_file({'a': torch.zeros(1)}, tmp_path / 'm.safetensors',
              {'model': json.dumps(MICRO | {'activation': code})})
    with pytest.raises(ModelError, match='activation'):
        open_(tmp_path / 'm.safetensors')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('network, calibration', [
    ({'body': 'none'}, CALIBRATION), ({'stem': 'x'}, CALIBRATION), ({'stem': 0}, CALIBRATION),
    ({'stages': 8}, CALIBRATION), ({'colour': 8}, CALIBRATION), ('m', CALIBRATION),
    ({'shared': 4096, 'stem': 4096}, CALIBRATION), ({}, 'temperatures offsets'), ({}, 7),
    ({}, CALIBRATION | {'temperatures': 1}), ({}, CALIBRATION | {'temperatures': {'age': 'hot'}}),
    ({}, CALIBRATION | {'offsets': {'expression': [1., 2.]}}),
    ({}, CALIBRATION | {'offsets': {'expression': 'x'}}),
])
def test_a_header_that_does_not_fit_is_one_line(network, calibration, tmp_path):
    whole = TINY.to_dict() | network if isinstance(network, dict) else network
    save_file(CompactNet(TINY).state_dict(), tmp_path / 'm.safetensors',
              {'network': json.dumps(whole), 'calibration': json.dumps(calibration)})
    start = time.process_time()
    with pytest.raises(ModelError) as error:
        open_file(tmp_path / 'm.safetensors')
    assert '\n' not in str(error.value) and time.process_time() - start < 10


@pytest.mark.parametrize('text', ['[' * 100_000, '1' * 10_000, '', '\0', '{"a"'])
def test_metadata_that_is_no_table_is_one_line(text, tmp_path):
    for key in ('model', 'network', 'calibration'):
        about = {'network': '{}', 'calibration': '{}', key: text}
        save_file({'a': torch.zeros(1)}, tmp_path / 'm.safetensors', about)
        with pytest.raises(ModelError) as error:
            open_file(tmp_path / 'm.safetensors')
        assert '\n' not in str(error.value)
