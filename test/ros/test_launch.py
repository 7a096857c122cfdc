# SPDX-License-Identifier: Apache-2.0
"""The launch files: with the real launch where that is importable, and everywhere with stand-ins
that only remember."""

import importlib.util
import logging
import os
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from places import ROOT

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.options import options
from face_attributes_ros.ros import launching
from face_attributes_ros.ros.run import EXECUTABLES
from face_attributes_ros.settings import Settings

FOLDER = ROOT / 'launch'


def load(name='face_attributes'):
    spec = importlib.util.spec_from_file_location(f'{name}_launch', FOLDER / f'{name}.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Call:
    """Remembers how it was made."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def stand_ins(monkeypatch):
    """stand_ins(name) -> the launch file's module, with launch and launch_ros that only remember
    and an index without packages."""
    modules = {
        'launch': ['LaunchContext', 'LaunchDescription'],
        'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction', 'SetEnvironmentVariable',
                           'ExecuteProcess', 'IncludeLaunchDescription', 'Shutdown'],
        'launch.launch_description_sources': ['PythonLaunchDescriptionSource'],
        'launch.logging': [], 'launch_ros': [], 'launch_ros.actions': ['Node']
    }
    for name, classes in modules.items():
        members = {each: type(each, (Call,), {}) for each in classes}
        if name == 'launch.logging':
            members['get_logger'] = logging.getLogger
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/nowhere')
    monkeypatch.setattr(sys, 'argv', ['ros2'])
    return load


@pytest.fixture
def launch_file(stand_ins):
    return stand_ins('face_attributes')


def context(argv=(), **given):
    defaults = {each.name: each.default for each in launching.ARGUMENTS}
    return SimpleNamespace(launch_configurations={**defaults, **given}, argv=list(argv))


def nodes(module, **given):
    return module._nodes(context(**given))


def test_description_names_files_and_executables_that_exist(launch_file):
    entities = launch_file.generate_launch_description().args[0]
    names = [type(entity).__name__ for entity in entities]
    assert names == ['DeclareLaunchArgument'] * len(launching.ARGUMENTS) + [
        'SetEnvironmentVariable', 'OpaqueFunction']
    assert 'segment_size' in Path(entities[-2].args[1]).read_text()
    node, = nodes(launch_file)
    assert node.kwargs['executable'] in EXECUTABLES
    assert node.kwargs['package'] == 'face_attributes_ros'
    assert Path(node.kwargs['parameters'][0]).is_file()


def test_arguments_with_few_values_have_choices(launch_file):
    declared = {entity.args[0]: entity.kwargs for entity in
                launch_file.generate_launch_description().args[0][:-2]}
    for name in ('use_sim_time', 'autostart', 'use_rviz', 'respawn', 'image_transport',
                 'log_level'):
        assert declared[name]['default_value'] in declared[name]['choices'], name
        assert 'maybe' not in declared[name]['choices']


def test_a_profile_that_is_set_is_left_alone(launch_file, monkeypatch):
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert launch_file.generate_launch_description().args[0][-2].args == (
        'FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')


def test_arguments_reach_the_node_and_those_not_given_leave_the_file_its_say(launch_file):
    node, = nodes(launch_file)
    assert node.kwargs['parameters'][1:] == [{}]
    assert node.kwargs['remappings'] == [] and not node.kwargs['respawn']
    node, = nodes(launch_file, device='cpu', detector_model='big', image_topic='/cam/image_raw',
                  camera_info_topic='/cam/info', use_sim_time='True', respawn='true',
                  node_name='eyes', namespace='robot', log_level='debug')
    assert node.kwargs['parameters'][1:] == [{'device': 'cpu', 'detector.model': 'big',
                                              'use_sim_time': True}]
    assert node.kwargs['remappings'] == [('image', '/cam/image_raw'),
                                         ('camera_info', '/cam/info')] and node.kwargs['respawn']
    assert (node.kwargs['name'], node.kwargs['namespace'],
            node.kwargs['arguments'][-1]) == ('eyes', 'robot', 'debug')


def test_arguments_override_parameters_that_there_are():
    assert set(launching.PARAMETERS.values()) <= {'use_sim_time'} | {
        option.name for option in options(Settings)}
    assert set(launching.PARAMETERS) <= {each.name for each in launching.ARGUMENTS}


def test_without_rviz2_a_warning_is_said_and_the_node_starts(launch_file, caplog):
    node, = nodes(launch_file, use_rviz='true')
    assert node.kwargs['package'] == 'face_attributes_ros'
    assert 'rviz2 is not installed' in caplog.text


def test_rviz2_shows_the_topics_of_this_node(launch_file, monkeypatch):
    monkeypatch.setattr(launch_file, '_rviz_is_installed', lambda: True)
    _, rviz = nodes(launch_file, use_rviz='true', cameras='front=/f,rear=/r', rviz_frame='eye',
                    ros_namespace='/fleet', ros_remaps=[('~/front/markers', '/marks')])
    path = Path(rviz.kwargs['arguments'][1])
    tree = yaml.safe_load(path.read_text())['Visualization Manager']
    path.unlink()
    topics = {each['Topic']['Value'] for each in tree['Displays'] if 'Topic' in each}
    assert topics == {'/fleet/face_attributes/front/image_annotated', '/marks',
                      '/fleet/face_attributes/rear/image_annotated',
                      '/fleet/face_attributes/rear/markers'}
    assert tree['Global Options']['Fixed Frame'] == 'eye'


@pytest.mark.parametrize('given, message', [
    ({'rviz_frame': 'eye'}, 'without use_rviz'),
    ({'params_file': '/nowhere.yaml'}, '/nowhere.yaml'),
    ({'image_topic': '/x', 'cameras': 'a=/y,b=/z'}, 'image_topic'),
])
def test_a_dead_argument_is_an_error(launch_file, given, message):
    with pytest.raises(ParameterError, match=message):
        nodes(launch_file, **given)


def test_a_misspelt_argument_is_an_error_where_this_file_is_launched(launch_file, monkeypatch):
    typed = context(['imge_topic:=/x'])
    launch_file._nodes(typed)  # included by another file, whose argument it may be
    monkeypatch.setattr(sys, 'argv', ['ros2', 'launch', 'x', 'face_attributes.launch.py'])
    with pytest.raises(ParameterError, match="did you mean 'image_topic'"):
        launch_file._nodes(typed)


def test_a_bag_is_played_with_its_clock(stand_ins, tmp_path):
    module = stand_ins('bag')
    *arguments, player, node = module.generate_launch_description().args[0]
    assert {each.args[0] for each in arguments} == {'bag', 'rate', 'loop', 'delay'}
    assert dict(node.kwargs['launch_arguments']) == {'use_sim_time': 'true'}
    assert Path(node.args[0].args[0]).is_file()
    given = {each.name: each.default for each in module.ARGUMENTS} | {'loop': 'true'}
    process, = player.kwargs['function'](context(bag=str(tmp_path), **given))
    command = process.kwargs['cmd']
    assert command[:4] == ['ros2', 'bag', 'play', str(tmp_path)]
    assert command[command.index('--clock') + 1] == '100' and '--loop' in command
    with pytest.raises(ParameterError, match='needs a bag that there is'):
        player.kwargs['function'](context(bag=str(tmp_path / 'none'), **given))


def test_rviz_file_shows_topics_that_the_node_has():
    text = (ROOT / 'config' / 'face_attributes.rviz').read_text()
    displays = yaml.safe_load(text)['Visualization Manager']['Displays']
    topics = {display['Topic']['Value'] for display in displays if 'Topic' in display}
    assert topics == {'/face_attributes/image_annotated', '/face_attributes/markers'}


@pytest.fixture
def real():
    """The actions that the real launch makes of our file's arguments: real(**given)."""
    pytest.importorskip('launch_ros', reason='launch and launch_ros are not on PyPI')
    import launch

    def actions(**given):
        context = launch.LaunchContext()
        context.launch_configurations.update(given)
        description = load().generate_launch_description()
        for entity in description.entities:
            if isinstance(entity, launch.actions.DeclareLaunchArgument):
                entity.execute(context)
        found = [each for entity in description.entities
                 if isinstance(entity, launch.actions.OpaqueFunction)
                 for each in entity.execute(context)]
        for node in found:
            node._perform_substitutions(context)
        return found

    return actions


def test_real_launch_takes_the_description(real):
    node, = real(use_rviz='true' if os.environ.get('AMENT_PREFIX_PATH') else 'false')
    assert node.node_name == '/face_attributes'


def test_real_launch_refuses_a_value_that_there_is_not(real):
    with pytest.raises(RuntimeError, match='maybe'):
        real(use_sim_time='maybe')
