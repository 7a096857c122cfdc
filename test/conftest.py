# SPDX-License-Identifier: Apache-2.0
"""Each pytest process takes a ROS domain of its own and talks on this host only, so that runs do not hear each other."""

import fcntl
import os
import tempfile
from pathlib import Path


def pytest_configure(config):
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ.setdefault('ROS_LOG_DIR', tempfile.mkdtemp(prefix='face_attributes_log_'))
    for domain in range(1, 102):
        lock = open(Path(tempfile.gettempdir()) / f'face_attributes_domain_{domain}.lock', 'w')
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        config._ros_domain_lock = lock  # held until the process ends
        os.environ['ROS_DOMAIN_ID'] = str(domain)
        return
    raise RuntimeError('no free ROS domain from 1 to 101')
