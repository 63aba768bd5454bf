"""Spans. Until a provider is connected there are none, and nothing of OpenTelemetry is even imported.

Contexts travel as W3C `traceparent` texts. A command's life has a trace of its own, whose id is the command's: whoever
knows the command finds its decision, its way to the hub, what became of it and the renewal that it led to, and nothing
of that has to be stored or carried by the device. Every span in it is linked to the invocation that did it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeIs

if TYPE_CHECKING:
    from opentelemetry.trace import Span, SpanContext, Tracer, TracerProvider

SCOPE: Final = "fleetcert"
MOST_LINKS: Final = 100
_TRACEPARENT: Final = r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"

type Kind = Literal["internal", "client", "producer"]
type Value = str | int | float | bool
type Attributes = Mapping[str, Value]


class Spanning(Protocol):
    """A span as those who work within it see it."""

    def note(self, name: str, value: Value) -> None:
        """Adds an attribute."""

    def fail(self, error: str) -> None:
        """What it stands for did not succeed. error: its class, or a status code."""


class _NoSpan:
    """Stands where nothing is traced."""

    def note(self, name: str, value: Value) -> None:
        """Forgets it."""

    def fail(self, error: str) -> None:
        """Forgets it."""


class _Recorded:
    """A span of the SDK."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def note(self, name: str, value: Value) -> None:
        """Adds an attribute."""
        self._span.set_attribute(name, value)

    def fail(self, error: str) -> None:
        """Sets the status, and `error.type`."""
        from opentelemetry.trace import StatusCode

        self._span.set_attribute("error.type", error)
        self._span.set_status(StatusCode.ERROR)


NO_SPAN: Final[Spanning] = _NoSpan()
_connected: Tracer | None = None


def connect(provider: TracerProvider) -> None:
    """From now on this provider traces."""
    global _connected
    _connected = provider.get_tracer(SCOPE)


def disconnect() -> None:
    """Nothing is traced any more."""
    global _connected
    _connected = None


def is_on() -> bool:
    """Whether anything is traced."""
    return _connected is not None


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
    answers: tuple[type[Exception], ...] = (),
    began: int | None = None,
) -> Iterator[Spanning]:
    """A span as long as the block. What is raised fails it, unless it is one of the `answers`, and is raised on.

    parent: in place of the span around the block; a text that is no `traceparent` counts as none. links: what else it
    has to do with; at most 100 are kept. began: in nanoseconds of Unix time, where it began before the block.
    """
    if _connected is None:
        yield NO_SPAN
        return
    from opentelemetry.trace import use_span

    opened = _opened(_connected, name, kind, attributes, parent, links, began)
    recorded = _Recorded(opened)
    try:
        with use_span(opened, record_exception=False, set_status_on_exception=False):
            yield recorded
    except Exception as error:  # whatever ends the work is noted on its span, and goes on
        if not isinstance(error, answers):
            recorded.fail(type(error).__name__)
        raise
    finally:
        opened.end()


def current() -> str | None:
    """The span around the caller as `traceparent`; None where there is none."""
    if _connected is None:
        return None
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def of_command(command_id: str) -> str | None:
    """The root of a command's trace, whoever asks and whenever. None for an id that is not of our form (a UUID)."""
    import hashlib
    import uuid

    try:
        identifier = uuid.UUID(command_id)
    except ValueError:
        return None
    root = hashlib.blake2b(identifier.bytes, digest_size=8).hexdigest()
    return f"00-{identifier.hex}-{root}-01"


def is_traceparent(text: object) -> TypeIs[str]:
    """Whether this can be a parent or a link (W3C Trace Context, version 00)."""
    return isinstance(text, str) and re.fullmatch(_TRACEPARENT, text) is not None


def _opened(
    tracer: Tracer,
    name: str,
    kind: Kind,
    attributes: Attributes | None,
    parent: str | None,
    links: Iterable[str],
    began: int | None,
) -> Span:
    from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, set_span_in_context

    outer = set_span_in_context(NonRecordingSpan(_context(parent))) if is_traceparent(parent) else None
    return tracer.start_span(
        name,
        context=outer,
        kind=SpanKind[kind.upper()],
        attributes=attributes,
        start_time=began,
        links=[Link(_context(text)) for text in dict.fromkeys(links) if is_traceparent(text)][:MOST_LINKS],
        record_exception=False,
        set_status_on_exception=False,
    )


def _context(traceparent: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
