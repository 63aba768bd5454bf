"""Where telemetry goes, through OpenTelemetry's own SDK and exporters: a collector, the console, nowhere."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared import telemetry, tracing
from shared.adapters.exporting import export
from shared.logs import about
from shared.observing import begin_telemetry
from shared.settings import read_telemetry_settings

PROJECT = Path(__file__).parents[3]
KINDS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Collector:
    """An OTLP receiver over HTTP that keeps what it got."""

    def __init__(self) -> None:
        self.received: dict[str, list[Any]] = defaultdict(list)
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = KINDS[self.path]()
                message.ParseFromString(self.rfile.read(int(self.headers["Content-Length"])))
                collector.received[self.path].append(message)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def spans(self) -> list[Any]:
        return [
            s for m in self.received["/v1/traces"] for r in m.resource_spans for g in r.scope_spans for s in g.spans
        ]

    @property
    def metrics(self) -> dict[str, Any]:
        groups = [g for m in self.received["/v1/metrics"] for r in m.resource_metrics for g in r.scope_metrics]
        return {metric.name: metric for group in groups for metric in group.metrics}

    @property
    def lines(self) -> list[Any]:
        groups = [g for m in self.received["/v1/logs"] for r in m.resource_logs for g in r.scope_logs]
        return [line for group in groups for line in group.log_records]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    collector = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    yield collector
    collector.close()


def members(attributes: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in attributes}


def test_a_collector_gets_spans_metrics_and_lines_of_one_service(
    collector: Collector, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "azure.core")  # as the Functions worker has it
    settings = read_telemetry_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "WEBSITE_INSTANCE_ID": "i-1"})
    close = export(settings)
    ours, library = logging.getLogger("shared.tests"), logging.getLogger("azure.core")
    try:
        with tracing.span("work", attributes={"fleetcert.device.id": "dev-1"}):
            ours.info("renewed", extra=about(device_id="dev-1", reason="windowOpen"))
            ours.debug("thinking")
            library.info("chatter")
            library.warning("trouble")
            logging.getLogger("azure.monitor.opentelemetry").error("cannot export")
            ours.error("failed", exc_info=ValueError("torn"), extra=about(device_id="dev-1"))
        telemetry.note(telemetry.COMMANDS_SENT, 3)
    finally:
        close()
    [span] = collector.spans
    assert (span.name, members(span.attributes)) == ("work", {"fleetcert.device.id": "dev-1"})
    assert collector.metrics["fleetcert.commands.sent"].sum.data_points[0].as_int == 3
    lines = {line.body.string_value: line for line in collector.lines}
    assert lines.keys() == {"renewed", "trouble", "failed"}, "neither chatter nor what exporting says of itself"
    assert members(lines["renewed"].attributes) == {"fleetcert.device.id": "dev-1", "fleetcert.reason": "windowOpen"}
    assert {line.trace_id for line in lines.values()} == {span.trace_id}
    assert members(lines["failed"].attributes)["exception.type"] == "ValueError"
    resource = members(collector.received["/v1/traces"][0].resource_spans[0].resource.attributes)
    assert resource.items() >= {"service.name": "fleetcert", "faas.instance": "i-1", "cloud.provider": "azure"}.items()


def test_after_its_end_nothing_is_traced_and_nothing_handled(collector: Collector):
    handlers = logging.getLogger().handlers[:]
    export(read_telemetry_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}))()
    assert (tracing.is_on(), telemetry.is_on()) == (False, False)
    assert logging.getLogger().handlers == handlers
    assert [t.name for t in threading.enumerate() if "Otel" in t.name] == []


def run(program: str, **environment: str) -> list[str]:
    """The lines that a process prints."""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return (done.stdout + done.stderr).splitlines()


def test_the_console_is_a_destination():
    program = """
import os
from shared import tracing
from shared.observing import begin_telemetry
close = begin_telemetry(os.environ)
with tracing.span("seen on the console"):
    pass
close()
"""
    assert '    "name": "seen on the console",' in run(program, TELEMETRY_CONSOLE="on")


def test_microsofts_exporter_is_not_imported_before_it_has_something_to_send():
    program = """
import os, sys, threading
from shared.observing import begin_telemetry
begin_telemetry(os.environ)
print("opentelemetry.sdk.trace" in sys.modules, "azure.monitor.opentelemetry.exporter" in sys.modules)
sys.stdout.flush()
os._exit(0)
"""
    connection = f"InstrumentationKey={'0' * 8}-0000-0000-0000-{'0' * 12};IngestionEndpoint=https://127.0.0.1:9"
    assert run(program, APPLICATIONINSIGHTS_CONNECTION_STRING=connection) == ["True False"]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"APPLICATIONINSIGHTS_CONNECTION_STRING": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_SDK_DISABLED": "true"},
        {"TELEMETRY_CONSOLE": "off"},
    ],
)
def test_without_a_destination_there_is_nothing_to_end(environment: dict[str, str]):
    assert begin_telemetry(environment) is None
    assert not tracing.is_on()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "AccountKey=c2VjcmV0;Endpoint=x"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("TELEMETRY_CONSOLE", "perhaps"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_a_wrong_setting_is_named_stops_nobody_and_stays_out_of_the_log(setting: str, value: str, caplog: Any):
    assert begin_telemetry({setting: value}) is None
    assert not tracing.is_on()
    assert setting in caplog.text
    assert value not in caplog.text


def test_lines_are_json_where_the_setting_says_so():
    program = """
import logging, os
from shared import tracing
from shared.observing import begin_telemetry
from shared.logs import about
begin_telemetry(os.environ)
logging.getLogger("shared.x").info("renewed %s", "dev-1", extra=about(device_id="dev-1", reason="say \\"so\\"\\n now"))
try:
    raise ValueError("torn")
except ValueError:
    logging.getLogger("functions.x").exception("failed")
"""
    [renewed, failed] = map(json.loads, run(program, LOG_FORMAT="json"))
    assert renewed.pop("time").endswith("+00:00")
    assert renewed == {
        "level": "INFO",
        "logger": "shared.x",
        "message": "renewed dev-1",
        "fleetcert.device.id": "dev-1",
        "fleetcert.reason": 'say "so"\n now',
    }
    assert "ValueError: torn" in failed["exception"]
