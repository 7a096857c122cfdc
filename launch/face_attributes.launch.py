# SPDX-License-Identifier: Apache-2.0
"""The node face_attributes, and RViz if asked for:

    ros2 launch face_attributes_ros face_attributes.launch.py image_topic:=/camera/image_raw
    ros2 launch face_attributes_ros face_attributes.launch.py
        cameras:="front=/front_cam/color/image_raw,rear=/rear_cam/color/image_raw" use_rviz:=true
"""

import atexit
import os
import sys
import tempfile
from pathlib import Path

from ament_index_python.packages import get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.logging import get_logger
from launch_ros.actions import Node

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros import launching, rviz
from face_attributes_ros.ros.environment import dds_profile


def generate_launch_description() -> LaunchDescription:
    """Arguments, the DDS profile for large images unless one is set, the node, and RViz."""
    # Fast DDS's default shared memory loses best-effort images over 512 KiB. Whoever publishes
    # images needs this too.
    profile = os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE') or str(dds_profile())
    return LaunchDescription([
        *(DeclareLaunchArgument(each.name, default_value=each.default, description=each.text,
                                choices=each.choices) for each in launching.ARGUMENTS),
        SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', profile),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context: LaunchContext) -> list[Node]:
    configurations = context.launch_configurations
    # Included by another launch file, ours sees that one's arguments too, which are none of its
    # business.
    if any(Path(word).name == Path(__file__).name for word in sys.argv):
        launching.refuse_undeclared(context.argv, (each.name for each in launching.ARGUMENTS))
    given = {each.name: configurations[each.name] for each in launching.ARGUMENTS}
    base = configurations.get('ros_namespace') or ''
    parameters = launching.parameters_file(given)
    cameras = launching.cameras_in(parameters, launching.full_name(given, base))
    rules = launching.remappings(given, cameras)
    node = Node(
        package='face_attributes_ros', executable='face_attributes_node', name=given['node_name'],
        namespace=given['namespace'], parameters=[str(parameters), launching.parameters(given)],
        remappings=rules, respawn=launching.is_on(given['respawn']), respawn_delay=2.,
        output='screen', arguments=['--ros-args', '--log-level', given['log_level']])
    if not launching.is_on(given['use_rviz']):
        if given['rviz_frame']:
            raise ParameterError(f'rviz_frame is {given["rviz_frame"]!r} and would do nothing '
                                 'without use_rviz:=true')
        return [node]
    shown = rviz.views(given, base, cameras, [*configurations.get('ros_remaps', []), *rules])
    return [node, *_rviz(shown, given)]


def _rviz(shown: list[rviz.View], given: dict[str, str]) -> list[Node]:
    if not _rviz_is_installed():
        get_logger('face_attributes').warning(
            'use_rviz is true, but rviz2 is not installed: goes on without it '
            '(apt install ros-$ROS_DISTRO-rviz2)')
        return []
    handle, path = tempfile.mkstemp(prefix='face_attributes_', suffix='.rviz')
    with open(handle, 'w', encoding='utf-8') as file:
        file.write(rviz.rviz_config(shown, given['rviz_frame'] or 'camera'))
    atexit.register(Path(path).unlink, missing_ok=True)
    sim_time = {'use_sim_time': launching.is_on(given['use_sim_time'])}
    return [Node(package='rviz2', executable='rviz2', name='rviz2', arguments=['-d', path],
                 parameters=[sim_time], output='log')]


def _rviz_is_installed() -> bool:
    try:
        return (Path(get_package_prefix('rviz2')) / 'lib' / 'rviz2' / 'rviz2').is_file()
    except (LookupError, OSError):  # not in the index; AMENT_PREFIX_PATH is not set
        return False
