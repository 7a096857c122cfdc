# SPDX-License-Identifier: Apache-2.0
"""Starts and ends our ROS processes: `start('node')`, or `python -m face_attributes_ros.ros.run
node --ros-args ...`.

The main thread does nothing but wait for SIGINT and SIGTERM, so that either ends the process
within two seconds at any moment, also while it imports or loads weights; everything else happens
in a second thread.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import os
import signal
import sys
import tempfile
import threading
import traceback

from face_attributes_ros.share import share_file

EXECUTABLES = {
    'node': ('node', 'Finds faces in camera images and publishes what they look like.'),
    'image_source': ('companions.image_source',
                     'Publishes pictures, a video or a camera as ROS images.'),
    'recorder': ('companions.recorder', 'Writes face messages and annotated images to files.'),
}
"""By name: the module below `ros/` whose `make_node` is run, and what it does."""

GRACE_S = 1.5
"""How long a process may tidy up after a signal before it is ended."""


class Finished(Exception):
    """Raised in a callback to end the process with an exit code; an error has been logged where it
    is not 0."""

    def __init__(self, code=0):
        super().__init__(code)
        self.code = code


def start(name, arguments=None):
    """Runs one of EXECUTABLES until it ends or is told to; its exit code."""
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number,
                      lambda *_: None)  # the wake-up does it; with SIG_IGN there would be none
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    process = _Process(name, arguments, stop)
    process.thread.start()
    stop.wait()
    # launch may send a second SIGINT while we tidy up: the handler does nothing
    process.shut_down()
    process.thread.join(GRACE_S)
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(
            process.code
        )  # in the middle of loading or of an inference, which nothing can interrupt: nothing is lost
    return process.code


class _Stop:
    """Waited for by the main thread, set by any thread and by signals.

    A signal may reach another thread than the main one, which then would sleep on with Python's
    handler pending, and a threading.Event that a handler sets can deadlock; Python's wake-up file
    descriptor has neither flaw.
    """

    def __init__(self):
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self.is_set = False
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def set(self):
        os.write(self._writing, b'.')

    def wait(self):
        os.read(self._reading, 1)
        self.is_set = True


class _Process:
    def __init__(self, name, arguments, stop):
        self.name, self.arguments, self.stop = name, arguments, stop
        self.code, self.context = 0, None
        self.thread = threading.Thread(target=self._main, name='ros', daemon=True)

    def shut_down(self):
        if self.context is not None:
            self.context.try_shutdown()

    def _main(self):
        try:
            self.code = self._run()
        except SystemExit as exit_:  # argparse
            self.code = exit_.code or 0
        except BaseException:
            if not self.stop.is_set:  # what breaks while we are told to stop is of no interest
                traceback.print_exc()
                self.code = 1
        finally:
            self.stop.set()

    def _run(self):
        prepare_environment()
        rclpy, signals = importlib.import_module('rclpy'), importlib.import_module('rclpy.signals')
        context = rclpy.Context()
        try:
            self._parse(
                importlib.import_module('rclpy.utilities').remove_ros_args(['',
                                                                            *self.arguments])[1:])
            rclpy.init(args=self.arguments, context=context,
                       signal_handler_options=signals.SignalHandlerOptions.NO)
        except Exception as error:  # RCLError and its kin: a remapping or parameters file that cannot be read
            print(f'{self.name}: {str(error).splitlines()[0]}', file=sys.stderr)
            return 1
        module = importlib.import_module(f'face_attributes_ros.ros.{EXECUTABLES[self.name][0]}')
        self.context = context
        if self.stop.is_set:
            return 0
        return spin(lambda: module.make_node(context=context), context, self.name)

    def _parse(self, arguments):
        parser = argparse.ArgumentParser(
            prog=self.name, description=EXECUTABLES[self.name][1],
            epilog='ROS arguments follow --ros-args: -p NAME:=VALUE, -r FROM:=TO, ...')
        parser.parse_args(arguments)


def spin(make_node, context, name='start'):
    """Makes a node, calls its `begin`, spins it until the context ends; the exit code. Bad
    settings are one line, not a traceback."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    from face_attributes_ros.errors import FaceAttributesError

    node = None
    executor = SingleThreadedExecutor(context=context)
    try:
        node = make_node()
        executor.add_node(node)
        node.begin()
        executor.spin()
    except ExternalShutdownException:
        pass
    except Finished as end:
        return end.code
    except FaceAttributesError as error:
        print(f'{name}: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.end()
        executor.shutdown(timeout_sec=.1)
        context.try_shutdown()
    return 0


def prepare_environment():
    """Sets what has to be set before ROS starts: the DDS profile for large images, a log folder,
    and a kinder malloc."""
    taken = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE',
             'FASTDDS_BUILTIN_TRANSPORTS')
    if not any(os.environ.get(name) for name in taken):
        os.environ['FASTDDS_DEFAULT_PROFILES_FILE'] = str(
            share_file('config/fastdds_large_images.xml'))
    if not any(os.environ.get(name) for name in ('HOME', 'ROS_HOME', 'ROS_LOG_DIR')):
        os.environ['ROS_LOG_DIR'] = tempfile.gettempdir()
    keep_large_buffers()


def keep_large_buffers():
    """Keeps glibc from giving image-sized buffers back to the kernel after each frame: a third of
    the CPU at 1080p."""
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is not None:
        mallopt(-3, 1 << 28)  # M_MMAP_THRESHOLD
        mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD


def main(arguments=None):
    """Runs the executable that the first argument names."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in EXECUTABLES:
        sys.exit(
            f'usage: python -m face_attributes_ros.ros.run {{{",".join(EXECUTABLES)}}} [--ros-args ...]'
        )
    return start(arguments[0], arguments[1:])


if __name__ == '__main__':
    from face_attributes_ros.ros import (
        run,  # under its own name: this module's Finished is not that of the nodes
    )

    sys.exit(run.main())
