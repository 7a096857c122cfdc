# SPDX-License-Identifier: Apache-2.0
import functools
import hashlib
import threading
from argparse import Namespace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from face_attributes_ros import fetch_weights
from face_attributes_ros.errors import ModelError, ParameterError

BYTES = b'weights' * 1000
SHA = hashlib.sha256(BYTES).hexdigest()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / 'served'
    folder.mkdir()
    (folder / 'big.onnx').write_bytes(BYTES)
    with ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Silent,
                                                                 directory=folder)) as http:
        thread = threading.Thread(target=http.serve_forever, args=(.01,))
        thread.start()
        yield f'http://127.0.0.1:{http.server_port}'
        http.shutdown()
        thread.join()


def write_list(path, url, sha256=SHA, file='big.onnx'):
    path.write_text(f'[weights.big]\nurl = "{url}"\nsha256 = "{sha256}"\nfile = "{file}"\n')
    return path


def fetch(tmp_path, url, **change):
    listed = write_list(tmp_path / 'weights.toml', url, **change)
    return fetch_weights.run(Namespace(list=listed, out=tmp_path / 'models'))


def test_fetches_and_verifies(tmp_path, server, capsys):
    assert fetch(tmp_path, f'{server}/big.onnx') == 0
    assert (tmp_path / 'models' / 'big.onnx').read_bytes() == BYTES
    assert 'big.onnx' in capsys.readouterr().out


def test_a_file_url_works_and_a_file_that_matches_is_kept(tmp_path):
    source = tmp_path / 'elsewhere.onnx'
    source.write_bytes(BYTES)
    assert fetch(tmp_path, source.as_uri()) == 0
    source.unlink()
    assert fetch(tmp_path, source.as_uri()) == 0


def test_a_wrong_checksum_is_refused_and_leaves_the_old_file(tmp_path, server):
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models' / 'big.onnx').write_bytes(b'old')
    with pytest.raises(ModelError, match='sha256'):
        fetch(tmp_path, f'{server}/big.onnx', sha256='0' * 64)
    assert {p.name: p.read_bytes()
            for p in (tmp_path / 'models').iterdir()} == {'big.onnx': b'old'}


def test_what_is_not_there_is_named(tmp_path, server):
    with pytest.raises(ModelError, match='cannot be fetched'):
        fetch(tmp_path, f'{server}/nothing.onnx')
    assert list((tmp_path / 'models').iterdir()) == []


@pytest.mark.parametrize('change, message', [({'url': 'ftp://host/x'}, 'url'),
                                             ({'sha256': 'abc'}, 'sha256'),
                                             ({'file': '../../etc/x'}, 'file'),
                                             ({'file': 'a/b'}, 'file'), ({'file': ''}, 'file')])
def test_a_wrong_list_is_named(tmp_path, change, message):
    with pytest.raises(ParameterError, match=f'weights.big.{message}'):
        fetch(tmp_path, **({'url': 'https://host/x'} | change))


@pytest.mark.parametrize('text', ['', 'not toml ['])
def test_an_empty_or_broken_list_is_named(tmp_path, text):
    (tmp_path / 'weights.toml').write_text(text)
    with pytest.raises(ParameterError, match='weights.toml'):
        fetch_weights.read_list(tmp_path / 'weights.toml')
