"""Traces and metrics by OpenTelemetry's API alone: without an SDK that is configured, every call is a no-op.

The names of all instruments stand here, so that dashboards and alert rules have one place to look them up.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.trace import Tracer

SCOPE: Final = "fleetcert"

EVENTS_RECEIVED: Final = "fleetcert.events.received"
SWEEP_EXAMINED: Final = "fleetcert.sweep.examined"
SWEEP_LAG: Final = "fleetcert.sweep.lag"


def tracer() -> Tracer:
    """The tracer of whichever provider is configured by now."""
    return trace.get_tracer(SCOPE)


def meter() -> Meter:
    """The meter of whichever provider is configured by now."""
    return metrics.get_meter(SCOPE)


def events_received() -> Counter:
    """Events taken from an event hub; attribute `hub`."""
    return meter().create_counter(EVENTS_RECEIVED, unit="{event}")


def sweep_examined() -> Counter:
    """Devices whose deadline had come."""
    return meter().create_counter(SWEEP_EXAMINED, unit="{device}")


def sweep_lag() -> Histogram:
    """How late the oldest deadline of a sweep was."""
    return meter().create_histogram(SWEEP_LAG, unit="s")
