# SPDX-License-Identifier: Apache-2.0
"""Each pytest process takes a ROS domain of its own and talks on this host only, so that runs do not hear each other."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'bench'))

from processes import own_domain  # noqa: E402


def pytest_configure(config):
    config._ros_domain_lock = own_domain()  # held until the process ends
