"""What the deployed app is made of, as Microsoft's runtime indexes it, and its triggers that no person calls."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.connections import connected, connection_event
from support.events import claim, dps_event, dps_record, hub_event, twin_event
from support.feedback import answer

from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent, batch_metadata, bodies_datum
from fleetcert.local.functions_host.wire import metadata_datums, to_datum
from shared import composition
from shared.domain.envelope import Envelope
from shared.domain.keys import device_key, shard_of
from shared.domain.operations import OperationState
from shared.domain.record import Actor
from shared.domain.selecting import Selector
from shared.errors import InfrastructureFault
from shared.schemas.routes import ROUTES

EVENT_HUB_TRIGGERS = {
    "record_hub_events": ("%IOT_EVENTS%", "IotEvents"),
    "record_dps_events": ("%DPS_EVENTS%", "DpsEvents"),
    "record_connection_events": ("%CONNECTION_EVENTS%", "ConnectionEvents"),
}
QUEUE_TRIGGERS = {
    "send_renewal_command": "%RENEWAL_COMMANDS%",
    "contain_device": "%CONTAINMENT%",
    "step_operation": "%OPERATIONS%",
}
TIMERS = {
    "sweep_deadlines": "SWEEP",
    "append_audit": "AUDIT",
    "prune_history": "PRUNE",
    "reconcile_fleet": "RECONCILE",
    "import_inventories": "INVENTORY",
    "drain_command_feedback": "FEEDBACK",
    "watch_issuers": "ISSUERS",
    "watch_fleet_health": "HEALTH",
    "revive_operations": "HEALTH",
    "watch_containments": "HEALTH",
    "take_snapshot": "SNAPSHOT",
    "follow_rotation": "ROTATION",
    "tell_strangers": "STRANGERS",
}
HTTP_TRIGGERS = {route.name: route.path for route in ROUTES} | {"nothing_here": "{*path}"}
TICK = to_datum({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False})


def received(envelope: Envelope) -> ReceivedEvent:
    """The event as the host reads it from the event hub."""
    return ReceivedEvent(
        body=envelope.body,
        sequence_number=envelope.sequence_number,
        offset=str(envelope.sequence_number * 10),
        enqueued_at=envelope.enqueued_at,
        properties=envelope.properties,
        system=envelope.system,
    )


async def deliver(app: Any, function: str, *envelopes: Envelope) -> Any:
    """One batch of partition 3, as Azure's host hands it over."""
    events = [received(envelope) for envelope in envelopes]
    partition = PartitionName("ns.servicebus.windows.net", "hub", "$Default", "3")
    inputs = {"events": bodies_datum(events, "BINARY")}
    return await app.invoke(function, inputs, batch_metadata(partition, events))


def record_of(ports: Any, device_id: str) -> dict[str, Any]:
    row = ports.table.rows[shard_of(device_id, 32), device_key(device_id)]
    document: dict[str, Any] = json.loads(row.values["record"])
    return document


def restarted() -> None:
    """The app reads its settings anew."""
    composition.app._services = None
    composition.app.__dict__.pop("settings", None)


def test_the_app_is_these_functions_and_no_others(loaded: Any):
    assert loaded.functions.keys() == {*EVENT_HUB_TRIGGERS, *QUEUE_TRIGGERS, *HTTP_TRIGGERS, *TIMERS}


@pytest.mark.parametrize("name", EVENT_HUB_TRIGGERS)
def test_event_triggers_take_binary_batches_and_retry_for_ever(loaded: Any, name: str):
    function = loaded.functions[name]
    hub, connection = EVENT_HUB_TRIGGERS[name]
    assert function.trigger["eventHubName"] == hub
    assert function.trigger["connection"] == connection
    assert function.trigger["consumerGroup"] == "%EVENTS_CONSUMER_GROUP%"
    assert function.trigger["cardinality"] == "MANY"
    assert function.trigger["dataType"] == "BINARY"
    assert function.retry is not None
    assert (function.retry.fixed, function.retry.max_retries) == (False, -1)
    assert (function.retry.minimum, function.retry.maximum) == (timedelta(seconds=2), timedelta(minutes=5))


@pytest.mark.parametrize("name", QUEUE_TRIGGERS)
def test_queue_triggers_read_the_fleets_own_storage(loaded: Any, name: str):
    trigger = loaded.functions[name].trigger
    assert trigger["queueName"] == QUEUE_TRIGGERS[name]
    assert trigger["connection"] == "FleetStorage"


async def test_a_message_steps_an_operation_until_it_is_done(fleet_app: Any, ports: Any):
    ports.hub.add("dev-1")
    services = await composition.app.services()
    begun = await services.bulk.start("disable", Selector(ids=("dev-1",)), Actor(name="ann"), "recall")
    for queue, name in ((ports.operations, "step_operation"), (ports.containment, "contain_device")) * 2:
        outcome = await fleet_app.invoke(name, {"message": to_datum(json.dumps(queue.messages[-1]))}, {})
        assert outcome.ok, outcome.error
    done = await services.operations.show(begun.id)
    assert (done.state, done.done) == (OperationState.DONE, 1)
    assert ports.hub.identities["dev-1"].status == "disabled"


@pytest.mark.parametrize("name", TIMERS)
def test_a_timers_schedule_is_a_setting(loaded: Any, name: str):
    assert loaded.functions[name].trigger["schedule"] == f"%{TIMERS[name]}_SCHEDULE%"


@pytest.mark.parametrize("name", HTTP_TRIGGERS)
def test_http_triggers_leave_methods_and_callers_to_the_app(loaded: Any, name: str):
    trigger = loaded.functions[name].trigger
    assert trigger["route"] == HTTP_TRIGGERS[name]
    assert trigger["authLevel"] == "ANONYMOUS"
    assert not trigger.get("methods")


async def test_a_twin_change_becomes_a_record(fleet_app: Any, ports: Any):
    outcome = await deliver(fleet_app, "record_hub_events", twin_event({"certificate": claim()}))
    assert outcome.ok, outcome.error
    assert record_of(ports, "dev-1")["certificate"]["thumbprint"] == "aa" * 32


async def test_the_hosts_naive_times_are_read_as_utc(fleet_app: Any, ports: Any):
    at = datetime(2026, 11, 23, 12, 0, 30, tzinfo=UTC)
    await deliver(fleet_app, "record_hub_events", twin_event({"certificate": claim()}, at=at))
    assert record_of(ports, "dev-1")["certificate"]["first_seen"] == "2026-11-23T12:00:30Z"


async def test_every_event_of_a_batch_keeps_its_own_properties(fleet_app: Any, ports: Any):
    events = [twin_event({"certificate": claim()}, device_id=f"dev-{n}", sequence=n) for n in range(1, 4)]
    assert (await deliver(fleet_app, "record_hub_events", *events)).ok
    assert {record_of(ports, f"dev-{n}")["device_id"] for n in range(1, 4)} == {"dev-1", "dev-2", "dev-3"}


async def test_every_event_of_a_batch_keeps_its_own_source(fleet_app: Any, ports: Any):
    other = hub_event(b"{}", "deviceConnectionStateEvents", "deviceConnected", sequence=1)
    assert (await deliver(fleet_app, "record_hub_events", other, twin_event({"certificate": claim()}, sequence=2))).ok
    assert record_of(ports, "dev-1")["certificate"]


async def test_a_bad_event_becomes_a_dead_letter_at_its_place_and_the_batch_goes_on(fleet_app: Any, ports: Any):
    bad = hub_event(b'{"certificate": ', "twinChangeEvents", "updateTwin", sequence=7)
    outcome = await deliver(fleet_app, "record_hub_events", bad, twin_event({"certificate": claim()}, sequence=8))
    assert outcome.ok, outcome.error
    assert list(ports.dead_letters.kept) == ["iot-events/3/7"]
    assert record_of(ports, "dev-1")


async def test_a_fault_fails_the_batch_so_that_the_retry_policy_holds_it(fleet_app: Any, ports: Any):
    ports.table.faults = [None, InfrastructureFault("table storage", "down")]  # the first commit stores the layout
    outcome = await deliver(fleet_app, "record_hub_events", twin_event({"certificate": claim()}))
    assert not outcome.ok
    assert "table storage" in str(outcome.error)


async def test_a_registration_in_the_dps_log_makes_the_device_known(fleet_app: Any, ports: Any):
    outcome = await deliver(fleet_app, "record_dps_events", dps_event({"records": [dps_record()]}))
    assert outcome.ok, outcome.error


async def test_a_message_that_is_no_command_fails_and_goes_to_the_poison_queue(fleet_app: Any):
    metadata = metadata_datums({"Id": "m-1", "DequeueCount": 1, "PopReceipt": "p"})
    for name in QUEUE_TRIGGERS:
        assert not (await fleet_app.invoke(name, {"message": to_datum("not json")}, metadata)).ok
        assert not (await fleet_app.invoke(name, {"message": to_datum("{}")}, metadata)).ok


async def test_a_command_that_is_no_longer_wanted_is_done_with(fleet_app: Any, ports: Any):
    message = json.dumps({"deviceId": "dev-1", "commandId": "c-1"})
    outcome = await fleet_app.invoke("send_renewal_command", {"message": to_datum(message)}, {})
    assert outcome.ok, outcome.error
    assert ports.sender.sent == []


@pytest.mark.parametrize("name", TIMERS)
async def test_a_tick_does_its_work(fleet_app: Any, name: str):
    outcome = await fleet_app.invoke(name, {"timer": TICK}, {})
    assert outcome.ok, outcome.error


async def test_what_was_recorded_is_appended_to_the_audit_at_the_next_tick(fleet_app: Any, ports: Any):
    await deliver(fleet_app, "record_hub_events", twin_event({"certificate": claim()}))
    await fleet_app.invoke("append_audit", {"timer": TICK}, {})
    assert [json.loads(line)["entry"]["eventId"] for line in ports.audit.lines()] == ["iot-events/3/1"]
    assert ports.table.keys("audit!") == []


async def test_a_bad_connection_event_becomes_a_dead_letter(fleet_app: Any, ports: Any):
    outcome = await deliver(fleet_app, "record_connection_events", connection_event(order=9, body=b"garbled"))
    assert outcome.ok, outcome.error
    assert list(ports.dead_letters.kept) == ["connection-events/3/9"]


async def test_everybodys_connections_are_kept_where_the_setting_says_so(
    fleet_app: Any, ports: Any, environment: dict[str, str]
):
    await deliver(fleet_app, "record_connection_events", connected(1))
    assert ports.table.keys("seen!") == []
    environment["CONNECTION_STATE"] = "all"
    restarted()
    await deliver(fleet_app, "record_connection_events", connected(2))
    assert ports.table.keys("seen!") == ["seen!dev-1"]


async def test_feedback_is_left_alone_where_the_setting_says_so(
    fleet_app: Any, ports: Any, environment: dict[str, str]
):
    environment["FEEDBACK"] = "off"
    ports.feedback.put(answer())
    assert (await fleet_app.invoke("drain_command_feedback", {"timer": TICK}, {})).ok
    assert ports.feedback.deliveries == {}


async def test_a_wrong_setting_fails_the_triggers_and_names_itself(fleet_app: Any, environment: dict[str, str]):
    environment["RENEWAL_WINDOW"] = "a week"
    outcome = await deliver(fleet_app, "record_hub_events", twin_event({"certificate": claim()}))
    assert not outcome.ok
    assert "RENEWAL_WINDOW" in str(outcome.error)
