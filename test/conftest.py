# SPDX-License-Identifier: Apache-2.0
"""Each pytest process takes a ROS domain of its own and talks on this host only, so that runs do
not hear each other."""

from bench.rig.processes import own_domain


def pytest_configure(config):
    config._ros_domain_lock = own_domain()  # held until the process ends
