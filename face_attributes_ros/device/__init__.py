# SPDX-License-Identifier: Apache-2.0
"""The path that keeps frames on the GPU."""
