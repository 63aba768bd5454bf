"""Traces and metrics by OpenTelemetry's API alone: without an SDK that is configured, every call is a no-op.

All metrics stand here, so that dashboards and alert rules have one place to look them up; `docs/operations.md` lists
them, and a test compares. Attributes have few values: a device id, a certificate or a text is never one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.metrics import _Gauge as Gauge
from opentelemetry.trace import Tracer

SCOPE: Final = "fleetcert"
OTHER: Final = "other"
"""Stands for a value that is none of the known ones."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, its kind, its unit (UCUM) and the attributes that it may carry."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    attributes: tuple[str, ...] = ()


EVENTS_RECEIVED: Final = Metric(
    "fleetcert.events.received", "counter", "{event}", "Events taken from an event hub", ("hub",)
)
RECORDING_LAG: Final = Metric(
    "fleetcert.recording.lag",
    "histogram",
    "s",
    "Age of the oldest event of a batch when its processing began",
    ("hub",),
)
EVENTS_WAITING: Final = Metric(
    "fleetcert.events.waiting", "gauge", "{event}", "Events behind the checkpoints of an event hub", ("hub",)
)
RECORDED_CHANGES: Final = Metric(
    "fleetcert.recorded.changes", "counter", "{change}", "Changes written to the history", ("kind",)
)
DEAD_LETTERS: Final = Metric(
    "fleetcert.dead_letters", "counter", "{event}", "Events that became dead letters", ("hub",)
)
DEAD_LETTERS_WAITING: Final = Metric(
    "fleetcert.dead_letters.waiting", "gauge", "{event}", "Dead letters in the container, at most the counting limit"
)
POISON_WAITING: Final = Metric(
    "fleetcert.poison.waiting", "gauge", "{message}", "Messages in a poison queue", ("queue",)
)
SWEEP_EXAMINED: Final = Metric("fleetcert.sweep.examined", "counter", "{device}", "Devices whose deadline had come")
SWEEP_ACTED: Final = Metric("fleetcert.sweep.acted", "counter", "{device}", "Devices that a sweep commanded to renew")
SWEEP_SKIPPED: Final = Metric(
    "fleetcert.sweep.skipped", "counter", "{device}", "Devices examined and not commanded", ("reason",)
)
SWEEP_AT_CAPACITY: Final = Metric(
    "fleetcert.sweep.at_capacity", "counter", "{device}", "Devices whose command waits because the budget is used up"
)
SWEEP_LAG: Final = Metric("fleetcert.sweep.lag", "histogram", "s", "How late the oldest deadline of a sweep was")
SWEEP_AGE: Final = Metric(
    "fleetcert.sweep.age", "gauge", "s", "Time since the last sweep that succeeded: the heartbeat to alert on"
)
COMMANDS_SENT: Final = Metric("fleetcert.commands.sent", "counter", "{command}", "Commands that IoT Hub took")
COMMANDS_REFUSED: Final = Metric(
    "fleetcert.commands.refused", "counter", "{command}", "Commands that IoT Hub did not take", ("condition",)
)
COMMANDS_EXPIRED: Final = Metric(
    "fleetcert.commands.expired", "counter", "{command}", "Commands that ended unheard, as feedback tells", ("outcome",)
)
DIGESTS: Final = Metric(
    "fleetcert.alerts.digests", "counter", "{digest}", "Digests in place of alerts", ("alert.type",)
)
SUPPRESSED_ALERTS: Final = Metric(
    "fleetcert.alerts.suppressed", "counter", "{alert}", "Alerts that a suppression kept back", ("alert.type",)
)

METRICS: Final = (
    EVENTS_RECEIVED,
    RECORDING_LAG,
    EVENTS_WAITING,
    RECORDED_CHANGES,
    DEAD_LETTERS,
    DEAD_LETTERS_WAITING,
    POISON_WAITING,
    SWEEP_EXAMINED,
    SWEEP_ACTED,
    SWEEP_SKIPPED,
    SWEEP_AT_CAPACITY,
    SWEEP_LAG,
    SWEEP_AGE,
    COMMANDS_SENT,
    COMMANDS_REFUSED,
    COMMANDS_EXPIRED,
    DIGESTS,
    SUPPRESSED_ALERTS,
)


@cache
def tracer() -> Tracer:
    """Spans; of a provider that is configured later, too."""
    return trace.get_tracer(SCOPE)


@cache
def meter() -> Meter:
    """Instruments; of a provider that is configured later, too."""
    return metrics.get_meter(SCOPE)


def note(metric: Metric, value: float, attributes: Mapping[str, str] | None = None) -> None:
    """Adds to a counter, records in a histogram, or sets a gauge."""
    match instrument(metric):
        case Counter() as counter:
            counter.add(value, attributes)
        case Histogram() as histogram:
            histogram.record(value, attributes)
        case gauge:
            gauge.set(value, attributes)


@cache
def instrument(metric: Metric) -> Counter | Histogram | Gauge:
    """What measures a metric. Each is made once: an SDK warns of doubles."""
    match metric.kind:
        case "counter":
            return meter().create_counter(metric.name, metric.unit, metric.description)
        case "histogram":
            return meter().create_histogram(metric.name, metric.unit, metric.description)
        case "gauge":
            return meter().create_gauge(metric.name, metric.unit, metric.description)
