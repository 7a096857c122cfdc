# SPDX-License-Identifier: Apache-2.0
"""The dashboard over real HTTP and real topics, and in a real browser."""

import asyncio
import json
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

pytest.importorskip('aiohttp', reason='the extra dashboard is not installed')

import aiohttp
from browser import PROGRAM, Browser
from fake_node import FakePipeline
from harness import BEST_EFFORT, PATIENCE_S, picture
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.faces import CONFIRMED, Attributes, Track
from face_attributes_ros.ros.companions.dashboard import Dashboard
from face_attributes_ros.ros.companions.web import Viewer

RUN = ('-m', 'face_attributes_ros.ros.run')


class Smiling(FakePipeline):
    """Finds a face whose expression is known."""

    def _track(self, camera, image, number):
        found = super()._track(camera, image, number)
        seen = Attributes(age_years=30., age_std_years=5., age_low=24., age_high=37., p_female=.8,
                          gender='female', expression='happy',
                          expression_probs=(.1, .9, 0., 0., 0., 0., 0.))
        return Track(found.track_id, CONFIRMED, 1., 1, found.face, seen, seen)


@pytest.fixture
def dashboard(bench):
    """dashboard(**parameters) -> the node, serving at a port that was free."""
    def start_(**parameters):
        overrides = [Parameter(name, value=value)
                     for name, value in {'port': 0, **parameters}.items()]
        node = bench.add(Dashboard(context=bench.context, parameter_overrides=overrides))
        node.begin()
        return node

    return start_


@pytest.fixture
def meanwhile(bench):
    """meanwhile(coroutine, each) -> its result; meanwhile ROS goes on, and `each` is called again
    and again."""
    with ThreadPoolExecutor(1) as pool:
        def run(coroutine, each=lambda: None, patience_s=PATIENCE_S):
            future = pool.submit(asyncio.run, coroutine)

            def done():
                each()
                return future.done()

            bench.spin_until(done, patience_s)
            return future.result()

        yield run


async def fetched(address, method='GET', **options):
    """Status, headers and text of an answer."""
    async with aiohttp.ClientSession() as session:
        async with session.request(method, address, **options) as answer:
            return answer.status, answer.headers, await answer.text()


async def heard(address, enough, headers=None):
    """What the page's socket says until `enough(by kind)`; pictures are of the kind 'picture'."""
    found = {}
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f'{address}/live', headers=headers, max_msg_size=0) as page:
            while not enough(found):
                message = await page.receive(timeout=PATIENCE_S)
                if message.type is aiohttp.WSMsgType.BINARY:
                    found['picture'] = message.data
                    await page.send_str('next')
                elif message.type is aiohttp.WSMsgType.TEXT:
                    said = json.loads(message.data)
                    found[said['kind']] = said
                else:
                    raise AssertionError(message)
    return found


def pictures_from(bench, every_s=.1):
    """A function that sends one more picture if the last was sent long enough ago and somebody
    listens: the node does while somebody looks."""
    publisher = bench.robot.create_publisher(Image, 'image', BEST_EFFORT)
    last = [0.]

    def send():
        if time.monotonic() - last[0] >= every_s and publisher.get_subscription_count():
            last[0] = time.monotonic()
            publisher.publish(picture(320, 240, stamp=bench.now()))

    return send


@pytest.mark.parametrize('path, kind, text', [
    ('/', 'text/html', '<canvas id="picture"'), ('/page.css', 'text/css', '#legend'),
    ('/page.js', 'text/javascript', "'use strict'"), ('/charts.js', 'text/javascript', 'History'),
    ('/about', 'application/json', 'detector.confidence')])
def test_the_page_comes_whole_and_is_cached_nowhere(dashboard, meanwhile, path, kind, text):
    status, headers, body = meanwhile(fetched(dashboard().site.address + path))
    assert (status, headers['Content-Type'].split(';')[0]) == (200, kind)
    assert text in body
    assert headers['Cache-Control'] == 'no-store' and headers['X-Frame-Options'] == 'DENY'
    assert "default-src 'none'" in headers['Content-Security-Policy']


@pytest.mark.parametrize('path', ['/nothing', '/page/', '/..%2fdashboard.py', '/web.py'])
def test_there_is_nothing_else(dashboard, meanwhile, path):
    status, headers, _ = meanwhile(fetched(dashboard().site.address + path))
    assert status == 404 and headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize('foreign', [
    {'Host': 'evil.example'}, {'Origin': 'http://evil.example'}, {'Origin': 'null'},
    {'Sec-Fetch-Site': 'cross-site'}])
def test_other_origins_are_refused_everywhere(bench, start, dashboard, meanwhile, foreign):
    node, _ = start()
    site = dashboard().site
    order = {'data': json.dumps({'name': 'detector.iou', 'value': .3}),
             'headers': {'Content-Type': 'application/json', **foreign}}
    for path in ('/', '/page.js', '/about', '/live'):
        assert meanwhile(fetched(site.address + path, headers=foreign))[0] == 403
    assert meanwhile(fetched(f'{site.address}/parameters', 'POST', **order))[0] == 403
    with pytest.raises(aiohttp.WSServerHandshakeError, match='403'):
        meanwhile(heard(site.address, lambda found: True, foreign))
    assert node.settings.detector_iou == .45 and site.viewers == 0


def test_it_serves_this_machine_alone_unless_told_otherwise(dashboard, meanwhile):
    site = dashboard().site
    assert meanwhile(fetched(f'http://127.0.0.1:{site.port}/'))[0] == 200
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.2', site.port), 5)


def test_a_viewer_hears_of_faces_pictures_parameters_and_diagnostics(
        bench, start, dashboard, meanwhile):
    start(factory=Smiling)
    site = dashboard().site
    kinds = {'faces', 'picture', 'parameters', 'diagnostics'}
    found = meanwhile(heard(site.address, lambda found: kinds <= set(found)),
                      pictures_from(bench))
    one, = found['faces']['tracks']
    assert (one['id'], one['gender'], one['expression']) == ('f1', 'female', 'happy')
    shown = cv2.imdecode(np.frombuffer(found['picture'], np.uint8), cv2.IMREAD_COLOR)
    assert shown.shape == (240, 320, 3) and (np.abs(shown.astype(int) - 100) > 40).any()
    assert found['parameters']['values']['detector.iou'] == .45
    assert found['diagnostics']['statuses'][0]['name'] == '/face_attributes'


def test_it_subscribes_only_while_somebody_looks_and_keeps_nothing(bench, dashboard, meanwhile):
    topics = ('/face_attributes/faces', '/face_attributes/image_annotated/compressed',
              '/diagnostics', '/parameter_events')
    node = dashboard()
    robot = bench.add(Dashboard(context=bench.context, parameter_overrides=[
        Parameter('port', value=0)], namespace='/other'))  # another one, which nobody looks at

    def subscribed():
        names = node.get_subscriber_names_and_types_by_node('dashboard', '/')
        return {name for name, _ in names} & set(topics)

    assert subscribed() == set() and robot.site.viewers == 0

    async def look():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f'{node.site.address}/live'):
                while subscribed() != set(topics):
                    await asyncio.sleep(.05)

    node.site.publish('diagnostics', '{"kind": "diagnostics"}')
    meanwhile(look())
    bench.spin_until(lambda: subscribed() == set())
    assert node.site.viewers == 0 and node.site._kept == {}


async def ordered(address, body, kind='application/json'):
    status, _, text = await fetched(f'{address}/parameters', 'POST', data=body,
                                    headers={'Content-Type': kind})
    return status, text


def test_parameters_are_moved_and_others_movements_shown(bench, start, dashboard, meanwhile):
    node, _ = start()
    site = dashboard().site
    body = json.dumps({'name': 'detector.iou', 'value': .3})
    bench.spin_for(1.)  # until the services are found
    assert meanwhile(ordered(site.address, body)) == (200, '{"reason": ""}')
    assert node.settings.detector_iou == .3

    def moved(found):
        return found.get('parameters', {}).get('values', {}).get('detector.iou') == .25

    def move():
        if site.viewers and node.settings.detector_iou != .25:
            bench.spin_for(.5)  # until the events are subscribed to
            node.set_parameters([Parameter('detector.iou', value=.25)])

    assert moved(meanwhile(heard(site.address, moved), move))


@pytest.mark.parametrize('body, kind, status, text', [
    ('{"name": "detector.iou", "value": 2}', 'application/json', 409, 'needs 0 to 1'),
    ('{"name": "detector.iou", "value": "x"}', 'application/json', 409, 'needs a number'),
    ('{"name": "detector.imgsz", "value": 320}', 'application/json', 409, 'can be set here'),
    ('{"name": "privacy.blur_annotated", "value": true}', 'application/json', 409, 'privacy.live'),
    ('{"name": "detector.iou", "value": 1}', 'text/plain', 415, 'application/json'),
    ('{"name": 1}', 'application/json', 400, 'needs'), ('[]', 'application/json', 400, 'needs'),
    ('nonsense', 'application/json', 400, 'needs'),
    ('x' * 10000, 'application/json', 413, '4096')])
def test_orders_that_are_wrong_say_why(bench, start, dashboard, meanwhile, body, kind, status,
                                       text):
    start()
    site = dashboard().site
    bench.spin_for(1.)
    answer = meanwhile(ordered(site.address, body, kind))
    assert answer[0] == status and text in answer[1]


def test_without_a_node_nothing_can_be_moved(dashboard, meanwhile):
    answer = meanwhile(ordered(dashboard().site.address, '{"name": "detector.iou", "value": 1}'))
    assert answer[0] == 409 and '/face_attributes is not there' in answer[1]


def test_the_page_may_be_for_looking_only(start, dashboard, meanwhile):
    node, _ = start()
    site = dashboard(set_parameters=False).site
    assert meanwhile(ordered(site.address, '{"name": "detector.iou", "value": 1}'))[0] == 403
    assert json.loads(meanwhile(fetched(f'{site.address}/about'))[2])['may_set'] is False
    assert node.settings.detector_iou == .45


def test_more_viewers_than_allowed_are_refused(dashboard, meanwhile):
    site = dashboard(max_viewers=1).site

    async def two():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f'{site.address}/live'):
                with pytest.raises(aiohttp.WSServerHandshakeError, match='503'):
                    await session.ws_connect(f'{site.address}/live')

    meanwhile(two())


def test_a_slow_viewer_gets_the_newest_only():
    async def look():
        viewer = Viewer()
        for data in (b'1', b'2', b'3'):
            viewer.put('picture', data)
        taken = [await viewer.take()]
        viewer.put('picture', b'4')
        viewer.put('faces', 'a')
        viewer.put('picture', b'5')
        viewer.put('faces', 'b')
        taken.append(await viewer.take())  # it has not shown the first yet
        viewer.ask()
        return [*taken, await viewer.take()]

    assert asyncio.run(look()) == [[b'3'], ['b'], [b'5']]


def test_an_address_that_cannot_be_had_is_one_line(bench, dashboard):
    site = dashboard().site
    for given, text in (({'port': site.port}, f'port {site.port}: Address already in use'),
                        ({'host': '203.0.113.1', 'port': 0}, 'cannot serve at 203.0.113.1'),
                        ({'host': 'no such name', 'port': 0}, 'parameter host')):
        overrides = [Parameter(name, value=value) for name, value in given.items()]
        with pytest.raises(ParameterError, match=text):
            Dashboard(context=bench.context, parameter_overrides=overrides)


def test_without_aiohttp_it_says_what_to_install(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, 'aiohttp', None)
    monkeypatch.delitem(sys.modules, 'face_attributes_ros.ros.companions.web')
    with pytest.raises(ParameterError, match=r'needs aiohttp: pip install .*\[dashboard\]'):
        Dashboard(context=bench.context)


def test_as_a_process_it_serves_ends_at_once_and_writes_nothing(child, meanwhile, tmp_path):
    process = child(*RUN, 'dashboard', '--ros-args', '-p', 'port:=0', cwd=tmp_path)
    process.wait_for('serves /face_attributes at')
    address = process.output.partition(' at ')[2].split()[0]
    assert meanwhile(fetched(f'{address}/'))[0] == 200

    async def look():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f'{address}/live') as page:
                await asyncio.get_running_loop().run_in_executor(None, process.end, signal.SIGINT)
                return (await page.receive(timeout=5)).type

    assert meanwhile(look()) in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED,
                                 aiohttp.WSMsgType.ERROR)
    assert process.process.returncode == 0 and 'Traceback' not in process.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason='chromium is not installed')
def test_in_a_browser_the_page_lives(bench, start, dashboard, meanwhile):
    node, _ = start(factory=Smiling)
    address = dashboard().site.address

    async def look():
        async with Browser() as page:
            await page.call('Page.navigate', url=f'{address}/')
            await page.wait_for('document.querySelector("#track-f1")')
            row = await page.evaluate('document.querySelector("#track-f1").innerText')
            assert all(word in row for word in ('f1', 'female', '24–37', 'happy')), row
            await page.wait_for('document.getElementById("picture").width === 320')
            assert await page.evaluate(PAINTED % 'picture') > 1
            for chart in ('ages', 'expressions'):
                await page.wait_for(f'{PAINTED % chart} > 3')
            await page.wait_for('document.getElementById("figure-latency").innerText !== "–"')
            await page.wait_for('document.getElementById("diagnostics").innerText'
                                '.includes("frame rate")')
            await page.wait_for('document.getElementById("p-detector.iou").value === "0.45"')
            await page.evaluate('''(() => {
                const exact = document.getElementById("p-detector.iou");
                exact.value = 0.3;
                exact.dispatchEvent(new Event("change"));
                document.getElementById("p-annotated.show_labels").click();
            })()''')
            await page.wait_for('document.getElementById("answer").innerText.includes(" is ")')
            await page.evaluate('move("detector.iou", 7)')
            await page.wait_for('document.getElementById("answer").className === "refused"')
            refused = await page.evaluate('document.getElementById("answer").innerText')
            return refused, await page.screenshot(), [
                one for one in page.complaints if '409' not in one]

    refused, shot, complaints = meanwhile(look(), pictures_from(bench), 400.)
    assert 'needs 0 to 1' in refused and complaints == []
    assert node.settings.detector_iou == .3 and not node.settings.annotated_show_labels
    seen = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)
    assert seen.shape[0] > 500 and len(np.unique(seen.reshape(-1, 3), axis=0)) > 50


PAINTED = '''(() => {
    const canvas = document.getElementById("%s");
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(data.buffer)).size;
})()'''
"""How many colours a canvas shows."""
