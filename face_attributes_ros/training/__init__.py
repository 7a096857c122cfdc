# SPDX-License-Identifier: Apache-2.0
"""The training room: data, augmentation, losses, train, evaluate, export. Nothing outside imports
it."""
