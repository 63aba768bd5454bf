"""Child processes and ports of the local Azure: no child outlives its parent, no port is taken twice in silence."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from shared.errors import FleetcertError

_PR_SET_PDEATHSIG: Final = 1
_POLL_SECONDS: Final = 0.1
_STOP_SECONDS: Final = 8.0


class CannotStart(FleetcertError):
    """The local Azure cannot start. The message says why and what to do."""


class ChildDied(FleetcertError):
    """A child process ended by itself."""

    def __init__(self, child: Child) -> None:
        ending = f"{child.name} ended with exit code {child.process.returncode}"
        super().__init__(f"{ending}; the end of {child.log_file}:\n{child.log_tail()}")
        self.child = child


@dataclass(frozen=True, slots=True)
class Child:
    """A running child process in a session of its own, whose output goes to `log_file`."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def require_alive(self) -> None:
        """Raises: ChildDied."""
        if self.process.poll() is not None:
            raise ChildDied(self)

    def stop(self) -> None:
        """Asks the process to end, insists after some seconds, and waits for its end."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of the log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])


def start_child(
    name: str,
    command: Sequence[str | Path],
    log_file: Path,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Child:
    """Starts a process that the kernel (Linux) kills when the thread that called this ends, however it ends.

    In a session of its own, so that Ctrl-C reaches the parent alone, which then ends its children in order.
    It works in `directory`, or in the log's folder. environment: added to our own. Raises: OSError where there is no
    such program.
    """
    with log_file.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is ours
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            cwd=directory or log_file.parent,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )
    return Child(name, process, log_file)


async def watch(children: Sequence[Child]) -> None:
    """Runs until a child ends by itself. Raises: ChildDied."""
    while True:
        for child in children:
            child.require_alive()
        await asyncio.sleep(_POLL_SECONDS)


def free_ports(count: int) -> list[int]:
    """Different TCP ports of 127.0.0.1 that nobody listens on at this moment: take them soon."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def listener_on(port: int) -> psutil.Process | None:
    """The process that listens on 127.0.0.1:port; None where there is none that this user may see."""
    pid = next(_listeners(port), None)
    return None if pid is None else psutil.Process(pid)


def require_free_port(port: int, purpose: str) -> None:
    """Makes sure that we can listen on 127.0.0.1:port. Raises: CannotStart that names the port and its holder."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            raise CannotStart(
                f"port {port} ({purpose}; its clients cannot be told another one) is in use by {_holder_of(port)}: "
                "end that process and start again"
            ) from problem


def _holder_of(port: int) -> str:
    try:
        if (process := listener_on(port)) is not None:
            return f"process {process.pid} ({' '.join(process.cmdline()) or process.name()})"
    except psutil.Error:  # it ended meanwhile
        pass
    return "a process that this user may not see"  # another user's process shows itself to nobody but root


def _listeners(port: int) -> Iterator[int]:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr[1] == port:
            yield from () if connection.pid is None else (connection.pid,)


def _die_with(parent: int) -> Callable[[], None] | None:
    """What a child does before it becomes its program; only Linux can tie it to its parent's life."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we were tied to it
            os._exit(1)

    return tie
