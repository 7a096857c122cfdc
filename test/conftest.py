# SPDX-License-Identifier: Apache-2.0
"""Each pytest process takes a ROS domain of its own and talks on this host only, so that runs do
not hear each other, and has a cache folder of its own."""

import os
import sys
import tempfile

import pytest

from bench.rig.processes import own_domain


def pytest_configure(config):
    config._ros_domain_lock = own_domain()  # held until the process ends
    # What `auto` measures is not for the user's cache; nodes that tests start inherit it.
    config._cache = tempfile.TemporaryDirectory(prefix='face_attributes_cache_')
    os.environ['XDG_CACHE_HOME'] = config._cache.name


@pytest.fixture(autouse=True)
def subnormal_numbers():
    """Trainings switch them off for their whole process, which here is that of later tests too."""
    yield
    if 'torch' in sys.modules:
        sys.modules['torch'].set_flush_denormal(False)


OPTIONAL = ('torch', 'scipy', 'sklearn', 'matplotlib', 'onnx', 'safetensors', 'ultralytics',
            'pycocotools', 'PIL', 'h5py', 'rosbags', 'aiohttp', 'distributed')
"""What training, the paper, the dashboard and work on bags need and a robot does not have."""


class OptionalModule(pytest.Module):
    """A test file that is skipped where something OPTIONAL is not installed."""

    def collect(self):
        """The file's tests."""
        try:
            return list(super().collect())
        except self.CollectError as error:
            missing = getattr(error.__cause__, 'name', None) or ''
            if isinstance(error.__cause__, ModuleNotFoundError) and \
                    missing.partition('.')[0] in OPTIONAL:
                pytest.skip(f'{missing} is not installed', allow_module_level=True)
            raise


def pytest_pycollect_makemodule(module_path, parent):
    return OptionalModule.from_parent(parent, path=module_path)
