# SPDX-License-Identifier: Apache-2.0
"""Videos without ROS: tracks over time as lines, tables, drawn frames and a timeline."""
