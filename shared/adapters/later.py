"""Exporters that are made when they have something to export for the first time, by the thread that exports.

Importing Microsoft's takes about 100 ms, which no invocation needs to wait for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class Later[T]:
    """Something that is made once, at its first use."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._making = threading.Lock()
        self._made: T | None = None

    def get(self) -> T:
        """It, made now if it was not before."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def made(self) -> T | None:
        """It, if it was ever used."""
        return self._made


class LaterSpans(SpanExporter):
    """For spans."""

    def __init__(self, make: Callable[[], SpanExporter]) -> None:
        self._later = Later(make)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`."""
        return self._later.get().export(spans)

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        if (made := self._later.made) is not None:
            made.shutdown()


class LaterLines(LogRecordExporter):
    """For lines of the log."""

    def __init__(self, make: Callable[[], LogRecordExporter]) -> None:
        self._later = Later(make)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """See `LogRecordExporter`."""
        return self._later.get().export(batch)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """See `LogRecordExporter`: nothing is kept back."""
        return True

    def shutdown(self) -> None:
        """See `LogRecordExporter`."""
        if (made := self._later.made) is not None:
            made.shutdown()


class LaterMetrics(MetricExporter):
    """For metrics. temporality: what the reader must know before there is an exporter to ask."""

    def __init__(
        self, make: Callable[[], MetricExporter], temporality: dict[type, AggregationTemporality] | None
    ) -> None:
        super().__init__(preferred_temporality=temporality)
        self._later = Later(make)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **options: Any) -> MetricExportResult:
        """See `MetricExporter`."""
        return self._later.get().export(metrics_data, timeout_millis, **options)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """See `MetricExporter`: nothing is kept back."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **options: Any) -> None:
        """See `MetricExporter`."""
        if (made := self._later.made) is not None:
            made.shutdown(timeout_millis, **options)
