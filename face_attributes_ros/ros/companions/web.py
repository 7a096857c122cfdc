# SPDX-License-Identifier: Apache-2.0
"""The dashboard's web server, in a thread of its own: a page, a socket for what is live, and the
parameters. It knows no ROS.

Messages cross from the thread of ROS by `Site.publish`, parameters that somebody moves go the
other way as orders in `Site.orders`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros.companions import guard

PAGE = Path(__file__).parent / 'page'
FILES = {'/': ('index.html', 'text/html'), '/page.css': ('page.css', 'text/css'),
         '/page.js': ('page.js', 'text/javascript'),
         '/charts.js': ('charts.js', 'text/javascript')}
KEPT = ('parameters', 'diagnostics')
"""What a viewer who comes later is told first. Faces and pictures are not among it."""
MAX_REQUEST_BYTES = 4096
ANSWER_S = 5.
"""How long the node may take to say what it did with a parameter."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Order:
    """A parameter that somebody moved; the answer is '' or why it was refused."""

    body: Mapping[str, Any]
    answer: Future[str] = field(default_factory=Future)


class Viewer:
    """One open page: the newest of each kind that it has not been sent."""

    def __init__(self) -> None:
        self._waiting: dict[str, str | bytes] = {}
        self._news = asyncio.Event()
        self.wants_picture = True

    def put(self, kind: str, data: str | bytes) -> None:
        """Replaces what waits of that kind."""
        self._waiting[kind] = data
        self._news.set()

    def ask(self) -> None:
        """The page has shown a picture, and can take one more."""
        self.wants_picture = True
        self._news.set()

    async def take(self) -> list[str | bytes]:
        """What waits, once something does."""
        while True:
            await self._news.wait()
            self._news.clear()
            ready = [kind for kind in self._waiting if kind != 'picture' or self.wants_picture]
            if 'picture' in ready:
                self.wants_picture = False
            if ready:
                return [self._waiting.pop(kind) for kind in ready]


class Site:
    """The server of one dashboard; ParameterError where its address cannot be had."""

    def __init__(self, host: str, port: int, *, title: str, described: list[dict[str, Any]],
                 may_set: bool, max_rate_hz: float, max_viewers: int) -> None:
        self._socket = _bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.address = f'http://{f"[{host}]" if ":" in host else host}:{self.port}'
        self.orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._loopback_only = guard.is_loopback(host)
        self._about = {'title': title, 'may_set': may_set, 'parameters': described}
        self._pause_s, self._max_viewers = 1 / max_rate_hz, max_viewers
        self._viewers: set[Viewer] = set()
        self._kept: dict[str, str | bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name='web', daemon=True)

    @property
    def viewers(self) -> int:
        """How many pages are open."""
        return len(self._viewers)

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it; pages that are open are told."""
        if self._thread.ident is None:  # never started
            self._loop.close()
        else:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(1.)
        self._socket.close()

    def publish(self, kind: str, data: str | bytes) -> None:
        """Gives every viewer the newest of a kind; from any thread."""
        with contextlib.suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._publish, kind, data)

    def _publish(self, kind: str, data: str | bytes) -> None:
        if kind in KEPT:
            self._kept[kind] = data
        for viewer in self._viewers:
            viewer.put(kind, data)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()

    async def _serve(self) -> None:
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_REQUEST_BYTES)
        app.add_routes([web.get(path, self._file) for path in FILES])
        app.add_routes([web.get('/about', self._tell_about), web.get('/live', self._live),
                        web.post('/parameters', self._set_parameter)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=.3)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        await self._ended.wait()
        await runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        reason = guard.refusal(request.headers, self.port, self._loopback_only)
        if reason:
            return web.Response(status=403, text=reason, headers=guard.HEADERS)
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            error.headers.update(guard.HEADERS)
            raise
        if not answer.prepared:
            answer.headers.update(guard.HEADERS)
        return answer

    async def _file(self, request: web.Request) -> web.Response:
        name, kind = FILES[request.path]
        return web.Response(body=(PAGE / name).read_bytes(), content_type=kind, charset='utf-8')

    async def _tell_about(self, request: web.Request) -> web.Response:
        return web.json_response(self._about)

    async def _set_parameter(self, request: web.Request) -> web.Response:
        # A form of another page cannot send this type without being asked about first.
        if request.content_type != 'application/json':
            raise web.HTTPUnsupportedMediaType(text='needs application/json')
        if not self._about['may_set']:
            raise web.HTTPForbidden(text='set_parameters is false: nothing can be moved here')
        order = Order(_order(await request.read()))
        self.orders.put(order)
        try:
            reason = await asyncio.wait_for(asyncio.wrap_future(order.answer), ANSWER_S)
        except asyncio.TimeoutError:  # of its own before Python 3.11
            raise web.HTTPGatewayTimeout(text='the node does not answer') from None
        return web.json_response({'reason': reason}, status=409 if reason else 200)

    async def _live(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= self._max_viewers:
            raise web.HTTPServiceUnavailable(text=f'{self._max_viewers} viewers are enough')
        viewer, page = Viewer(), web.WebSocketResponse(max_msg_size=64, heartbeat=10.)
        await page.prepare(request)
        for kind, data in self._kept.items():
            viewer.put(kind, data)
        self._viewers.add(viewer)
        sender = asyncio.ensure_future(self._send(viewer, page))
        try:
            async for message in page:
                if message.type is WSMsgType.TEXT and message.data == 'next':
                    viewer.ask()
        finally:
            self._viewers.discard(viewer)
            sender.cancel()
            if not self._viewers:
                self._kept.clear()  # nobody renews it from now on
        return page

    async def _send(self, viewer: Viewer, page: web.WebSocketResponse) -> None:
        # Until the page goes, which cancels this, or the server ends.
        ended = asyncio.ensure_future(self._ended.wait())
        news = asyncio.ensure_future(viewer.take())
        try:
            with contextlib.suppress(ConnectionError):
                while not ended.done():
                    await asyncio.wait({news, ended}, return_when=asyncio.FIRST_COMPLETED)
                    for data in news.result() if news.done() else ():
                        await (page.send_bytes(data) if isinstance(data, bytes)
                               else page.send_str(data))
                    if news.done():
                        news = asyncio.ensure_future(viewer.take())
                        await asyncio.sleep(self._pause_s)
                await page.close(message=b'the dashboard has ended')
        finally:
            ended.cancel()
            news.cancel()


def _order(body: bytes) -> dict[str, Any]:
    try:
        order = json.loads(body)
    except ValueError:
        order = None
    if not isinstance(order, dict) or set(order) != {'name', 'value'}:
        raise web.HTTPBadRequest(text='needs {"name": ..., "value": ...}')
    return order


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ParameterError(f'parameter host is {host!r}: {error}') from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        raise ParameterError(f'cannot serve at {host}, port {port}: {error.strerror}') from error
    return listening
