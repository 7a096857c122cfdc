# SPDX-License-Identifier: Apache-2.0
"""Declares settings.py's parameters to ROS, and checks what is set live."""

from __future__ import annotations

import difflib

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.parameter import Parameter as RosParameter

from face_attributes_ros import settings as params
from face_attributes_ros.errors import ParameterError


def declare(node, table=params.PARAMETERS, check=params.check):
    """The node's parameters by name, declared and checked; ParameterError names one that is wrong
    or unknown, and the node is destroyed."""
    try:
        return _declared(node, table, check)
    except ParameterError:
        node.destroy_node()
        raise


def _declared(node, table, check):
    given = node._parameter_overrides  # from the command line, the YAML file or the constructor: rclpy has no other way in
    known = {parameter.name: parameter for parameter in table}
    _refuse_unknown(node, [name for name in given if name not in known], known)
    for parameter in table:
        if parameter.name in given:
            value = parameter.check(
                given[parameter.name].value)  # a double may be written without its point
            given[parameter.name] = RosParameter(parameter.name, value=value)
        node.declare_parameter(parameter.name, parameter.default, descriptor(parameter))
    return check({parameter.name: node.get_parameter(parameter.name).value for parameter in table})


def _refuse_unknown(node, names, known):
    for name in names:
        if node.has_parameter(name) or name.startswith(
                'qos_overrides.') or name == 'start_type_description_service':
            continue
        near = difflib.get_close_matches(name, known, 1, .5)
        raise ParameterError(f'unknown parameter {name!r}' +
                             (f', did you mean {near[0]!r}?' if near else ''))


def descriptor(parameter):
    """What ROS tools show of a parameter."""
    found = ParameterDescriptor(name=parameter.name, description=parameter.meaning,
                                read_only=not parameter.live)
    found.additional_constraints = ' '.join(
        filter(None, [', '.join(parameter.choices), parameter.unit and f'unit: {parameter.unit}']))
    if type(parameter.default) is float and parameter.low is not None:
        found.floating_point_range = [
            FloatingPointRange(from_value=float(parameter.low), to_value=float(parameter.high))
        ]
    if type(parameter.default) is int and parameter.low is not None:
        found.integer_range = [
            IntegerRange(from_value=int(parameter.low), to_value=int(parameter.high), step=1)
        ]
    return found


def live_callback(values, apply):
    """A set-parameters callback: `apply(new)` gets the checked new values, which replace those in
    `values` (in place)."""
    def on_set(changes):
        ours = {change.name: change.value for change in changes if change.name in values}
        try:
            new = params.check({**values, **ours})
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if ours:
            values.update(new)
            apply(new)
        return SetParametersResult(successful=True)

    return on_set
