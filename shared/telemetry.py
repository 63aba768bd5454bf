"""Metrics. Until a provider is connected nothing is measured, and nothing of OpenTelemetry is even imported.

All metrics stand here, so that dashboards and alert rules have one place to look them up; `docs/operations.md` lists
them with what to do, and a test compares. Attributes have few values (`shared.labels`).

A gauge's value is exported once for each time that it is set: whoever stops looking stops reporting, and no instance
repeats what it saw hours ago.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from shared import labels

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter, MeterProvider

SCOPE: Final = "fleetcert"

type Measure = Callable[[float, Mapping[str, str | int]], None]
type Attributes = Mapping[str, str | int]


class Metric(NamedTuple):
    """A metric's name, kind, unit (UCUM) and attributes. bounds: of a histogram's buckets; empty: the SDK's own."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""OpenTelemetry's semantic conventions: buckets of durations in seconds."""

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
SWEEP_LAST_SUCCESS: Final = Metric(
    "fleetcert.sweep.last_success", "gauge", "s", "Unix time at which the last sweep succeeded"
)
COMMANDS_SENT: Final = Metric("fleetcert.commands.sent", "counter", "{command}", "Commands that IoT Hub took")
COMMANDS_REFUSED: Final = Metric(
    "fleetcert.commands.refused", "counter", "{command}", "Commands that IoT Hub did not take", ("condition",)
)
COMMANDS_EXPIRED: Final = Metric(
    "fleetcert.commands.expired", "counter", "{command}", "Commands that ended unheard, as feedback tells", ("outcome",)
)
CERTIFICATES: Final = Metric(
    "fleetcert.certificates", "gauge", "{device}", "Devices by state, as the last snapshot counted them", ("state",)
)
EXPIRING: Final = Metric(
    "fleetcert.certificates.expiring",
    "gauge",
    "{device}",
    "Devices by the time that is left for their certificates, as the last snapshot counted them",
    ("within",),
)
EARLIEST_EXPIRY: Final = Metric(
    "fleetcert.certificates.earliest_expiry",
    "gauge",
    "s",
    "Unix time at which the next certificate in use ends, as of the last snapshot",
)
SNAPSHOT_TAKEN: Final = Metric(
    "fleetcert.snapshot.last_taken", "gauge", "s", "Unix time to which the last snapshot counts"
)
ISSUERS_EARLIEST_EXPIRY: Final = Metric(
    "fleetcert.issuers.earliest_expiry",
    "gauge",
    "s",
    "Unix time at which the first CA certificate in use ends",
    ("source",),
)
CONTAINMENT_DURATION: Final = Metric(
    "fleetcert.containment.duration",
    "histogram",
    "s",
    "From the request to shut a device out to the end of a step: hub, dps, disconnected",
    ("step",),
)
CONTAINMENT_IN_PROGRESS: Final = Metric(
    "fleetcert.containment.in_progress", "gauge", "{device}", "Devices that are being shut out and were not seen gone"
)
CONTAINMENT_UNVERIFIED: Final = Metric(
    "fleetcert.containment.unverified", "gauge", "{device}", "Devices whose block at DPS nobody has proven"
)
OPERATIONS_RUNNING: Final = Metric(
    "fleetcert.operations.running", "gauge", "{operation}", "Operations that have not been done with"
)
OPERATIONS_ENDED: Final = Metric(
    "fleetcert.operations.ended", "counter", "{operation}", "Operations that ended", ("kind", "state")
)
DIGESTS: Final = Metric(
    "fleetcert.alerts.digests", "counter", "{digest}", "Digests in place of alerts", ("alert.type",)
)
SUPPRESSED_ALERTS: Final = Metric(
    "fleetcert.alerts.suppressed", "counter", "{alert}", "Alerts that a suppression kept back", ("alert.type",)
)

INVOKE_DURATION: Final = Metric(
    "faas.invoke_duration",
    "histogram",
    "s",
    "How long an invocation of a function took",
    ("faas.name", "faas.trigger"),
    _DURATIONS,
)
FUNCTION_ERRORS: Final = Metric(
    "faas.errors", "counter", "{error}", "Invocations of functions that failed", ("faas.name", "faas.trigger")
)
TABLE_DURATION: Final = Metric(
    "db.client.operation.duration",
    "histogram",
    "s",
    "How long an operation of the fleet table took",
    ("db.system.name", "db.collection.name", "db.operation.name", "error.type"),
    _DURATIONS,
)
MESSAGING_DURATION: Final = Metric(
    "messaging.client.operation.duration",
    "histogram",
    "s",
    "How long it took to hand messages over",
    ("messaging.system", "messaging.destination.name", "messaging.operation.name", "error.type"),
    _DURATIONS,
)
REQUEST_DURATION: Final = Metric(
    "http.client.request.duration",
    "histogram",
    "s",
    "How long a request to a REST service took",
    ("http.request.method", "server.address", "http.response.status_code", "error.type"),
    _DURATIONS,
)
STORAGE_DURATION: Final = Metric(
    "fleetcert.storage.operation.duration",
    "histogram",
    "s",
    "How long an operation on blobs or on the size of a backlog took",
    ("port", "operation", "error.type"),
    _DURATIONS,
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
    SWEEP_LAST_SUCCESS,
    COMMANDS_SENT,
    COMMANDS_REFUSED,
    COMMANDS_EXPIRED,
    CERTIFICATES,
    EXPIRING,
    EARLIEST_EXPIRY,
    SNAPSHOT_TAKEN,
    ISSUERS_EARLIEST_EXPIRY,
    CONTAINMENT_DURATION,
    CONTAINMENT_IN_PROGRESS,
    CONTAINMENT_UNVERIFIED,
    OPERATIONS_RUNNING,
    OPERATIONS_ENDED,
    DIGESTS,
    SUPPRESSED_ALERTS,
    INVOKE_DURATION,
    FUNCTION_ERRORS,
    TABLE_DURATION,
    MESSAGING_DURATION,
    REQUEST_DURATION,
    STORAGE_DURATION,
)


class _Instruments:
    """What measures, each made at its first use: an SDK warns of doubles."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._made: dict[str, Measure] = {}

    def of(self, metric: Metric) -> Measure:
        """What takes a value of the metric."""
        if metric.name not in self._made:
            self._made[metric.name] = self._make(metric)
        return self._made[metric.name]

    def _make(self, metric: Metric) -> Measure:
        described = metric.name, metric.unit, metric.description
        match metric.kind:
            case "counter":
                return self._meter.create_counter(*described).add
            case "histogram":
                bounds = metric.bounds or None
                return self._meter.create_histogram(*described, explicit_bucket_boundaries_advisory=bounds).record
            case "gauge":
                return self._meter.create_gauge(*described).set


_connected: _Instruments | None = None


def connect(provider: MeterProvider) -> None:
    """From now on what is noted is measured by this provider."""
    global _connected
    _connected = _Instruments(provider.get_meter(SCOPE))


def disconnect() -> None:
    """Nothing is measured any more."""
    global _connected
    _connected = None


def is_on() -> bool:
    """Whether anything is measured: where it costs requests to find a value out, they are spared otherwise."""
    return _connected is not None


def note(metric: Metric, value: float, attributes: Attributes | None = None) -> None:
    """Adds to a counter, records in a histogram, or sets a gauge. An unknown value of an attribute becomes `other`."""
    if _connected is not None:
        _connected.of(metric)(value, {n: _bounded(metric, n, v) for n, v in (attributes or {}).items()})


def set_all(metric: Metric, attribute: str, values: Mapping[str, float]) -> None:
    """Sets a gauge for every known value of its attribute: what is not in `values` is reported as zero."""
    for value in labels.known(attribute, metric.name) or values:
        note(metric, values.get(value, 0), {attribute: value})


def begin_at_zero(configured: Mapping[str, Collection[str]]) -> None:
    """Reports every counter as zero, for every value of its attributes that is known or configured.

    A counter that nobody has heard of looks like one that cannot count. configured: values by attribute.
    """
    for metric in METRICS:
        values = [configured.get(name) or labels.known(name, metric.name) for name in metric.attributes]
        if metric.kind == "counter" and all(values):
            for combination in product(*(v for v in values if v)):
                note(metric, 0, dict(zip(metric.attributes, combination, strict=True)))


def _bounded(metric: Metric, attribute: str, value: str | int) -> str | int:
    known = labels.known(attribute, metric.name)
    return value if known is None or value in known else labels.OTHER
