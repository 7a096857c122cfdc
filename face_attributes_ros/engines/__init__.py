# SPDX-License-Identifier: Apache-2.0
"""Runtimes behind one seam, and the manifest of what they run."""
