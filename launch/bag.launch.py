# SPDX-License-Identifier: Apache-2.0
"""A bag played with its clock, and the node that lives by that clock; ends with the bag:

    ros2 launch face_attributes_ros bag.launch.py bag:=~/walk image_topic:=/camera/image_raw

Takes the arguments of face_attributes.launch.py as well; use_sim_time is always true here.
"""

import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    Shutdown,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.ros import launching

CLOCK_HZ = 100
"""How often the player publishes /clock: images are taken to be that much older at most."""

ARGUMENTS = (
    launching.Argument('rate', '1.0', 'How fast the bag is played.'),
    launching.Argument('loop', 'false', 'Play it again and again.', launching.SWITCH),
    launching.Argument('delay', '3.0', 'Seconds before it begins: the networks are loading.'),
)


def generate_launch_description() -> LaunchDescription:
    """The arguments, the node with use_sim_time, and the player."""
    ours = Path(__file__).with_name('face_attributes.launch.py')
    return LaunchDescription([
        DeclareLaunchArgument('bag', description='The bag: a folder or a file.'),
        *(DeclareLaunchArgument(each.name, default_value=each.default, description=each.text,
                                choices=each.choices) for each in ARGUMENTS),
        OpaqueFunction(function=_player),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(ours)),
                                 launch_arguments={'use_sim_time': 'true'}.items()),
    ])


def _player(context: LaunchContext) -> list[ExecuteProcess]:
    given = context.launch_configurations
    if any(Path(word).name == Path(__file__).name for word in sys.argv):
        names = ['bag', *(each.name for each in (*ARGUMENTS, *launching.ARGUMENTS))]
        launching.refuse_undeclared(context.argv, (name for name in names
                                                   if name != 'use_sim_time'))
    bag = Path(given['bag']).expanduser()
    if not bag.exists():
        raise ParameterError(f'bag is {str(bag)!r}, needs a bag that there is')
    return [ExecuteProcess(
        cmd=['ros2', 'bag', 'play', str(bag), '--clock', str(CLOCK_HZ), '--rate', given['rate'],
             '--delay', given['delay'], '--disable-keyboard-controls',
             *(['--loop'] if launching.is_on(given['loop']) else [])],
        name='bag', output='screen', on_exit=Shutdown(reason='the bag is over'))]
