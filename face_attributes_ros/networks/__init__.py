# SPDX-License-Identifier: Apache-2.0
"""The torch networks: the compact ones that are shipped, and the adapter for YOLOv3."""
