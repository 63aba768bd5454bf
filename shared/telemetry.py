"""Traces and metrics by OpenTelemetry's API alone: without an SDK that is configured, every call is a no-op.

The names of all instruments stand here, so that dashboards and alert rules have one place to look them up.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from opentelemetry import metrics, trace
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.trace import Tracer

SCOPE: Final = "fleetcert"

EVENTS_RECEIVED: Final = "fleetcert.events.received"
SWEEP_EXAMINED: Final = "fleetcert.sweep.examined"
SWEEP_LAG: Final = "fleetcert.sweep.lag"


@cache
def tracer() -> Tracer:
    """Spans; of a provider that is configured later, too."""
    return trace.get_tracer(SCOPE)


@cache
def meter() -> Meter:
    """Instruments; of a provider that is configured later, too. Each is made once: an SDK warns of doubles."""
    return metrics.get_meter(SCOPE)


@cache
def events_received() -> Counter:
    """Events taken from an event hub; attribute `hub`."""
    return meter().create_counter(EVENTS_RECEIVED, unit="{event}")


@cache
def sweep_examined() -> Counter:
    """Devices whose deadline had come."""
    return meter().create_counter(SWEEP_EXAMINED, unit="{device}")


@cache
def sweep_lag() -> Histogram:
    """How late the oldest deadline of a sweep was."""
    return meter().create_histogram(SWEEP_LAG, unit="s")
