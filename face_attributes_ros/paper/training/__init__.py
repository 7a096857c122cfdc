# SPDX-License-Identifier: Apache-2.0
"""How the paper's systems are trained and judged."""
