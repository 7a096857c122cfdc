# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven over its own protocol: `async with Browser() as page: ...`, or a
picture of a page:

    python test/ros/browser.py http://127.0.0.1:8090/ page.png [SECONDS]
"""

import asyncio
import base64
import json
import shutil
import sys
import tempfile
from pathlib import Path

import aiohttp

PROGRAM = shutil.which('chromium') or shutil.which('chromium-browser')
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-extensions', '--disable-dev-shm-usage', '--remote-debugging-port=0',
         '--remote-debugging-address=127.0.0.1', '--hide-scrollbars')
PATIENCE_S = 60.


class Browser:
    """One page in a browser of its own; `complaints` are errors of the page and of its loading."""

    def __init__(self, width=1400, height=1150):
        self.complaints, self._size, self._number = [], (width, height), 0

    async def __aenter__(self):
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM, *FLAGS, f'--user-data-dir={self._profile.name}',
            f'--window-size={self._size[0]},{self._size[1]}', 'about:blank',
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(await self._page(), max_msg_size=0)
        for domain in ('Page', 'Runtime', 'Log'):
            await self.call(f'{domain}.enable')
        return self

    async def __aexit__(self, *exception):
        await self._session.close()
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._profile.cleanup()

    async def _page(self):
        # Chromium writes the port that it took into its profile.
        port = Path(self._profile.name) / 'DevToolsActivePort'
        for _ in range(int(PATIENCE_S / .1)):
            if port.exists() and '\n' in port.read_text():
                address = f'http://127.0.0.1:{port.read_text().splitlines()[0]}/json'
                async with self._session.get(address) as answer:
                    pages = [one for one in await answer.json() if one['type'] == 'page']
                if pages:
                    return pages[0]['webSocketDebuggerUrl']
            await asyncio.sleep(.1)
        raise TimeoutError('chromium does not start')

    async def call(self, method, **parameters):
        """What the browser answers to one method of its protocol."""
        self._number += 1
        await self._socket.send_json({'id': self._number, 'method': method, 'params': parameters})
        while True:
            message = await self._socket.receive_json(timeout=PATIENCE_S)
            self._note(message)
            if message.get('id') == self._number:
                assert 'error' not in message, message
                return message['result']

    def _note(self, message):
        about = message.get('params', {})
        if message.get('method') == 'Runtime.exceptionThrown':
            self.complaints.append(json.dumps(about['exceptionDetails'])[:500])
        elif message.get('method') == 'Log.entryAdded' and about['entry']['level'] == 'error':
            self.complaints.append(about['entry']['text'])

    async def evaluate(self, expression):
        """The value of a JavaScript expression in the page."""
        result = await self.call('Runtime.evaluate', expression=expression, awaitPromise=True,
                                 returnByValue=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    async def wait_for(self, expression):
        """Waits until it is true."""
        for _ in range(int(PATIENCE_S / .1)):
            if await self.evaluate(f'Boolean({expression})'):
                return
            await asyncio.sleep(.1)
        raise TimeoutError(f'waited in vain for {expression}; the page says '
                           f'{await self.evaluate("document.body.innerText")}')

    async def screenshot(self):
        """The window as PNG."""
        return base64.b64decode((await self.call('Page.captureScreenshot'))['data'])


async def main(address, path, seconds=20.):
    async with Browser() as page:
        await page.call('Page.navigate', url=address)
        await asyncio.sleep(float(seconds))
        Path(path).write_bytes(await page.screenshot())
        print(page.complaints)


if __name__ == '__main__':
    asyncio.run(main(*sys.argv[1:]))
