"""Measuring through OpenTelemetry's own SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from shared import telemetry


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(telemetry, "meter", lambda: provider.get_meter(telemetry.SCOPE))
    telemetry.instrument.cache_clear()
    yield reader
    telemetry.instrument.cache_clear()
    provider.shutdown()


def measured(reader: InMemoryMetricReader) -> dict[str, list[tuple[object, object]]]:
    """The points by metric: value (or sum) and attributes."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        metric.name: [
            (getattr(p, "value", getattr(p, "sum", None)), dict(p.attributes or {})) for p in metric.data.data_points
        ]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_counters_add_up_histograms_record_and_gauges_hold_the_last_value(reader: InMemoryMetricReader):
    for value in (2, 3):
        telemetry.note(telemetry.EVENTS_RECEIVED, value, {"hub": "iot-events"})
        telemetry.note(telemetry.SWEEP_LAG, value)
        telemetry.note(telemetry.SWEEP_AGE, value)
    assert measured(reader) == {
        "fleetcert.events.received": [(5, {"hub": "iot-events"})],
        "fleetcert.sweep.lag": [(5, {})],
        "fleetcert.sweep.age": [(3, {})],
    }


@pytest.mark.parametrize("metric", telemetry.METRICS, ids=lambda metric: metric.name)
def test_every_metric_can_be_measured(reader: InMemoryMetricReader, metric: telemetry.Metric):
    telemetry.note(metric, 1, dict.fromkeys(metric.attributes, "x"))
    assert measured(reader) == {metric.name: [(1, dict.fromkeys(metric.attributes, "x"))]}
