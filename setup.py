# SPDX-License-Identifier: Apache-2.0
"""Installs face_attributes_ros with pip, next to the ROS 2 wheels of PyPI.

colcon does not read this file (package.xml says ament_cmake).  pip does: it runs the same
CMakeLists.txt and puts what that installs where an ament prefix has it, the prefix being the
environment pip installs to.
"""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.build import build

NAME = 'face_attributes_ros'
HERE = Path(__file__).parent.resolve()


def ament_prefixes() -> list[str]:
    """Where CMake finds ROS: sourced workspaces first, then the environments Python imports
    from."""
    found = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    for entry in sys.path:
        prefix = Path(entry).parent.parent.parent
        if (prefix / 'share' / 'rosidl_cmake').is_dir() and str(prefix) not in found:
            found.append(str(prefix))
    return found


class BuildWithCMake(Command):  # type: ignore[misc]  # setuptools has no types
    """Builds and stages what CMakeLists.txt installs."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []
    editable_mode = False
    build_lib: Any = None  # until another command's value is taken over
    build_temp: Any = None

    def initialize_options(self) -> None:
        self.build_lib = self.build_temp = None

    def finalize_options(self) -> None:
        self.set_undefined_options('build', ('build_lib', 'build_lib'),
                                   ('build_temp', 'build_temp'))
        self.stage = Path(self.build_temp).resolve() / 'stage'

    def run(self) -> None:
        self._install_to_stage()
        (package,) = self.stage.glob(f'lib/python*/site-packages/{NAME}')
        if self.editable_mode:
            self._leave_modules_in_checkout(package)
        else:
            self._move_to_wheel(package)
        self.distribution.data_files[:] = [
            (str(folder.relative_to(self.stage)),
             [str(f)
              for f in folder.iterdir()
              if f.is_file()])
            for folder in sorted({f.parent for f in self.stage.rglob('*') if f.is_file()})
        ]
        if self.editable_mode:  # an editable wheel leaves data files out unless asked
            self.run_command('install_data')

    def _install_to_stage(self) -> None:
        tree = Path(self.build_temp).resolve() / 'cmake'
        for left_over in (
                tree,
                self.stage):  # an earlier build's cache names a build environment that is gone
            shutil.rmtree(left_over, ignore_errors=True)
        prefixes = ament_prefixes()
        env = dict(os.environ, AMENT_PREFIX_PATH=os.pathsep.join(prefixes))
        generator = ['-GNinja'] if shutil.which('ninja') else []
        subprocess.run(
            ['cmake', '-S', HERE, '-B', tree, *generator,
             '-DBUILD_TESTING=OFF', '-DCMAKE_BUILD_TYPE=Release',
             f'-DCMAKE_INSTALL_PREFIX={self.stage}', f'-DCMAKE_PREFIX_PATH={";".join(prefixes)}',
             f'-DPython3_EXECUTABLE={sys.executable}'], check=True, env=env)
        subprocess.run(['cmake', '--build', tree, '--target', 'install', '--parallel'], check=True,
                       env=env)
        for egg_info in self.stage.glob('lib/python*/site-packages/*.egg-info'):
            shutil.rmtree(egg_info)  # pip writes its own metadata
        for cache in list(self.stage.rglob('__pycache__')):
            shutil.rmtree(cache)

    def _leave_modules_in_checkout(self, package: Path) -> None:
        # The checkout reaches the generated messages by its __path__.
        for path in package.iterdir():
            if (HERE / NAME / path.name).exists():
                path.unlink() if path.is_file() else shutil.rmtree(path)

    def _move_to_wheel(self, package: Path) -> None:
        target = Path(self.build_lib) / NAME
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(package, target)
        shutil.rmtree(package)

    def get_source_files(self) -> list[str]:
        return []

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class Build(build):  # type: ignore[misc]
    sub_commands = [('build_with_cmake', None)]


class BinaryDistribution(Distribution):  # type: ignore[misc]
    def has_ext_modules(self) -> bool:
        return True

    def has_data_files(self) -> bool:
        return True


manifest = ElementTree.parse(HERE / 'package.xml').getroot()
setup(
    version=manifest.findtext('version'),
    description=manifest.findtext('description'),
    packages=[NAME],
    package_dir={'': '.'},  # lets an editable install be a plain path entry
    data_files=[],  # filled by the build, in place
    distclass=BinaryDistribution,
    cmdclass={'build': Build, 'build_with_cmake': BuildWithCMake},
    zip_safe=False,
)
