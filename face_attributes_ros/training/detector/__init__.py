# SPDX-License-Identifier: Apache-2.0
"""The face detector: data, training, evaluation, export."""
