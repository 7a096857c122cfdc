# SPDX-License-Identifier: Apache-2.0
"""Labelled faces: readers, cache, batches, augmentation."""
