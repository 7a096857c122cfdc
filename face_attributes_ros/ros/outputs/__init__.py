# SPDX-License-Identifier: Apache-2.0
"""What the node publishes, one file a kind of output."""
