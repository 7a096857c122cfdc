# SPDX-License-Identifier: Apache-2.0
"""Where the tests find what lies outside of the package."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'config'
RECIPES = CONFIG / 'training'
