"""The ingestion endpoint as Microsoft's own exporter meets it, and as the documented protocol has it."""

from __future__ import annotations

import gzip
import json
import logging
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.identity import ManagedIdentityCredential
from azure.monitor.opentelemetry.exporter import (
    AzureMonitorLogExporter,
    AzureMonitorMetricExporter,
    AzureMonitorTraceExporter,
)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import SpanKind
from support.insights import QUIET, base, measured, operation, received


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def options(azure: dict[str, Any], credential: ManagedIdentityCredential) -> dict[str, Any]:
    """What the exporters are made with in Azure."""
    connection = azure["applicationinsights_connection_string"]
    return {"connection_string": connection, "credential": credential, "disable_offline_storage": True}


@pytest.fixture
def url(azure: dict[str, Any]) -> str:
    return f"{members(azure)['IngestionEndpoint']}/v2.1/track"


@pytest.fixture
def authorized(credential: ManagedIdentityCredential) -> Iterator[httpx.Client]:
    token = credential.get_token("https://monitor.azure.com/.default").token
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as client:
        yield client


def members(azure: dict[str, Any]) -> dict[str, str]:
    pairs = azure["applicationinsights_connection_string"].split(";")
    return dict(pair.split("=", 1) for pair in pairs)


def a_message(azure: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "name": "Microsoft.ApplicationInsights.Message",
        "time": "2026-11-23T12:00:00.000000Z",
        "iKey": members(azure)["InstrumentationKey"],
        "data": {"baseType": "MessageData", "baseData": {"message": str(uuid.uuid4())}},
        **changes,
    }


def text(item: Any) -> str:
    return str(item["data"]["baseData"]["message"])


def logged(azure: dict[str, Any]) -> set[str]:
    return {text(item) for item in received(azure, "MessageData")}


def test_spans_of_the_real_exporter_are_in_the_log_under_their_trace(azure: dict[str, Any], options: dict[str, Any]):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(AzureMonitorTraceExporter(**options)))
    tracer = provider.get_tracer("tests")
    with (
        tracer.start_as_current_span("outer", kind=SpanKind.SERVER),
        tracer.start_as_current_span("inner", attributes={"fleetcert.device.id": "dev-1"}) as inner,
    ):
        trace = f"{inner.get_span_context().trace_id:032x}"
    found = {base(item)["name"]: item for item in received(azure) if operation(item) == trace}
    assert {name: item["data"]["baseType"] for name, item in found.items()} == {
        "outer": "RequestData",
        "inner": "RemoteDependencyData",
    }
    assert base(found["inner"])["properties"]["fleetcert.device.id"] == "dev-1"
    assert found["inner"]["tags"]["ai.operation.parentId"] == base(found["outer"])["id"]


def test_metrics_of_the_real_exporter_are_in_the_log(azure: dict[str, Any], options: dict[str, Any]):
    name = f"tests.{uuid.uuid4()}"
    provider = MeterProvider([PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options))])
    provider.get_meter("tests").create_counter(name).add(7, {"kind": "x"})
    provider.shutdown()
    assert [m for m in measured(received(azure, "MetricData")) if m[0] == name] == [(name, 7, {"kind": "x"})]


def test_logs_of_the_real_exporter_are_in_the_log(azure: dict[str, Any], options: dict[str, Any]):
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(AzureMonitorLogExporter(**options)))
    message = str(uuid.uuid4())
    provider.get_logger("tests").emit(body=message, attributes={"fleetcert.reason": "windowOpen"})
    [found] = [item for item in received(azure, "MessageData") if text(item) == message]
    assert base(found)["properties"]["fleetcert.reason"] == "windowOpen"


def test_without_a_token_nothing_is_taken(azure: dict[str, Any], options: dict[str, Any], caplog: Any):
    exporter = AzureMonitorTraceExporter(**{**options, "credential": None})
    provider = TracerProvider()
    span = provider.get_tracer("tests").start_span("stranger")
    span.end()
    with caplog.at_level(logging.ERROR):
        assert exporter.export([span]) is SpanExportResult.FAILURE
    assert "entra ID authentication" in caplog.text
    assert not [item for item in received(azure, "RemoteDependencyData") if base(item)["name"] == "stranger"]


def test_a_token_for_another_service_is_refused(options: dict[str, Any], credential: ManagedIdentityCredential):
    class Other:
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            return credential.get_token("https://iothubs.azure.net/.default")

    exporter = AzureMonitorTraceExporter(**{**options, "credential": Other()})
    span = TracerProvider().get_tracer("tests").start_span("stranger")
    span.end()
    assert exporter.export([span]) is SpanExportResult.FAILURE


def test_zipped_lines_are_taken_as_other_sdks_send_them(azure: dict[str, Any], url: str, authorized: httpx.Client):
    items = [a_message(azure), a_message(azure)]
    body = gzip.compress("\n".join(map(json.dumps, items)).encode())
    headers = {"Content-Type": "application/x-json-stream", "Content-Encoding": "gzip"}
    answer = authorized.post(url, content=body, headers=headers)
    assert (answer.status_code, answer.json()["itemsAccepted"]) == (200, 2)
    assert {text(item) for item in items} <= logged(azure)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"iKey": str(uuid.uuid4())}, "Invalid instrumentation key"),
    ({"time": "yesterday"}, "no instant"),
    ({"time": "2026-11-23T12:00:00"}, "no offset"),
    ({"name": ""}, "missing or empty: name"),
    ({"data": {"baseType": "MessageData", "baseData": {}}}, "message is missing"),
    ({"data": {"baseType": "MetricData", "baseData": {"metrics": [{"name": "m"}]}}}, "a metric has a name"),
    ({"data": {"baseType": "Gossip", "baseData": {}}}, "'Gossip' is none of"),
    ({"data": {"baseType": "RemoteDependencyData", "baseData": {"name": "n", "id": "1"}}}, "id or duration"),
    ({"data": {"baseType": "MessageData", "baseData": {"message": "m", "properties": {"n": 1}}}}, "property 'n'"),
    ({"data": {"baseType": "MessageData", "baseData": {"message": "m" * 70_000}}}, "larger than 64 KB"),
    ({"tags": {"ai.operation.id": "x"}}, "no trace id"),
]


@pytest.mark.parametrize(("changes", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_an_item_that_is_wrong_is_named_and_the_others_are_taken(
    azure: dict[str, Any], url: str, authorized: httpx.Client, changes: dict[str, Any], problem: str
):
    good = a_message(azure)
    answer = authorized.post(url, json=[good, a_message(azure, **changes)])
    assert answer.status_code == 206
    [error] = answer.json()["errors"]
    assert (error["index"], error["statusCode"]) == (1, 400)
    assert problem in error["message"]
    assert text(good) in logged(azure)


def test_a_request_with_nothing_right_in_it_is_a_bad_request(azure: dict[str, Any], url: str, authorized: httpx.Client):
    assert authorized.post(url, json=[a_message(azure, iKey="other")]).status_code == 400
    assert authorized.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert authorized.post(url, content=b"[]", headers={"Content-Type": "text/plain"}).status_code == 400
