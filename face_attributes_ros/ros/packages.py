# SPDX-License-Identifier: Apache-2.0
"""Message types of ROS packages that not everybody has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from face_attributes_ros.errors import ParameterError


def message_type(name: str, asked_by: str) -> type[Any]:
    """The class of a message type, `vision_msgs/LabelInfo`; ParameterError, which names the
    parameter that asked for it and the package, where that package is not installed."""
    package, _, kind = name.partition('/')
    try:
        found: type[Any] = getattr(import_module(f'{package}.msg'), kind)
    except (ImportError, AttributeError) as error:
        apt = package.replace('_', '-')
        raise ParameterError(
            f'parameter {asked_by} is true, needs {name} of the ROS package {package}, which is '
            f'not installed here: sudo apt install ros-$ROS_DISTRO-{apt} ({error})') from error
    return found


def installed(package: str) -> bool:
    """Whether a package of messages can be imported."""
    try:
        import_module(f'{package}.msg')
    except ImportError:
        return False
    return True
