"""What was measured and traced, as tests look at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics.export import InMemoryMetricReader

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
