"""Somebody else acts at the worst moment: just before a call of a port has its effect, and the caller goes on after."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from support.faults import Killed

type Act = Callable[[], Awaitable[object]]


@dataclass
class Meddling:
    """Acts once, before the call of that number (1, 2, ...) among the calls of all wrapped ports.

    Whoever was interrupted dies after so many calls more (survives; None: lives on). calls: what was called, in order;
    those that the act itself makes do not count.
    """

    at: int = 0
    act: Act | None = None
    survives: int | None = None
    calls: list[str] = field(default_factory=list)
    acting: bool = False

    def wrap[T](self, name: str, port: T) -> T:
        """The port as the services see it."""
        return cast(T, _Meddled(name, port, self))

    def plan(self, at: int, act: Act, survives: int | None = None) -> None:
        """Counts from one again."""
        self.at, self.act, self.survives, self.calls = at, act, survives, []

    async def before(self, call: str) -> None:
        """A call is about to have its effect."""
        if self.acting:
            return
        self.calls.append(call)
        if self.at and self.survives is not None and len(self.calls) >= self.at + self.survives:
            raise Killed("the process was killed")
        if self.act is not None and len(self.calls) == self.at:
            self.acting = True
            await self.act()
            self.acting = False


class _Meddled:
    def __init__(self, name: str, port: object, meddling: Meddling) -> None:
        self._name = name
        self._port = port
        self._meddling = meddling

    def __getattr__(self, member: str) -> Any:
        real = getattr(self._port, member)
        if not inspect.iscoroutinefunction(real):
            return real
        return functools.partial(self._called, real, f"{self._name}.{member}")

    async def _called(self, real: Any, call: str, *args: Any, **kwargs: Any) -> Any:
        await self._meddling.before(call)
        return await real(*args, **kwargs)
