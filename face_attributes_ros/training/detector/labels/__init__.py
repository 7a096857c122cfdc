# SPDX-License-Identifier: Apache-2.0
"""Training sets for the detector: machine labels, one framing, no near-duplicates of what judges
it.
"""
