# SPDX-License-Identifier: Apache-2.0
"""Who may ask the dashboard for anything: its own page, and no page of another origin."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

HEADERS = {
    'Cache-Control': 'no-store',
    'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
                               "connect-src 'self'; img-src data:; frame-ancestors 'none'; "
                               "base-uri 'none'; form-action 'none'",
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}
"""Of every answer: nothing is cached, framed, or used by another page."""


def refusal(headers: Mapping[str, str], port: int, loopback_only: bool) -> str:
    """Why a request with these headers is refused by a server at that port; '' where it is not.

    Browsers say where a request comes from (Origin, Sec-Fetch-Site); that a name is ours is
    checked since any page may have its own name point to us (DNS rebinding). Programs other than
    browsers need not say anything.
    """
    host = headers.get('Host', '')
    if not _is_ours(host, port, loopback_only):
        return f'no such host here: {host[:100]!r}'
    origin = headers.get('Origin')
    if origin is not None and origin != f'http://{host}':
        return f'another origin: {origin[:100]!r}'
    if headers.get('Sec-Fetch-Site', 'none') not in ('none', 'same-origin'):
        return 'asked for by another site: type the address'
    return ''


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, reachable from nowhere else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def _is_ours(host: str, port: int, loopback_only: bool) -> bool:
    try:
        parts = urlsplit(f'//{host}')
        name, asked = parts.hostname or '', parts.port or 80
    except ValueError:
        return False
    if asked != port or parts.netloc != host or '@' in host:
        return False
    if loopback_only:
        return is_loopback(name)
    own = socket.gethostname().lower()
    return is_loopback(name) or _is_address(name) or name in (own, f'{own}.local')


def _is_address(name: str) -> bool:
    # An address cannot be rebound: whoever uses one means this machine.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
