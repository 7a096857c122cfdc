# SPDX-License-Identifier: Apache-2.0
"""What is said of the weights between two runs."""

import csv
import json
import zipfile

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')
from attributes_rig import face, jpeg, make_pack

from face_attributes_ros.networks.compact import CompactConfig, CompactNet
from face_attributes_ros.training.attributes import weigh
from face_attributes_ros.training.common.checkpoint import save_tensors

TINY = CompactConfig(8, ((8, 1), (16, 1), (16, 2)), 8, 8, 16, 8, 16, 2)
POSED = (('rafd_1.jpg', 'fear', 'rafd_1', 'val'), ('yale_2.jpg', 'sad', 'yale_2', 'val'),
         ('maxq_3.jpg', 'angry', 'web', 'val'), ('mamabose_4.jpg', 'angry', 'kdef_F01', 'val'),
         ('maxq_5.jpg', 'angry', 'web', 'train'))
FILM = (('imfdb_6.jpg', 'happy', 'imfdb_ANR', 'val'),)
AGES = (('aaf_7.jpg', '', 'aaf_7', 'val'),)


def put_pack(full, name, rows):
    with zipfile.ZipFile(full / f'{name}.zip', 'w') as pack:
        for number, (file, *_) in enumerate(rows):
            pack.writestr(file, jpeg(face(number)))
    with open(full / f'{name}.csv', 'w', newline='') as table:
        writer = csv.writer(table)
        writer.writerow(('path', 'expression', 'group', 'split', 'gender', 'age_min', 'age_max'))
        writer.writerows((f'{name}/{file}', expression, group, split, '1', '30', '30')
                         for file, expression, group, split in rows)


@pytest.fixture
def folders(tmp_path):
    """(data, full, two files of weights)."""
    full = tmp_path / 'full'
    full.mkdir()
    for name, rows in (('posed_more', POSED), ('film_more', FILM), ('ages_more', AGES)):
        put_pack(full, name, rows)
    weights = []
    for seed in range(2):
        torch.manual_seed(seed)
        network = CompactNet(TINY)
        for _ in range(3):
            network(torch.randn(8, 3, 32, 32))
        weights.append(tmp_path / f'{seed}.safetensors')
        save_tensors(weights[-1], network.state_dict(), {'network': TINY.to_dict(), 'size': 32})
    make_pack(tmp_path / 'data')
    return tmp_path / 'data', full, weights


def test_people_who_are_trained_on_elsewhere_are_not_judged(folders):
    data, full, _ = folders
    samples = weigh.judged_samples(data, full)
    of = {source: [sample.group for sample in samples if sample.source == source]
          for source in ('laboratory', 'web', 'film', 'ages')}
    assert of == {'laboratory': ['rafd_1', 'yale_2'], 'web': ['web'], 'film': ['imfdb_ANR'],
                  'ages': ['aaf_7']}


def test_every_share_is_judged_on_every_source_and_the_ends_are_the_files(folders, tmp_path):
    data, full, weights = folders
    out = tmp_path / 'weigh.json'
    words = ['--data', str(data), '--full', str(full), '--json', str(out)]
    assert weigh.main(['--weights', *map(str, weights), '--shares', '0', '0.5', '1', *words]) == 0
    found = json.loads(out.read_text())
    assert list(found['shares']) == ['0', '0.5', '1'] and found['faces']['laboratory'] == 2
    assert set(found['shares']['0.5']) >= {'laboratory', 'web', 'film', 'ages', 'utkface'}
    assert 0 <= found['shares']['0']['laboratory']['expression_accuracy'] <= 1
    swapped = tmp_path / 'swapped.json'
    weigh.main(['--weights', *map(str, weights[::-1]), '--shares', '0', '1', *words[:-1],
                str(swapped)])
    again = json.loads(swapped.read_text())['shares']
    assert again['0'] == found['shares']['1'] and again['1'] == found['shares']['0']
