"""OpenTelemetry's SDK and its exporters: Application Insights, OTLP over HTTP, the console; each where a setting asks.

The SDK is imported when this module is, at the app's first invocation. Microsoft's exporter, which takes as long again,
is imported by the thread that exports, when that has something to send for the first time. What cannot be delivered is
dropped after the exporter's retries and never written to a disk: what must not be lost stands in the table.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, ConsoleLogRecordExporter, LogRecordExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider, _Gauge
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ConsoleMetricExporter,
    MetricExporter,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from shared import logs, telemetry, tracing
from shared.adapters.later import LaterLines, LaterMetrics, LaterSpans
from shared.settings import TelemetrySettings

_DELTA: Final = AggregationTemporality.DELTA
ONCE: Final[dict[type, AggregationTemporality]] = {_Gauge: _DELTA}
"""A gauge is exported once for each time that it is set. The default repeats it until the process ends."""
CHANGES: Final[dict[type, AggregationTemporality]] = {**ONCE, Counter: _DELTA, Histogram: _DELTA}
"""As Microsoft's exporter wants it: rows in Application Insights are added up."""
_TALKS_TO_OTHERS: Final = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
    "APPLICATIONINSIGHTS_OPENTELEMETRY_RESOURCE_METRIC_DISABLED",
)
"""What Microsoft's exporter does beside: it reports on itself and asks for orders, at addresses that a private network
does not let through, and sends a row with each batch that nobody reads. It can be told in the environment alone."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where telemetry goes."""

    spans: SpanExporter
    metrics: MetricExporter
    logs: LogRecordExporter


def export(settings: TelemetrySettings) -> Callable[[], None]:
    """Sets the SDK up for every destination that is given. What it returns sends the rest and ends it all.

    Raises: ValueError for a connection string that nobody can use.
    """
    destinations, resource = list(_destinations(settings)), _resource(settings)
    traces, lines = TracerProvider(resource=resource), LoggerProvider(resource)
    for destination in destinations:
        traces.add_span_processor(BatchSpanProcessor(destination.spans))
        lines.add_log_record_processor(BatchLogRecordProcessor(destination.logs))
    meters = MeterProvider([PeriodicExportingMetricReader(d.metrics) for d in destinations], resource)
    trace.set_tracer_provider(traces)  # for the Azure SDKs, where AZURE_SDK_TRACING_ENABLED asks them for spans
    tracing.connect(traces)
    telemetry.connect(meters)
    handler = ExportedLines(lines)
    handler.attach()

    def close() -> None:
        logging.getLogger().removeHandler(handler)
        tracing.disconnect()
        telemetry.disconnect()
        for provider in (traces, meters, lines):
            provider.shutdown()

    return close


class ExportedLines(logging.Handler):
    """Hands lines to the SDK: ours from INFO on, those of libraries from WARNING on, none about exporting itself."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def attach(self) -> None:
        """Takes part in logging from now on."""
        logging.getLogger().addHandler(self)
        for name in logs.OURS:
            logging.getLogger(name).setLevel(logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        """One line, with its fields as attributes and in the trace that it belongs to."""
        if not (logs.is_ours(record.name) or record.levelno >= logging.WARNING) or _is_about_exporting(record):
            return
        from opentelemetry._logs import SeverityNumber

        self._provider.get_logger(record.name).emit(
            timestamp=int(record.created * 1e9),
            severity_number=SeverityNumber(max(1, min(24, record.levelno * 4 // 10 + 1))),
            severity_text=record.levelname,
            body=record.getMessage(),
            attributes=logs.fields_of(record),
            exception=record.exc_info[1] if record.exc_info else None,
        )


def _is_about_exporting(record: logging.LogRecord) -> bool:
    """Lines that an export gives rise to would give rise to the next export. The SDK names its threads so."""
    is_library = record.name.startswith(("opentelemetry", "azure.monitor"))
    return is_library or str(record.threadName).startswith("Otel")


def _destinations(settings: TelemetrySettings) -> Iterator[Destination]:
    if settings.connection:
        yield _application_insights(settings, settings.connection)
    if settings.otlp_endpoint:
        yield _otlp()
    if settings.console == "on":
        yield Destination(
            ConsoleSpanExporter(), ConsoleMetricExporter(preferred_temporality=CHANGES), ConsoleLogRecordExporter()
        )


def _otlp() -> Destination:
    """A collector, as OpenTelemetry's own `OTEL_EXPORTER_OTLP_*` describe it."""
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Destination(OTLPSpanExporter(), OTLPMetricExporter(preferred_temporality=ONCE), OTLPLogExporter())


def _application_insights(settings: TelemetrySettings, connection: str) -> Destination:
    """By identity where the settings say so, else by what the connection string holds."""
    if "instrumentationkey=" not in connection.lower():
        raise ValueError("APPLICATIONINSIGHTS_CONNECTION_STRING has no InstrumentationKey")
    for name in _TALKS_TO_OTHERS:
        os.environ.setdefault(name, "true")
    options: dict[str, Any] = {"connection_string": connection, "disable_offline_storage": True}

    def made(kind: str) -> Any:
        from azure.monitor.opentelemetry import exporter

        from shared.adapters.credential import blocking_credential

        managed = settings.identity_endpoint is not None
        by_identity = {"credential": blocking_credential(managed=managed, client_id=settings.client_id)}
        return getattr(exporter, kind)(**options, **(by_identity if settings.by_identity else {"credential": None}))

    return Destination(
        LaterSpans(lambda: made("AzureMonitorTraceExporter")),
        LaterMetrics(lambda: made("AzureMonitorMetricExporter"), CHANGES),
        LaterLines(lambda: made("AzureMonitorLogExporter")),
    )


def _resource(settings: TelemetrySettings) -> Resource:
    """Who reports; Application Insights shows the name as the role and the instance as the role's instance."""
    attributes: dict[str, str] = {"service.name": settings.name or settings.site}
    if settings.instance:
        attributes |= {
            "service.instance.id": settings.instance,
            "faas.instance": settings.instance,
            "cloud.provider": "azure",
            "cloud.platform": "azure.functions",
        }
    if settings.region:
        attributes["cloud.region"] = settings.region
    return Resource.create(attributes)
