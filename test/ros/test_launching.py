# SPDX-License-Identifier: Apache-2.0
"""What launch arguments mean, and that none of them is taken in silence and does nothing."""

import pytest
import yaml
from places import ROOT

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros import launching, rviz

DEFAULTS = {each.name: each.default for each in launching.ARGUMENTS}


def given(**changes):
    return {**DEFAULTS, **changes}


@pytest.mark.parametrize('arguments, cameras, expected', [
    ({}, [''], []),
    ({'image_topic': '/cam/image_raw'}, [''], [('image', '/cam/image_raw')]),
    ({'image_topic': '/cam/image_raw', 'camera_info_topic': '/cam/info'}, [''],
     [('image', '/cam/image_raw'), ('camera_info', '/cam/info')]),
    ({'image_topic': '/cam/image_raw'}, ['front'], [('front/image', '/cam/image_raw')]),
    ({'cameras': 'front=/f/color/image_raw, rear=/r/image'}, [''],
     [('front/image', '/f/color/image_raw'), ('rear/image', '/r/image')]),
    ({'cameras': 'front,rear=/r'}, ['left'], [('rear/image', '/r')]),
    ({'remap': '~/faces=/faces,~/image_annotated=/view'}, [''],
     [('~/faces', '/faces'), ('~/image_annotated', '/view')]),
])
def test_arguments_become_remappings(arguments, cameras, expected):
    assert launching.remappings(given(**arguments), cameras) == expected


@pytest.mark.parametrize('arguments, cameras, message', [
    ({'image_topic': '/x'}, ['front', 'rear'], "image_topic is '/x' and would do nothing beside "
     'params_file with cameras front, rear'),
    ({'camera_info_topic': '/x'}, ['front', 'rear'], 'camera_info_topic'),
    ({'image_topic': '/x', 'cameras': 'front=/f'}, [''],
     "image_topic is '/x' and would do nothing"),
    ({'cameras': 'front=/f,front=/g'}, [''], "'front=/g' is not that"),
    ({'cameras': '/front=/f'}, [''], 'needs NAME=TOPIC'),
    ({'cameras': 'front='}, [''], 'needs NAME=TOPIC'),
    ({'cameras': '[front, rear]'}, [''], 'needs NAME=TOPIC'),
    ({'remap': '~/faces'}, [''], 'needs ~/faces=TOPIC'),
    ({'image_topic': '/x', 'remap': 'image=/y'}, [''],
     'image=/y would do nothing beside image=/x'),
    ({'cameras': 'front=/f', 'remap': 'front/image=/y'}, [''], 'would do nothing beside front/im'),
    ({'remap': '=/x'}, [''], 'needs NAME=TOPIC'),
])
def test_a_dead_or_wrong_argument_is_named(arguments, cameras, message):
    with pytest.raises(ParameterError, match='.*') as error:
        launching.remappings(given(**arguments), cameras)
    assert message in str(error.value)


@pytest.mark.parametrize('typed, message', [
    ((), None), (('image_topic:=/x', '--noninteractive'), None),
    (('imge_topic:=/x',), "there is no argument 'imge_topic', did you mean 'image_topic'?"),
    (('zzz:=1',), "there is no argument 'zzz'"),
])
def test_an_argument_that_there_is_not_is_named(typed, message):
    if message is None:
        return launching.refuse_undeclared(typed, DEFAULTS)
    with pytest.raises(ParameterError, match='.*') as error:
        launching.refuse_undeclared(typed, DEFAULTS)
    assert str(error.value) == message


def test_only_arguments_that_are_given_win_over_the_file():
    assert launching.parameters(given()) == {}
    assert launching.parameters(given(use_sim_time='True', autostart='false', device='cpu',
                                      cameras='front=/f,rear')) == {
        'use_sim_time': True, 'autostart': False, 'device': 'cpu', 'cameras': ['front', 'rear']}


def test_a_parameters_file_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    for name in (tmp_path / 'no.yaml', '~/no.yaml', tmp_path):
        with pytest.raises(ParameterError, match='needs a file that there is'):
            launching.parameters_file(given(params_file=str(name)))
    with pytest.raises(ParameterError, match='there is no home folder'):
        launching.parameters_file(given(params_file='~nobody-here/no.yaml'))
    (tmp_path / 'mine.yaml').write_text('')
    assert launching.parameters_file(given(params_file='~/mine.yaml')) == tmp_path / 'mine.yaml'
    assert launching.parameters_file(given()) == ROOT / 'config' / 'face_attributes.yaml'


@pytest.mark.parametrize('section', ['/**', 'eyes', '/eyes', '/robot/eyes', 'robot/eyes',
                                     '/*/eyes', '/robot/*', '/robot/**', '**', '/**/eyes'])
def test_cameras_of_the_file_are_found_where_the_node_finds_them(section, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({'other': {'ros__parameters': {'cameras': ['x', 'y']}},
                                    section: {'ros__parameters': {'cameras': ['a', 'b']}}}))
    node = '/eyes' if section in ('eyes', '/eyes') else '/robot/eyes'
    assert launching.cameras_in(path, node) == ['a', 'b']
    if section in ('/**', '**'):
        assert launching.cameras_in(path, '/else/where') == ['a', 'b']
    else:
        with pytest.raises(ParameterError, match='says nothing of /else/where: needs ros__param'):
            launching.cameras_in(path, '/else/where')


def test_two_stars_stand_for_no_word_too(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(yaml.safe_dump({'/**': {'eyes': {'ros__parameters': {'cameras': ['a']}}}}))
    assert [launching.cameras_in(path, f'{base}/eyes')
            for base in ('', '/robot', '/robot/head')] == [['a']] * 3
    with pytest.raises(ParameterError, match='says nothing of /robot/eyes/left'):
        launching.cameras_in(path, '/robot/eyes/left')


@pytest.mark.parametrize('text', ['', '[1, 2', '/**: 3', '/**:\n  ros__parameters: 5',
                                  'a: &a [*a]'])
def test_a_file_that_is_no_parameters_file_names_no_cameras_or_is_an_error(text, tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    try:
        assert launching.cameras_in(path, '/x') == ['']
    except ParameterError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize('arguments, base, expected', [
    ({}, '', '/face_attributes'), ({'namespace': 'robot', 'node_name': 'eyes'}, '', '/robot/eyes'),
    ({'namespace': '/robot'}, '/fleet', '/robot/face_attributes'),
    ({'namespace': 'robot'}, '/fleet', '/fleet/robot/face_attributes'),
    ({}, 'fleet', '/fleet/face_attributes'),
])
def test_the_nodes_full_name(arguments, base, expected):
    assert launching.full_name(given(**arguments), base) == expected


def shown(frame='camera', base='', cameras=('',), rules=(), **arguments):
    views = rviz.views(given(**arguments), base, cameras, rules)
    manager = yaml.safe_load(rviz.rviz_config(views, frame))['Visualization Manager']
    return manager['Global Options']['Fixed Frame'], {
        display['Name']: display['Topic']['Value']
        for display in manager['Displays'] if 'Topic' in display
    }


def test_rviz_shows_what_there_is_by_the_names_it_has():
    assert shown() == ('camera', {'Annotated image': '/face_attributes/image_annotated',
                                  'Faces': '/face_attributes/markers'})
    assert shown('eye', '/fleet', namespace='robot', node_name='eyes',
                 cameras=('front', 'rear')) == ('eye', {
        'Annotated image front': '/fleet/robot/eyes/front/image_annotated',
        'Annotated image rear': '/fleet/robot/eyes/rear/image_annotated',
        'Faces front': '/fleet/robot/eyes/front/markers',
        'Faces rear': '/fleet/robot/eyes/rear/markers'})
    assert set(shown(**{'cameras': ('x',)})[1]) == {'Annotated image x', 'Faces x'}


@pytest.mark.parametrize('rule', [('~/markers', '/marks'), ('/face_attributes/markers', '/marks'),
                                  ('face_attributes/markers', 'marks')])
def test_rviz_follows_remapped_topics(rule):
    assert shown(rules=[rule, ('~/markers', '/later')])[1]['Faces'] == '/marks'


def test_cameras_of_the_argument_win_over_those_of_the_file():
    topics = rviz.views(given(cameras='a=/x,b=/y'), '', ['front'], [])
    assert [view.camera for view in topics] == ['a', 'b']
