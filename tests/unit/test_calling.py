"""Calls of services as spans and durations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import pytest
from opentelemetry.trace import StatusCode
from support.measuring import Note, NotedMeters, Traced, id_of, links_of, parent_of, trace_of, tracing_on

from shared import telemetry, tracing
from shared.calling import Call, calling, observed, streaming
from shared.errors import Conflict, InfrastructureFault

COMMAND = "b5d0e1c2-7f0a-5d5e-9c55-0a4b3c2d1e0f"
CALL = Call("query fleet", telemetry.TABLE_DURATION, {"db.operation.name": "query", "fleetcert.partition": "s00"})


@pytest.fixture
def noted() -> Iterator[list[Note]]:
    meters = NotedMeters()
    telemetry.connect(cast(Any, meters))
    yield meters.notes
    telemetry.disconnect()


@pytest.fixture
def traced() -> Iterator[Traced]:
    with tracing_on() as traced:
        yield traced


async def items(count: int, fault: Exception | None = None) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    if fault:
        raise fault


def test_a_call_is_a_span_with_its_attributes_and_a_duration_with_those_that_the_metric_knows(
    traced: Traced, noted: list[Note]
):
    with calling(CALL):
        pass
    assert dict(traced.one("query fleet").attributes or {}) == CALL.attributes
    [(name, seconds, labels)] = noted
    assert (name, labels) == ("db.client.operation.duration", {"db.operation.name": "query"})
    assert 0 <= seconds < 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(Conflict("row"), StatusCode.UNSET), (InfrastructureFault("table", "down"), StatusCode.ERROR)],
)
def test_what_is_raised_is_named_and_a_conflict_is_an_answer(
    traced: Traced, noted: list[Note], error: Exception, status: StatusCode
):
    with pytest.raises(type(error)), calling(CALL):
        raise error
    assert traced.one("query fleet").status.status_code is status
    assert noted[0][2]["error.type"] == type(error).__name__


def test_a_call_in_another_trace_is_linked_to_its_caller(traced: Traced):
    with (
        tracing.span("caller"),
        calling(Call("send", telemetry.MESSAGING_DURATION, {}, parent=tracing.of_command(COMMAND))),
    ):
        pass
    sent = traced.one("send")
    assert trace_of(sent) == COMMAND.replace("-", "")
    assert links_of(sent) == {id_of(traced.one("caller"))}


async def test_what_is_streamed_is_a_span_afterwards_that_claims_none_of_its_readers(traced: Traced, noted: list[Note]):
    with tracing.span("caller"):
        async for _ in streaming(CALL, items(3)):
            with tracing.span("reader"):
                pass
    caller, stream = traced.one("caller"), traced.one("query fleet")
    assert {parent_of(span) for span in traced.named("reader")} == {parent_of(stream)} == {id_of(caller)}
    assert (stream.attributes or {})["db.response.returned_rows"] == 3
    assert (stream.start_time or 0) < (traced.named("reader")[0].start_time or 0)
    assert len(noted) == 1


async def test_a_look_that_finds_nothing_is_a_duration_alone(traced: Traced, noted: list[Note]):
    assert [item async for item in streaming(CALL, items(0))] == []
    assert traced.spans == []
    assert len(noted) == 1


async def test_a_stream_that_breaks_is_told_even_where_it_gave_nothing(traced: Traced, noted: list[Note]):
    with pytest.raises(InfrastructureFault):
        _ = [item async for item in streaming(CALL, items(0, InfrastructureFault("table", "down")))]
    assert (traced.one("query fleet").attributes or {})["error.type"] == "InfrastructureFault"
    assert noted[0][2]["error.type"] == "InfrastructureFault"


async def test_any_port_can_be_observed(traced: Traced, noted: list[Note]):
    class Port:
        name = "letters"

        async def keep(self, text: str) -> str:
            return text.upper()

        def listed(self, count: int) -> AsyncIterator[int]:
            return items(count)

        async def all(self) -> AsyncIterator[int]:
            async for item in items(2):
                yield item

    port = observed(Port(), "dead-letters", {"server.address": "x"})
    assert (port.name, await port.keep("a")) == ("letters", "A")
    assert [item async for item in port.all()] == [0, 1]
    assert [item async for item in port.listed(1)] == [0], "what is no method that waits passes"
    assert [span.name for span in traced.spans] == ["dead-letters keep", "dead-letters all"]
    assert [labels["operation"] for _, _, labels in noted] == ["keep", "all"]


async def test_where_nothing_is_connected_calls_pass():
    with calling(CALL) as span:
        span.note("fleetcert.rows", 1)
    assert [item async for item in streaming(CALL, items(2))] == [0, 1]
