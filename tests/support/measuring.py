"""What was measured and traced, as tests look at it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing

type Note = tuple[str, float, Mapping[str, object]]
type Point = tuple[float, dict[str, object]]


def measured(reader: InMemoryMetricReader) -> dict[str, list[Point]]:
    """The points by metric: value (or sum) and attributes."""
    data = reader.get_metrics_data()
    return {
        metric.name: [
            (getattr(p, "value", getattr(p, "sum", None)), dict(p.attributes or {})) for p in metric.data.data_points
        ]
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


@dataclass
class NotedMeters:
    """A provider of meters that writes every single value down: metric, value and attributes, in their order."""

    notes: list[Note] = field(default_factory=list)

    def get_meter(self, _name: str) -> NotedMeters:
        return self

    def create_counter(self, name: str, *_described: Any, **_options: Any) -> NotedInstrument:
        return NotedInstrument(name, self.notes)

    create_histogram = create_gauge = create_counter


@dataclass
class NotedInstrument:
    """One metric."""

    name: str
    notes: list[Note]

    def add(self, value: float, attributes: Mapping[str, object]) -> None:
        self.notes.append((self.name, value, attributes))

    record = set = add


class Traced:
    """The spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The one span of that name."""
        [span] = self.named(name)
        return span

    def names_in(self, trace_id: str) -> list[str]:
        """The names of a trace's spans, in the order in which they ended."""
        return [span.name for span in self.spans if trace_of(span) == trace_id]


def trace_of(span: ReadableSpan) -> str:
    """A span's trace, in hex."""
    return f"{span.get_span_context().trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    """A span's id, in hex."""
    return f"{span.get_span_context().span_id:016x}"


def parent_of(span: ReadableSpan) -> str | None:
    """The id of a span's parent, in hex."""
    return f"{span.parent.span_id:016x}" if span.parent else None


def links_of(span: ReadableSpan) -> set[str]:
    """The ids of the spans that a span is linked to, in hex."""
    return {f"{link.context.span_id:016x}" for link in span.links}


@contextmanager
def tracing_on() -> Iterator[Traced]:
    """Traces into memory as long as the block."""
    traced, provider = Traced(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(traced.exporter))
    tracing.connect(provider)
    try:
        yield traced
    finally:
        tracing.disconnect()
        provider.shutdown()
