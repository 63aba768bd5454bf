"""Calls of the services that Azure offers, as spans and durations: what all traced ports have in common."""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from shared import telemetry, tracing
from shared.errors import Conflict
from shared.telemetry import Metric
from shared.tracing import Kind, Spanning, Value

NOTEWORTHY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Call:
    """One call. attributes: of the span; those that the metric knows are the metric's too.

    parent: a context in place of the caller's, to which the span is linked then.
    """

    name: str
    metric: Metric
    attributes: Mapping[str, Value]
    kind: Kind = "client"
    parent: str | None = None


class _Ongoing:
    """A call's span and its labels: what is noted of one is noted of the other, as far as the metric knows it."""

    def __init__(self, call: Call, span: Spanning, labels: dict[str, str | int]) -> None:
        self._call = call
        self._span = span
        self._labels = labels

    def note(self, name: str, value: Value) -> None:
        """Adds an attribute."""
        self._span.note(name, value)
        if name in self._call.metric.attributes and isinstance(value, str | int):
            self._labels[name] = value

    def fail(self, error: str) -> None:
        """The call did not succeed."""
        self._span.fail(error)
        self._labels["error.type"] = error


@contextmanager
def calling(call: Call) -> Iterator[Spanning]:
    """Traces and times the block."""
    started = time.perf_counter()
    labels: dict[str, str | int] = {}
    try:
        with _failing(labels), _span(call) as span:
            yield _Ongoing(call, span, labels)
    finally:
        _note(call, time.perf_counter() - started, labels)


async def streaming[T](call: Call, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """The items, timed without what their reader does between two of them.

    There is a span where there is something to see: items, trouble, or a wait. A sweep looks into every shard every
    minute, and mostly finds nothing.
    """
    parent, began, waited, count = tracing.current(), time.time_ns(), 0.0, 0
    labels: dict[str, str | int] = {}
    try:
        with _failing(labels):
            while True:
                started = time.perf_counter()
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    break
                finally:
                    waited += time.perf_counter() - started
                count += 1
                yield item
    finally:
        _note(call, waited, labels)
        if count or labels or waited > NOTEWORTHY_SECONDS:
            _look_back(replace(call, parent=parent), began, count, labels)


class Observed:
    """Any port: each of its methods that waits for something is a span and a duration under the port's name."""

    def __init__(self, port: Any, name: str, attributes: Mapping[str, Value]) -> None:
        self._port = port
        self._name = name
        self._attributes = attributes

    def __getattr__(self, member: str) -> Any:
        found = getattr(self._port, member)
        if inspect.isasyncgenfunction(found):
            return lambda *given, **named: streaming(self._call(member), found(*given, **named))
        return self._observed(member, found) if inspect.iscoroutinefunction(found) else found

    def _observed(self, member: str, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        async def observed(*given: Any, **named: Any) -> Any:
            with calling(self._call(member)):
                return await method(*given, **named)

        return observed

    def _call(self, member: str) -> Call:
        attributes = {"port": self._name, "operation": member, **self._attributes}
        return Call(f"{self._name} {member}", telemetry.STORAGE_DURATION, attributes)


def observed[P](port: P, name: str, attributes: Mapping[str, Value]) -> P:
    """The port, observed."""
    return cast(P, Observed(port, name, attributes))


def _span(call: Call) -> AbstractContextManager[Spanning]:
    caller = tracing.current() if call.parent else None
    links = [caller] if caller else []
    return tracing.span(call.name, call.kind, call.attributes, parent=call.parent, links=links, answers=(Conflict,))


def _look_back(call: Call, began: int, count: int, labels: Mapping[str, str | int]) -> None:
    """The span of what is over. began: in nanoseconds of Unix time."""
    attributes = {**call.attributes, "db.response.returned_rows": count, "fleetcert.rows": count}
    with tracing.span(call.name, call.kind, attributes, parent=call.parent, began=began) as span:
        if "error.type" in labels:
            span.fail(str(labels["error.type"]))


@contextmanager
def _failing(labels: dict[str, str | int]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever ends the call is what its measure is filed under, and goes on
        labels["error.type"] = type(error).__name__
        raise


def _note(call: Call, seconds: float, labels: Mapping[str, str | int]) -> None:
    known = {n: v for n, v in call.attributes.items() if n in call.metric.attributes and isinstance(v, str | int)}
    telemetry.note(call.metric, seconds, {**known, **labels})
