"""What an operator can follow: functions and calls as spans, in Microsoft's own runtime, under the host's context."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanKind, StatusCode
from support.events import claim, twin_event
from support.feedback import answer
from support.measuring import Traced, id_of, links_of, measured, parent_of, trace_of, tracing_on

from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent, batch_metadata, bodies_datum
from fleetcert.local.functions_host.wire import metadata_datums, to_datum
from shared import telemetry
from shared.domain.envelope import Envelope
from shared.errors import InfrastructureFault

PROJECT = Path(__file__).parents[3]
TICK = to_datum({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False})
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HOST = f"00-{TRACE}-{SPAN}-01"


@pytest.fixture
def traced() -> Iterator[Traced]:
    with tracing_on() as traced:
        yield traced


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    telemetry.connect(MeterProvider([reader]))
    yield reader
    telemetry.disconnect()


async def deliver(app: Any, *envelopes: Envelope, **properties: str) -> Any:
    """One batch of partition 3 of the event hub `iot-events`. properties: of each event, beside its own."""
    events = [
        ReceivedEvent(
            body=envelope.body,
            sequence_number=envelope.sequence_number,
            offset=str(envelope.sequence_number),
            enqueued_at=envelope.enqueued_at,
            properties={**envelope.properties, **properties},
            system=envelope.system,
        )
        for envelope in envelopes
    ]
    partition = PartitionName("ns.servicebus.windows.net", "iot-events", "fleetcert", "3")
    inputs = {"events": bodies_datum(events, "BINARY")}
    return await app.invoke("record_hub_events", inputs, batch_metadata(partition, events))


def attributes(span: Any) -> dict[str, Any]:
    return dict(span.attributes)


def a_due_report(**changes: Any) -> Envelope:
    """A certificate in the middle of its renewal window."""
    begun = datetime.now(UTC) - timedelta(days=28)
    return twin_event({"certificate": claim(valid_from=begun, **changes)}, at=datetime.now(UTC))


async def test_an_invocation_is_a_span_below_the_hosts_own(fleet_app: Any, traced: Traced):
    outcome = await fleet_app.invoke("watch_fleet_health", {"timer": TICK}, caller=HOST)
    assert outcome.ok, outcome.error
    span = traced.one("watch_fleet_health")
    assert trace_of(span) == TRACE
    assert parent_of(span) not in (None, SPAN), "the host opens a span of its own"
    assert span.kind is SpanKind.INTERNAL, "a second server's span would count the request twice"
    noted = attributes(span)
    assert (noted["faas.trigger"], noted["faas.name"]) == ("timer", "fleetcert/watch_fleet_health")
    assert noted["faas.invocation_id"]
    assert set(traced.names_in(TRACE)) >= {"watch_fleet_health", "get fleet"}


async def test_every_function_is_traced(fleet_app: Any, traced: Traced, headers: Any):
    for name, function in fleet_app.functions.items():
        kind, argument = function.trigger["type"], function.trigger["name"]
        if kind == "timerTrigger":
            await fleet_app.invoke(name, {argument: TICK})
        elif kind == "queueTrigger":
            await fleet_app.invoke(name, {argument: to_datum("{}")}, metadata_datums({"Id": "m-1"}))
        elif kind == "httpTrigger":
            await fleet_app.call(name, headers=headers("Fleet.Read"))
        else:
            partition = PartitionName("ns", "hub", "$Default", "0")
            await fleet_app.invoke(name, {argument: bodies_datum([], "BINARY")}, batch_metadata(partition, []))
    assert {span.name for span in traced.spans} >= fleet_app.functions.keys()


async def test_a_twin_event_and_the_change_that_it_led_to_are_one_trace(fleet_app: Any, traced: Traced):
    outcome = await deliver(fleet_app, twin_event({"certificate": claim()}, at=datetime.now(UTC)))
    assert outcome.ok, outcome.error
    batch = traced.one("record_hub_events")
    written = [s for s in traced.named("transaction fleet") if attributes(s)["fleetcert.partition"] != "fleet"]
    assert {trace_of(span) for span in written} == {trace_of(batch)}
    assert parent_of(written[0]) == id_of(batch)
    noted = attributes(batch)
    assert noted["messaging.system"] == "eventhubs"
    assert noted["messaging.destination.name"] == "iot-events"
    assert noted["messaging.destination.partition.id"] == "3"
    assert noted["messaging.consumer.group.name"] == "%EVENTS_CONSUMER_GROUP%", "no setting gives it here"
    assert noted["fleetcert.events"] == 1
    told = traced.one("send topic.example")
    assert (told.kind, parent_of(told)) == (SpanKind.CLIENT, id_of(batch))


async def test_a_batch_is_linked_to_those_who_sent_its_events(fleet_app: Any, traced: Traced):
    await deliver(fleet_app, twin_event({"certificate": claim()}), traceparent=HOST)
    await deliver(fleet_app, twin_event({"certificate": claim()}, sequence=2), **{"Diagnostic-Id": HOST})
    await deliver(fleet_app, twin_event({"certificate": claim()}, sequence=3), traceparent="garbled")
    assert [links_of(span) for span in traced.named("record_hub_events")] == [{SPAN}, {SPAN}, set()]


async def test_from_deadline_to_renewal_is_one_trace_under_the_commands_id(fleet_app: Any, ports: Any, traced: Traced):
    assert (await deliver(fleet_app, a_due_report())).ok
    assert (await fleet_app.invoke("sweep_deadlines", {"timer": TICK})).ok
    [message] = ports.renewal_commands.messages
    sent = await fleet_app.invoke("send_renewal_command", {"message": to_datum(json.dumps(message))})
    assert sent.ok, sent.error
    assert len(ports.sender.sent) == 1
    ports.feedback.put(answer(message["commandId"], at=datetime.now(UTC)))
    assert (await fleet_app.invoke("drain_command_feedback", {"timer": TICK})).ok
    renewed = twin_event(
        {"certificate": claim(datetime.now(UTC), thumbprint="bb" * 32)}, version=3, sequence=9, at=datetime.now(UTC)
    )
    assert (await deliver(fleet_app, renewed)).ok

    trace = message["commandId"].replace("-", "")
    assert traced.names_in(trace) == [
        "renewalCommanded",
        "send renewal-commands",
        "send messages/devicebound",
        "commandSent",
        "commandAnswered",
        "certificateRenewed",
    ]
    works = ("sweep_deadlines", "send_renewal_command", "drain_command_feedback")
    invocations = [*(traced.one(name) for name in works), traced.named("record_hub_events")[-1]]
    sweep, send, drain, record = map(id_of, invocations)
    linked = {span.name: links_of(span) for span in traced.spans if trace_of(span) == trace}
    assert linked == {
        "renewalCommanded": {sweep},
        "send renewal-commands": {sweep},
        "send messages/devicebound": {send},
        "commandSent": {send},
        "commandAnswered": {drain},
        "certificateRenewed": {record},
    }
    assert links_of(invocations[1]) == {id_of(traced.one("send renewal-commands"))}, "by the queue's message"
    assert attributes(invocations[1])["fleetcert.command.id"] == message["commandId"]
    assert attributes(traced.one("send messages/devicebound"))["messaging.message.id"] == message["commandId"]


async def test_the_device_gets_no_context(fleet_app: Any, ports: Any, traced: Traced):
    await deliver(fleet_app, a_due_report())
    await fleet_app.invoke("sweep_deadlines", {"timer": TICK})
    await fleet_app.invoke(
        "send_renewal_command", {"message": to_datum(json.dumps(ports.renewal_commands.messages[0]))}
    )
    [(command, _)] = ports.sender.sent
    assert b"traceparent" not in command.to_json()


async def test_a_function_that_fails_says_by_what_and_is_counted(
    fleet_app: Any, ports: Any, traced: Traced, reader: InMemoryMetricReader
):
    ports.table.faults = [None, InfrastructureFault("table storage", "down")]  # the first commit stores the layout
    outcome = await deliver(fleet_app, twin_event({"certificate": claim()}))
    assert not outcome.ok
    failed, call = traced.one("record_hub_events"), traced.named("transaction fleet")[-1]
    assert failed.status.status_code is StatusCode.ERROR
    assert attributes(failed)["error.type"] == attributes(call)["error.type"] == "InfrastructureFault"
    found = measured(reader)
    labels = {"faas.name": "record_hub_events", "faas.trigger": "pubsub"}
    assert found["faas.errors"] == [(1, labels)]
    assert [a for _, a in found["faas.invoke_duration"]] == [labels]
    assert "InfrastructureFault" in {a.get("error.type") for _, a in found["db.client.operation.duration"]}


async def test_an_answer_is_on_the_span_and_only_our_own_failures_are_errors(
    fleet_app: Any, ports: Any, traced: Traced, headers: Any, environment: dict[str, str]
):
    assert (await fleet_app.call("show_device", device_id="dev-9", headers=headers("Fleet.Read"))).status == 404
    environment["RENEWAL_WINDOW"] = "a week"
    from shared import composition

    composition.app._services = None
    composition.app.__dict__.pop("settings", None)
    assert (await fleet_app.call("health")).status == 503
    shown, health = traced.one("show_device"), traced.one("health")
    noted = attributes(shown)
    assert (noted["http.response.status_code"], noted["http.request.method"]) == (404, "GET")
    assert (noted["http.route"], noted["url.path"]) == ("/api/devices/{deviceId}", "/api/show_device")
    assert noted["fleetcert.device.id"] == "dev-9"
    assert shown.status.status_code is StatusCode.UNSET
    assert (health.status.status_code, attributes(health)["error.type"]) == (StatusCode.ERROR, "503")


async def test_a_batch_that_comes_again_says_how_often(fleet_app: Any, traced: Traced):
    await fleet_app.invoke("watch_fleet_health", {"timer": TICK}, retries=3)
    assert attributes(traced.one("watch_fleet_health"))["fleetcert.retries"] == 3


def test_without_a_destination_an_invocation_imports_nothing_of_opentelemetry_and_starts_no_thread():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("untraced.py"))],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"ok": True, "opentelemetry": [], "threads": []}
