# SPDX-License-Identifier: Apache-2.0
"""Starts and ends our ROS processes: `start('face_attributes_node')`, or
`python -m face_attributes_ros.ros.run face_attributes_node --ros-args ...`.

The main thread does nothing but wait for SIGINT and SIGTERM, so that either ends the process
within two seconds at any moment, also while it imports or loads weights; everything else happens
in a second thread.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from face_attributes_ros.errors import FaceAttributesError, ParameterError
from face_attributes_ros.ros.environment import (
    close_to_other_users,
    leave_shared_memory,
    prepare_environment,
)
from face_attributes_ros.ros.finished import Finished

if TYPE_CHECKING:
    from rclpy.context import Context
    from rclpy.node import Node

__all__ = ['EXECUTABLES', 'Finished', 'main', 'spin', 'start']

EXECUTABLES = {
    'face_attributes_node': ('node',
                             'Finds faces in camera images and publishes what they look like.'),
    'image_source': ('companions.image_source',
                     'Publishes pictures, a video or a camera as ROS images.'),
    'recorder': ('companions.recorder', 'Writes face messages and annotated images to files.'),
    'dashboard': ('companions.dashboard', 'Serves a web page that shows live what the node sees.'),
}
"""By name: the module below `ros/` whose `make_node` is run, and what it does."""

OLD_NAMES = {'node': 'face_attributes_node'}
"""Names of the release before this one, which still start and say so."""

RCLPYS_SWITCHES = ('use_sim_time', 'start_type_description_service')
"""rclpy's own parameters, which it ignores in part where their type is wrong."""

GRACE_S, LOADING_GRACE_S = .6, .4
"""How long a process may tidy up after a signal before it is ended, at work and before. While it
loads, there is little to tidy up, and Python's lock, which loading holds, takes its time too: with
1.2 s, 4 of 200 took longer than two seconds on two cores with six threads each, with .8 one
(bench.measure.stop)."""


class OurNode(Protocol):
    """What `make_node` gives: a Node that can be started and ended."""

    def begin(self) -> None:
        """Starts to work."""

    def end(self) -> None:
        """Lets go of everything."""


def start(name: str, arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs one of EXECUTABLES until it ends or is told to, and ends the process with its exit
    code."""
    stop = _Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore)
    process = _Process(name, list(sys.argv[1:] if arguments is None else arguments), stop)
    process.thread.start()
    stop.wait()
    # A thread of its own, since a lock inside may be held for as long as an inference takes.
    threading.Thread(target=process.shut_down, daemon=True).start()
    process.thread.join(GRACE_S if process.works else LOADING_GRACE_S)
    _end_at_once(process.code)


def _ignore(*_: object) -> None:
    # The wake-up descriptor does the work; with SIG_IGN there would be no wake-up. launch may send
    # a second SIGINT while we tidy up, which is why it stays.
    return


def _end_at_once(code: int) -> NoReturn:
    # Whatever Python would still do takes up to seconds on a busy machine (thread pools of the
    # runtimes, destructors of DDS) and nothing is lost: files and participants are closed by then,
    # or are in the middle of loading or an inference, which nothing can interrupt.
    for stream in (sys.stdout, sys.stderr):
        # Whoever read it may be gone; there is none where it was closed before we started.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    leave_shared_memory()
    os._exit(code)


class _Stop:
    """Waited for by the main thread, set by any thread and by signals.

    A signal may reach another thread than the main one, which then would sleep on with Python's
    handler pending, and a threading.Event that a handler sets can deadlock; Python's wake-up file
    descriptor has neither flaw.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self.is_set = False
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def set(self) -> None:
        os.write(self._writing, b'.')

    def wait(self) -> None:
        os.read(self._reading, 1)
        self.is_set = True


class _Process:
    """The second thread: everything that an executable does, and its exit code."""

    def __init__(self, name: str, arguments: list[str], stop: _Stop) -> None:
        self.name, self.arguments, self.stop = OLD_NAMES.get(name, name), arguments, stop
        if name in OLD_NAMES:
            self._say(f'{name} is now called {self.name}; the old name goes with the next release')
        self.code, self.works = 0, False
        self.context: Context | None = None
        self.thread = threading.Thread(target=self._main, name='ros', daemon=True)
        _name_process(self.name)

    def shut_down(self) -> None:
        if self.context is not None:
            self.context.try_shutdown()

    def _main(self) -> None:
        try:
            self.code = self._run()
        except SystemExit as exit_:  # argparse
            self.code = exit_.code if isinstance(exit_.code, int) else 0
        except BaseException:
            if not self.stop.is_set:  # what breaks while we are told to stop is of no interest
                traceback.print_exc()
                self.code = 1
        finally:
            self.stop.set()

    def _run(self) -> int:
        context = self._connected()
        if context is None:
            return 1
        module = importlib.import_module(f'face_attributes_ros.ros.{EXECUTABLES[self.name][0]}')
        self.context = context
        if self.stop.is_set:
            return 0
        code = spin(lambda: module.make_node(context=context), context, self.name, self._begun)
        return 0 if self.stop.is_set else code  # a start that a signal broke off is no failure

    def _begun(self) -> None:
        self.works = True

    def _connected(self) -> Context | None:
        try:
            prepare_environment()
            import rclpy
            from rclpy.signals import SignalHandlerOptions
            from rclpy.utilities import remove_ros_args

            self._parse(remove_ros_args(['', *self.arguments])[1:])
            context = rclpy.Context()
            rclpy.init(args=self.arguments, context=context,
                       signal_handler_options=SignalHandlerOptions.NO)
            return context
        except Exception as error:  # RCLError and its kin: a remapping or file that cannot be read
            self._say(_first_line(error))
            return None

    def _say(self, words: str) -> None:
        print(f'{self.name}: {words}', file=sys.stderr)

    def _parse(self, arguments: list[str]) -> None:
        parser = argparse.ArgumentParser(
            prog=self.name, description=EXECUTABLES[self.name][1],
            epilog='ROS arguments follow --ros-args: -p NAME:=VALUE, -r FROM:=TO, ...')
        parser.parse_args(arguments)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _name_process(name: str) -> None:
    # top, pgrep and killall show this, 15 letters of it, instead of python3.
    with contextlib.suppress(OSError):
        Path('/proc/self/comm').write_text(name[:15])


def spin(make_node: Callable[[], OurNode], context: Context, name: str = 'start',
         begun: Callable[[], None] = lambda: None) -> int:
    """Makes a node, calls its `begin` and then `begun`, spins it until the context ends; the exit
    code. Bad settings are one line, not a traceback."""
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

    node = None
    executor = SingleThreadedExecutor(context=context)
    try:
        node = _made(make_node)
        close_to_other_users()
        executor.add_node(cast('Node', node))
        node.begin()
        begun()
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


def _made(make_node: Callable[[], OurNode]) -> OurNode:
    from rclpy.exceptions import ParameterException

    try:
        made = make_node()
    except ParameterException as error:
        raise ParameterError(_first_line(error)) from error
    node = cast('Node', made)
    for name in RCLPYS_SWITCHES:
        value = node.get_parameter(name).value if node.has_parameter(name) else False
        if not isinstance(value, bool):
            made.end()
            raise ParameterError(f'parameter {name} is {value!r}, needs true or false')
    return made


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the executable that the first argument names."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in {**EXECUTABLES, **OLD_NAMES}:
        sys.exit('usage: python -m face_attributes_ros.ros.run '
                 f'{{{",".join(EXECUTABLES)}}} [--ros-args ...]')
    start(arguments[0], arguments[1:])


if __name__ == '__main__':
    main()
