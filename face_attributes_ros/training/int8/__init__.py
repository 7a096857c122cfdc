# SPDX-License-Identifier: Apache-2.0
"""Int8 files: quantise, measure, ship only within the bars."""
