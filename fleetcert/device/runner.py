"""Runs agents in threads, and ends them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from queue import Empty, SimpleQueue
from typing import Final

from fleetcert.device.agent import Agent
from fleetcert.device.errors import Stopped

LONGEST_SLEEP: Final = timedelta(minutes=1)
"""A clock that is set right while an agent sleeps must not make it sleep through its certificate's end."""


class StopSignal:
    """Ends agents and all their pauses at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._bells: list[Callable[[], None]] = []

    def on_set(self, bell: Callable[[], None]) -> None:
        """Calls `bell` when the signal is given, or now if it was."""
        self._bells.append(bell)
        if self.is_set():
            bell()

    def set(self) -> None:
        """Gives the signal."""
        self._event.set()
        for bell in self._bells:
            bell()

    def is_set(self) -> bool:
        """Whether it was given."""
        return self._event.is_set()

    def pause(self, duration: timedelta) -> None:
        """Sleeps. Raises: Stopped as soon as the signal is given."""
        if self._event.wait(duration.total_seconds()):
            raise Stopped("told to end")


def run(agent: Agent, stop: StopSignal) -> None:
    """Steps the agent until the signal, and disconnects it. Raises: KeyStoreLocked."""
    stop.on_set(agent.interrupt)
    try:
        while not stop.is_set():
            agent.inbox.hush()
            rest = agent.step()
            if not stop.is_set():
                agent.inbox.wait(min(rest, LONGEST_SLEEP))
    except Stopped:
        pass
    finally:
        agent.close()


@contextmanager
def running(agent: Agent, stop: StopSignal) -> Iterator[Agent]:
    """The agent at work in a thread of its own, for an application that does other things meanwhile.

    stop: the signal that the agent's world was built with; it is given at the end.
    """
    thread = threading.Thread(target=run, args=(agent, stop), name="fleetcert agent")
    thread.start()
    try:
        yield agent
    finally:
        stop.set()
        thread.join()


def run_until_told(threads: Sequence[threading.Thread], stop: StopSignal) -> None:
    """Starts the threads and waits for SIGINT, SIGTERM or their own end; then stops and joins them."""
    told: SimpleQueue[int] = SimpleQueue()  # its put may interrupt anything: a lock in a signal handler may not
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: told.put(received))
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            told.get(timeout=0.5)
            break
        except Empty:
            continue
    stop.set()
    for thread in threads:
        thread.join()
