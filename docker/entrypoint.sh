#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with ROS and the package in its environment.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /ws/install/setup.bash
exec "$@"
