# SPDX-License-Identifier: Apache-2.0
"""Recorded bags: our messages written beside what was recorded."""
