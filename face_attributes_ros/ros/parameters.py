# SPDX-License-Identifier: Apache-2.0
"""Declares a settings class to ROS, and takes what is set while the node runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from face_attributes_ros.errors import ParameterError
from face_attributes_ros.options import Option, from_values, options

S = TypeVar('S')
NEAR = .75
"""How alike an unknown parameter's name must be to one of ours for that one to be named."""

_NOT_OURS = ('use_sim_time', 'start_type_description_service')

GIVEN: dict[str, Any] = {'automatically_declare_parameters_from_overrides': True}
"""What a node that calls `declare` hands to its constructor: without it, what the command line and
the YAML file say cannot be seen in public."""


class Declared(Generic[S]):
    """A node's settings: `settings` is always a complete, checked snapshot, replaced as a whole.

    `may_change(fields)` gives the reason why these fields cannot be set just now, or ''; `changed`
    is called once new settings hold.
    """

    def __init__(self, node: Node, settings_class: type[S], *,
                 may_change: Callable[[Sequence[Option]], str] = lambda changed: '',
                 changed: Callable[[], None] = lambda: None):
        self.settings = declare(node, settings_class)
        self._options = {option.name: option for option in options(settings_class)}
        self._may_change, self._changed = may_change, changed
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take)

    def _ours(self, parameters: Sequence[Parameter[Any]]) -> dict[Option, Any]:
        return {self._options[one.name]: one.value for one in parameters
                if one.name in self._options}

    def _check(self, parameters: Sequence[Parameter[Any]]) -> SetParametersResult:
        ours = self._ours(parameters)
        try:
            new = self._replaced(ours)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        different = [option for option in ours
                     if getattr(new, option.field) != getattr(self.settings, option.field)]
        reason = self._may_change(different) if different else ''
        return SetParametersResult(successful=not reason, reason=reason)

    def _take(self, parameters: Sequence[Parameter[Any]]) -> None:
        ours = self._ours(parameters)
        if ours:
            self.settings = self._replaced(ours)
            self._changed()

    def _replaced(self, values: dict[Option, Any]) -> S:
        settings: Any = self.settings
        changed: S = replace(settings, **{option.field: value for option, value in values.items()})
        return changed


def declare(node: Node, settings_class: type[S]) -> S:
    """The settings that the command line and the YAML file give, declared to ROS; ParameterError
    names one that is wrong or nearly right, and the node is destroyed."""
    try:
        return _declared(node, settings_class)
    except ParameterError:
        node.destroy_node()
        raise


def _declared(node: Node, settings_class: type[S]) -> S:
    names = node.list_parameters([], 0).names
    given = {name: node.get_parameter(name).value for name in names}
    known = {option.name: option for option in options(settings_class)}
    strict = given.get('strict_parameters') is True
    _judge_unknown(node, [name for name in given if name not in known], known, strict)
    settings = from_values(settings_class,
                           {name: value for name, value in given.items() if name in known})
    for option in known.values():
        if node.has_parameter(option.name):
            node.undeclare_parameter(option.name)  # it has no description yet
        value = getattr(settings, option.field)
        node.declare_parameter(option.name, list(value) if isinstance(value, tuple) else value,
                               descriptor(option), ignore_override=True)
    return settings


def _judge_unknown(node: Node, names: Sequence[str], known: dict[str, Option],
                   strict: bool) -> None:
    # A YAML file may serve several nodes: what is not ours is none of our business, unless it is
    # a name of ours with a slip of the pen, whose effect somebody will miss.
    for name in names:
        if name.startswith('qos_overrides.') or name in _NOT_OURS:
            continue
        near = difflib.get_close_matches(name, known, 1, NEAR)
        hint = f', did you mean {near[0]!r}?' if near else ''
        if strict or (near and _is_slip(name, near[0], known)):
            raise ParameterError(f'unknown parameter {name!r}{hint}')
        node.get_logger().warning(f'unknown parameter {name!r} is not used here{hint}')


def _is_slip(name: str, ours: str, known: Collection[str]) -> bool:
    """Whether a name is a slip of the pen for one of `known`, which it is near to, and not what
    another node calls its own: `device_id` is no `device`."""
    groups = {each.partition('.')[0] for each in known if '.' in each}
    group, dot, _ = name.partition('.')
    words, our_words = re.split('[._]', name), re.split('[._]', ours)
    return ((bool(dot) and group in groups) or len(words) == len(our_words)
            or ''.join(words) == ''.join(our_words))


def descriptor(option: Option) -> ParameterDescriptor:
    """What ROS tools show of a parameter."""
    found = ParameterDescriptor(name=option.name, description=option.meaning,
                                read_only=option.once)
    notes = [', '.join(option.choices), option.unit and f'unit: {option.unit}']
    found.additional_constraints = ' '.join(filter(None, notes))
    if option.low is None or option.high is None:
        return found
    if type(option.default) is float:
        found.floating_point_range = [FloatingPointRange(from_value=float(option.low),
                                                         to_value=float(option.high))]
    else:
        found.integer_range = [IntegerRange(from_value=int(option.low),
                                            to_value=int(option.high), step=1)]
    return found
