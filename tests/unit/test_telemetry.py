"""Measuring through OpenTelemetry's own SDK; and not at all, until somebody asks for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from support.measuring import measured

from shared import labels, telemetry
from shared.domain.record import State

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    telemetry.connect(provider)
    yield reader
    telemetry.disconnect()
    provider.shutdown()


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
    attributes = {name: min(labels.known(name, metric.name) or {"x"}) for name in metric.attributes}
    telemetry.note(metric, 1, attributes)
    assert measured(reader) == {metric.name: [(1, attributes)]}


def test_a_value_that_nobody_knows_becomes_other(reader: InMemoryMetricReader):
    telemetry.note(telemetry.RECORDED_CHANGES, 1, {"kind": "dev-1 said hello"})
    assert measured(reader) == {"fleetcert.recorded.changes": [(1, {"kind": "other"})]}


def test_a_state_without_devices_is_reported_as_zero(reader: InMemoryMetricReader):
    telemetry.set_all(telemetry.CERTIFICATES, "state", {"overdue": 2})
    found = {attributes["state"]: value for value, attributes in measured(reader)["fleetcert.certificates"]}
    assert found == {state.value: 2 if state is State.OVERDUE else 0 for state in State if state is not State.RETIRED}


def test_counters_begin_at_zero_for_all_that_is_known_or_configured(reader: InMemoryMetricReader):
    telemetry.begin_at_zero({"hub": ["iot-events", "dps-events"]})
    found = measured(reader)
    assert found["fleetcert.commands.sent"] == [(0, {})]
    assert found["fleetcert.dead_letters"] == [(0, {"hub": "iot-events"}), (0, {"hub": "dps-events"})]
    assert {a["kind"] for _, a in found["fleetcert.recorded.changes"]} == labels.known("kind")
    assert all(value == 0 for points in found.values() for value, _ in points)
    counters = {metric.name for metric in telemetry.METRICS if metric.kind == "counter"}
    assert found.keys() == counters - {"faas.errors"}  # which functions there are, their first invocation tells


@pytest.mark.parametrize("attribute", sorted({name for metric in telemetry.METRICS for name in metric.attributes}))
def test_what_an_attribute_may_be_is_few(attribute: str):
    assert len(labels.known(attribute) or ()) <= 60


def test_nothing_is_noted_and_nothing_imported_until_it_is_asked_for():
    program = """
import sys
from shared import telemetry
telemetry.note(telemetry.EVENTS_RECEIVED, 1, {"hub": "h"})
telemetry.begin_at_zero({})
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
