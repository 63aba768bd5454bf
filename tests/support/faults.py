"""Faults injected through the ports, never by editing a service: at the n-th call, before or after its effect.

After the effect is the unknown outcome: the service did what it was asked, and the caller hears of a failure.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.errors import InfrastructureFault

type Moment = Literal["before", "after"]
type Answer = Callable[[str], BaseException | None]


class Killed(BaseException):
    """The process is gone. Nothing in it can catch this, and nothing in it does anything any more."""


def killed(_: str) -> BaseException:
    """The end of the process, at any call."""
    return Killed("the process was killed")


def unavailable(call: str) -> BaseException:
    """503, 500, a timeout or a refused connection, at any call."""
    return InfrastructureFault(call, "unavailable")


@dataclass
class Faults:
    """Counts the calls of all wrapped ports, and lets the `at`-th (1, 2, ...) fail in the way that `answer` says.

    answer: the error for a call by its name (`table.commit`), or None where this call cannot fail so.
    outages: ports or calls that are down until they are taken out again. calls: what was called, in order.
    """

    at: int = 0
    moment: Moment = "before"
    answer: Answer = unavailable
    outages: dict[str, Answer] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    struck: list[str] = field(default_factory=list)
    dead: bool = False

    def wrap[T](self, name: str, port: T) -> T:
        """The port as the services see it."""
        return _Faulty(name, port, self)  # type: ignore[return-value]

    def revive(self) -> None:
        """Another process starts."""
        self.dead = False

    def before(self, call: str) -> int:
        """Counts a call, and raises where it fails before its effect. Answers its number."""
        if self.dead:
            raise Killed("the process was killed")
        self.calls.append(call)
        number = len(self.calls)
        down = self.outages.get(call) or self.outages.get(call.split(".")[0])
        if down is not None and (fault := down(call)) is not None:
            raise fault
        self._strike(number, "before", call)
        return number

    def after(self, number: int, call: str) -> None:
        """Raises where the call fails after its effect."""
        self._strike(number, "after", call)

    def _strike(self, number: int, moment: Moment, call: str) -> None:
        if (number, moment) != (self.at, self.moment) or (fault := self.answer(call)) is None:
            return
        self.struck.append(call)
        self.dead = isinstance(fault, Killed)
        raise fault


class _Faulty:
    """A port whose every method is counted and may fail."""

    def __init__(self, name: str, port: object, faults: Faults) -> None:
        self._name = name
        self._port = port
        self._faults = faults

    def __getattr__(self, method: str) -> Any:
        real = getattr(self._port, method)
        call = f"{self._name}.{method}"
        if inspect.isasyncgenfunction(real):
            return functools.partial(self._iterated, real, call)
        return functools.partial(self._awaited, real, call)

    async def _awaited(self, real: Any, call: str, *args: Any, **kwargs: Any) -> Any:
        number = self._faults.before(call)
        answer = await real(*args, **kwargs)
        self._faults.after(number, call)
        return answer

    async def _iterated(self, real: Any, call: str, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        number = self._faults.before(call)
        async for item in real(*args, **kwargs):
            yield item
        self._faults.after(number, call)
