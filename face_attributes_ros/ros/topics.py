# SPDX-License-Identifier: Apache-2.0
"""Names of topics that lie beside images: their JPEGs, and the camera's calibration."""

from __future__ import annotations

from rclpy.node import Node


def compressed(node: Node, images: str) -> str:
    """The name to ask for to get the JPEGs of the topic `images`: who remaps the images moves them
    too, as image_transport does, unless they are remapped by themselves."""
    own = f'{images}/compressed'
    return own if _is_remapped(node, own) else f'{node.resolve_topic_name(images)}/compressed'


def camera_info(node: Node, images: str) -> str:
    """The name to ask for to get the calibration of the camera of `images`: beside them, as
    everywhere in ROS, unless it is remapped by itself."""
    own = _sibling(images)
    return own if _is_remapped(node, own) else _sibling(node.resolve_topic_name(images))


def _sibling(images: str) -> str:
    folder, slash, _ = images.rpartition('/')
    return f'{folder}{slash}camera_info'


def _is_remapped(node: Node, name: str) -> bool:
    remapped: bool = node.resolve_topic_name(name) != node.resolve_topic_name(name,
                                                                               only_expand=True)
    return remapped
