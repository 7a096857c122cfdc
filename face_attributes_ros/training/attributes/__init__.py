# SPDX-License-Identifier: Apache-2.0
"""The attribute network: training, evaluation, calibration, export."""
