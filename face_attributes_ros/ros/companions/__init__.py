# SPDX-License-Identifier: Apache-2.0
"""The processes beside the node: image source, recorder, demo, dashboard."""
