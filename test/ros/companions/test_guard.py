# SPDX-License-Identifier: Apache-2.0
import socket

import pytest

from face_attributes_ros.ros.companions.guard import is_loopback, refusal


@pytest.mark.parametrize('headers', [
    {'Host': '127.0.0.1:80'}, {'Host': 'localhost:80'}, {'Host': '127.0.0.1'},
    {'Host': '[::1]:80'},
    {'Host': 'localhost:80', 'Origin': 'http://localhost:80', 'Sec-Fetch-Site': 'same-origin'},
    {'Host': 'localhost:80', 'Sec-Fetch-Site': 'none'},
])
def test_its_own_page_may_ask(headers):
    assert refusal(headers, 80, True) == ''


@pytest.mark.parametrize('headers', [
    {}, {'Host': ''}, {'Host': 'evil.example:80'}, {'Host': 'localhost.evil.example:80'},
    {'Host': 'localhost:81'}, {'Host': 'localhost:x'}, {'Host': 'a@localhost:80'},
    {'Host': '192.168.1.7:80'}, {'Host': 'localhost:80/x'}, {'Host': '[::1'},
    {'Host': 'localhost:80', 'Origin': 'http://evil.example'},
    {'Host': 'localhost:80', 'Origin': 'null'}, {'Host': 'localhost:80', 'Origin': ''},
    {'Host': 'localhost:80', 'Origin': 'https://localhost:80'},
    {'Host': 'localhost:80', 'Origin': 'http://localhost:81'},
    {'Host': 'localhost:80', 'Origin': 'http://127.0.0.1:80'},
    {'Host': 'localhost:80', 'Sec-Fetch-Site': 'cross-site'},
    {'Host': 'localhost:80', 'Sec-Fetch-Site': 'same-site'},
])
def test_others_may_not(headers):
    assert refusal(headers, 80, True)


@pytest.mark.parametrize('host, allowed', [
    ('192.168.1.7:80', True), (f'{socket.gethostname()}:80', True), ('localhost:80', True),
    ('evil.example:80', False)])
def test_served_to_the_network_it_answers_to_its_own_names(host, allowed):
    assert (refusal({'Host': host}, 80, False) == '') == allowed


@pytest.mark.parametrize('host, own', [('127.0.0.1', True), ('127.8.9.1', True), ('::1', True),
                                       ('localhost', True), ('0.0.0.0', False), ('::', False),
                                       ('192.168.1.7', False), ('robot', False), ('', False)])
def test_loopback(host, own):
    assert is_loopback(host) == own
