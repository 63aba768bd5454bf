"""Requests to REST services as spans, through azure-core's own pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core import AsyncPipelineClient
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.policies import AsyncRetryPolicy
from azure.core.rest import HttpRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanKind, StatusCode
from support.measuring import Traced, id_of, measured, parent_of, tracing_on

from shared import telemetry, tracing
from shared.adapters.request_spans import RequestSpans

URL = "https://dps.example/enrollments/dev-1?api-version=1&sig=c2VjcmV0"


class Transport:
    """A network that gives one answer after the other."""

    def __init__(self, *answers: int | Exception) -> None:
        self._answers = list(answers)

    async def __aenter__(self) -> Transport:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def close(self) -> None:
        return

    async def sleep(self, _seconds: float) -> None:
        return

    async def send(self, request: HttpRequest, **_options: Any) -> Any:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status_code=answer, headers={}, request=request)


@pytest.fixture
def traced() -> Iterator[Traced]:
    with tracing_on() as traced:
        yield traced


async def send(*answers: int | Exception) -> Any:
    transport: Any = Transport(*answers)
    policies = [AsyncRetryPolicy(retry_total=1, retry_on_status_codes=[500]), RequestSpans()]
    client: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
        "https://dps.example", transport=transport, policies=policies
    )
    return await client.send_request(HttpRequest("GET", URL))


async def test_a_request_is_a_span_without_its_query_and_a_duration(traced: Traced):
    reader = InMemoryMetricReader()
    telemetry.connect(MeterProvider([reader]))
    try:
        with tracing.span("around"):
            await send(200)
    finally:
        telemetry.disconnect()
    span = traced.one("GET")
    assert span.kind is SpanKind.CLIENT
    assert parent_of(span) == id_of(traced.one("around"))
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.full": "https://dps.example/enrollments/dev-1",
        "server.address": "dps.example",
        "server.port": 443,
        "http.response.status_code": 200,
    }
    [(_, labels)] = measured(reader)["http.client.request.duration"]
    assert labels == {"http.request.method": "GET", "server.address": "dps.example", "http.response.status_code": 200}


@pytest.mark.parametrize(
    ("status", "is_failure"), [(200, False), (404, False), (412, False), (400, True), (403, True), (429, True)]
)
async def test_what_is_not_there_or_has_changed_is_an_answer(traced: Traced, status: int, is_failure: bool):
    await send(status, status)  # the second is for a retry
    assert (traced.named("GET")[0].status.status_code is StatusCode.ERROR) == is_failure


async def test_each_attempt_is_a_span_of_its_own(traced: Traced):
    await send(500, 200)
    assert [(s.attributes or {})["http.response.status_code"] for s in traced.named("GET")] == [500, 200]


async def test_a_request_without_an_answer_says_why(traced: Traced):
    with pytest.raises(ServiceRequestError):
        await send(ServiceRequestError("refused"), ServiceRequestError("refused"))
    assert {(span.attributes or {})["error.type"] for span in traced.named("GET")} == {"ServiceRequestError"}


async def test_where_nothing_is_traced_requests_pass():
    assert (await send(200)).status_code == 200
