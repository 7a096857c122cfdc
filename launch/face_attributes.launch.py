# SPDX-License-Identifier: Apache-2.0
"""The node face_attributes, and RViz if asked for:

    ros2 launch face_attributes_ros face_attributes.launch.py image_topic:=/camera/image_raw
    use_rviz:=true
"""

import os
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(__file__).resolve().parent.parent  # the checkout, or share/face_attributes_ros
PARAMETERS = SHARE / 'config' / 'face_attributes.yaml'
RVIZ = SHARE / 'config' / 'face_attributes.rviz'
DDS_PROFILE = SHARE / 'config' / 'fastdds_large_images.xml'

ARGUMENTS = (
    ('image_topic', 'image', 'Topic of the images, without /compressed.'),
    ('camera_info_topic', '',
     "Topic of the camera's calibration; empty is camera_info beside the images."),
    ('namespace', '', 'Namespace of the node.'),
    ('node_name', 'face_attributes', 'Name of the node.'),
    ('params_file', str(PARAMETERS),
     'Parameters; the arguments below win over it where they are given.'),
    ('image_transport', '', 'raw or compressed; empty is what params_file says.'),
    ('device', '', 'auto, cpu or cuda:N; empty is what params_file says.'),
    ('detector_model', '', 'A detector of models/manifest.toml; empty is what params_file says.'),
    ('attributes_model', '',
     'An attribute network of models/manifest.toml; empty is what params_file says.'),
    ('use_sim_time', 'false', 'Take the time from /clock.'),
    ('autostart', 'true', 'Configure and activate at the start.'),
    ('use_rviz', 'false', 'Start RViz with the annotated image and the markers.'),
    ('log_level', 'info', 'debug, info, warn, error or fatal.'),
    ('respawn', 'false', 'Start the node again when it ends.'),
)
OVERRIDES = {
    'image_transport': 'image_transport', 'device': 'device', 'detector_model': 'detector.model',
    'attributes_model': 'attributes.model'
}


def _node(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    switches = {
        name: given[name].lower() in ('true', '1', 'yes')
        for name in ('use_sim_time', 'autostart', 'respawn')
    }
    chosen = {
        parameter: given[argument] for argument, parameter in OVERRIDES.items() if given[argument]
    }
    remappings = [('image', given['image_topic'])]
    if given['camera_info_topic']:
        remappings.append(('camera_info', given['camera_info_topic']))
    return [
        Node(
            package='face_attributes_ros', executable='node', name=given['node_name'],
            namespace=given['namespace'], parameters=[
                given['params_file'], chosen,
                {name: switches[name] for name in ('use_sim_time', 'autostart')}
            ], remappings=remappings, respawn=switches['respawn'], respawn_delay=2.,
            output='screen', arguments=['--ros-args', '--log-level', given['log_level']])
    ]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the DDS profile for large images unless one is set, the node, and RViz."""
    # Fast DDS's default shared memory loses best-effort images over 512 KiB. Whoever publishes
    # images needs this too.
    profile = os.environ.get('FASTDDS_DEFAULT_PROFILES_FILE', str(DDS_PROFILE))
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=value, description=text)
          for name, value, text in ARGUMENTS),
        SetEnvironmentVariable('FASTDDS_DEFAULT_PROFILES_FILE', profile),
        OpaqueFunction(function=_node),
        Node(package='rviz2', executable='rviz2', name='rviz2', arguments=['-d', str(RVIZ)],
             output='log', condition=IfCondition(LaunchConfiguration('use_rviz'))),
    ])
