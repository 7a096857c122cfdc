# SPDX-License-Identifier: Apache-2.0
"""Everything that talks to ROS: the node, the conversions, and the companions image_source,
recorder and dashboard."""
