# SPDX-License-Identifier: Apache-2.0
"""Pictures in and out: the one reader, the one list of suffixes, the one writer."""
