# SPDX-License-Identifier: Apache-2.0
"""The launch file: with the real launch where that is importable, and everywhere with stand-ins
that only remember."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import yaml
from places import ROOT

from face_attributes_ros.options import options
from face_attributes_ros.ros.run import EXECUTABLES
from face_attributes_ros.settings import Settings

FILE = ROOT / 'launch' / 'face_attributes.launch.py'


def load():
    spec = importlib.util.spec_from_file_location('face_attributes_launch', FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Call:
    """Remembers how it was made."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class LaunchConfiguration(Call):
    def perform(self, context):
        return context[self.args[0]]


@pytest.fixture
def stand_ins(monkeypatch):
    modules = {
        'launch': ['LaunchContext', 'LaunchDescription'],
        'launch.actions': ['DeclareLaunchArgument', 'OpaqueFunction',
                           'SetEnvironmentVariable'], 'launch.conditions': ['IfCondition'],
        'launch.substitutions': [], 'launch_ros': [], 'launch_ros.actions': ['Node']
    }
    for name, classes in modules.items():
        members = {each: type(each, (Call,), {}) for each in classes}
        if name == 'launch.substitutions':
            members['LaunchConfiguration'] = LaunchConfiguration
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv('FASTDDS_DEFAULT_PROFILES_FILE', raising=False)
    return load()


def nodes(module, **given):
    return module._node({**{name: default for name, default, _ in module.ARGUMENTS}, **given})


def test_description_names_files_and_executables_that_exist(stand_ins):
    entities = stand_ins.generate_launch_description().args[0]
    names = [type(entity).__name__ for entity in entities]
    assert names == ['DeclareLaunchArgument'] * len(stand_ins.ARGUMENTS) + [
        'SetEnvironmentVariable', 'OpaqueFunction', 'Node'
    ]
    assert Path(entities[-3].args[1]).is_file() and 'segment_size' in Path(
        entities[-3].args[1]).read_text()
    assert Path(entities[-1].kwargs['arguments'][1]).is_file()
    node, = nodes(stand_ins)
    assert node.kwargs['executable'] in EXECUTABLES and node.kwargs[
        'package'] == 'face_attributes_ros'
    assert Path(node.kwargs['parameters'][0]).is_file()


def test_a_profile_that_is_set_is_left_alone(stand_ins, monkeypatch):
    monkeypatch.setenv('FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')
    assert stand_ins.generate_launch_description().args[0][-3].args == (
        'FASTDDS_DEFAULT_PROFILES_FILE', '/mine.xml')


def test_arguments_reach_the_node_and_those_not_given_leave_the_file_its_say(stand_ins):
    node, = nodes(stand_ins)
    assert node.kwargs['parameters'][1:] == [{}, {'use_sim_time': False, 'autostart': True}]
    assert node.kwargs['remappings'] == [('image', 'image')] and not node.kwargs['respawn']
    node, = nodes(stand_ins, device='cpu', detector_model='big', image_topic='/cam/image_raw',
                  camera_info_topic='/cam/info', use_sim_time='True', respawn='true',
                  node_name='eyes', namespace='robot', log_level='debug')
    assert node.kwargs['parameters'][1:] == [{'device': 'cpu', 'detector.model': 'big'},
                                             {'use_sim_time': True, 'autostart': True}]
    assert node.kwargs['remappings'] == [('image', '/cam/image_raw'),
                                         ('camera_info', '/cam/info')] and node.kwargs['respawn']
    assert (node.kwargs['name'], node.kwargs['namespace'],
            node.kwargs['arguments'][-1]) == ('eyes', 'robot', 'debug')


def test_arguments_override_parameters_that_there_are(stand_ins):
    assert set(stand_ins.OVERRIDES.values()) <= {option.name for option in options(Settings)}
    assert set(stand_ins.OVERRIDES) <= {name for name, _, _ in stand_ins.ARGUMENTS}


def test_rviz_file_shows_topics_that_the_node_has():
    displays = yaml.safe_load(
        (ROOT / 'config' /
         'face_attributes.rviz').read_text())['Visualization Manager']['Displays']
    topics = {display['Topic']['Value'] for display in displays if 'Topic' in display}
    assert topics == {'/face_attributes/image_annotated', '/face_attributes/markers'}


def test_real_launch_takes_the_description():
    pytest.importorskip('launch_ros', reason='launch and launch_ros are not on PyPI')
    import launch

    context = launch.LaunchContext()
    description = load().generate_launch_description()
    for entity in description.entities:
        if isinstance(entity, launch.actions.DeclareLaunchArgument):
            entity.execute(context)
    node, = [
        each for entity in description.entities
        if isinstance(entity, launch.actions.OpaqueFunction) for each in entity.execute(context)
    ]
    node._perform_substitutions(context)
    assert node.node_name == '/face_attributes'
