"""How much of its own budget the back end uses while more devices are due than the hub's throttle lets through.

Three minutes against the emulated throttle of one S1 unit, with the sweep each minute as in Azure. 280 devices are due
at once; 20 more, with more time left, stand behind them in the queue and pass their escalation meanwhile. Counted: the
commands that IoT Hub took, the throttles after the first minute, and how late the escalations were told.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from azure.data.tables.aio import TableClient
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubProducerClient

from bench.local_azure import running_azure
from bench.results import Goal, Result
from bench.runner import Effort
from bench.traffic import amqp_members, certificate_body, message_annotations, properties
from shared.domain import reasons

DUE: Final = 280
ESCALATING: Final = 20
TICK: Final = timedelta(minutes=1)
_SWEEP: Final = "0 * * * * *"
_LONG: Final = timedelta(days=30)
_SHORT: Final = timedelta(days=9)
_HALF_A_WINDOW: Final = timedelta(days=3.5)
"""Of a certificate of 30 days: that long before its end it is overdue."""
_ESCALATES_AFTER: Final = timedelta(seconds=150)
_LATEST: Final = TICK + timedelta(seconds=5)
"""An escalation is on time where the next tick tells it, and a tick takes its time."""


@dataclass(slots=True)
class _Seen:
    """What the table showed. sent: when IoT Hub took a command. escalated: when it was told, by device."""

    sent: list[datetime] = field(default_factory=list)
    escalated: dict[str, datetime] = field(default_factory=dict)
    throttled: set[tuple[str, datetime]] = field(default_factory=set)


def measure(effort: Effort) -> Sequence[Result]:
    """The share of the budget that was used; one run."""
    minutes = effort.of(3, 1)
    with running_azure(THROTTLED="1", SWEEP_SCHEDULE=_SWEEP) as azure:
        seen, begin, escalates_at = asyncio.run(_observed(azure, minutes))
    settings = azure["settings"]
    budget = minutes * int(settings["C2D_PER_MINUTE"]) * float(settings["C2D_SHARE"])
    taken = sum(begin <= at < begin + minutes * TICK for at in seen.sent)
    late = [at - escalates_at for at in seen.escalated.values()]
    return [
        Result(
            name="pacing_budget_used",
            value=taken / budget,
            unit="of the budget",
            goal=Goal(">=", 0.95),
            also={
                "no 429 after the first minute": not any(at > begin + TICK for _, at in seen.throttled),
                "every escalation was told": len(late) == ESCALATING or minutes < 3,
                "escalations on time": max(late, default=timedelta()) <= _LATEST,
            },
            limit=f"{taken} of {budget:.0f} commands in {minutes} min; the latest escalation "
            f"{max(late, default=timedelta()).total_seconds():.0f} s after its instant, with a tick a minute",
        )
    ]


async def _observed(azure: Mapping[str, Any], minutes: int) -> tuple[_Seen, datetime, datetime]:
    """What was seen, when the first commands left, and when the last devices became overdue."""
    devices = [f"due-{n:03}" for n in range(DUE)] + [f"escalating-{n:02}" for n in range(ESCALATING)]
    await asyncio.to_thread(_create_identities, azure, devices)
    await _until_the_tick_is_far()
    now = datetime.now(UTC)
    escalates_at = now.replace(microsecond=0) + _ESCALATES_AFTER
    await _report(azure, devices, now, escalates_at)
    begin = now.replace(second=0, microsecond=0) + TICK
    seen = _Seen()
    async for rows in _looks(azure, begin + minutes * TICK + timedelta(seconds=10)):
        _read(rows, seen)
    return seen, begin, escalates_at


async def _until_the_tick_is_far() -> None:
    """All reports have to be recorded before the first sweep sees them."""
    second = datetime.now(UTC).second
    if not 2 <= second <= 35:
        await asyncio.sleep((62 - second) % 60)


async def _report(azure: Mapping[str, Any], devices: Sequence[str], now: datetime, escalates_at: datetime) -> None:
    """The devices report certificates that are in their window. Those due at once have less time left."""
    async with EventHubProducerClient.from_connection_string(
        azure["eventhub_connection_string"], eventhub_name=azure["settings"]["IOT_EVENTS"]
    ) as producer:
        for number, device_id in enumerate(devices):
            is_due = device_id.startswith("due")
            ends = now + timedelta(days=2.2) if is_due else escalates_at + _HALF_A_WINDOW
            lifetime = _SHORT if is_due else _LONG
            event = EventData(certificate_body(number, ends - lifetime, lifetime=lifetime, updated_at=now))
            event.properties = amqp_members(properties(device_id, now))
            event.raw_amqp_message.annotations = amqp_members(message_annotations(device_id))
            await producer.send_event(event, partition_key=device_id)


async def _looks(azure: Mapping[str, Any], until: datetime) -> AsyncIterator[list[Mapping[str, Any]]]:
    """All rows of the table, every two seconds."""
    connection, name = azure["storage_connection_string"], azure["settings"]["FLEET_TABLE"]
    async with TableClient.from_connection_string(connection, name) as table:
        while datetime.now(UTC) < until:
            started = time.monotonic()
            yield [row async for row in table.list_entities()]
            await asyncio.sleep(max(0.0, 2 - (time.monotonic() - started)))


def _read(rows: Sequence[Mapping[str, Any]], seen: _Seen) -> None:
    history = [row for row in rows if row["RowKey"].startswith("history!")]
    seen.sent = [row["at"] for row in history if row["kind"] == reasons.HISTORY_COMMAND_SENT]
    overdue = (row for row in history if row["kind"] == reasons.HISTORY_OVERDUE)
    seen.escalated = {row["deviceId"]: row["at"] for row in overdue if row["deviceId"].startswith("escalating")}
    waiting = (row for row in rows if row.get("reason") == reasons.COMMAND_THROTTLED)
    seen.throttled |= {(row["deviceId"], datetime.now(UTC)) for row in waiting}


def _create_identities(azure: Mapping[str, Any], devices: Sequence[str]) -> None:
    """A hundred at a time, as the registry takes them."""
    context = ssl.create_default_context(cafile=azure["ca_bundle"])
    with httpx.Client(verify=context, timeout=10) as http:
        asked = {"api-version": "2019-08-01", "resource": "https://iothubs.azure.net"}
        secret = {"X-IDENTITY-HEADER": azure["identity_header"]}
        token = http.get(azure["identity_endpoint"], params=asked, headers=secret).raise_for_status().json()
        for first in range(0, len(devices), 100):
            some = [
                {"id": device_id, "importMode": "create", "status": "enabled"}
                for device_id in devices[first : first + 100]
            ]
            http.post(
                f"https://{azure['iothub_hostname']}/devices",
                params={"api-version": "2021-04-12"},
                headers={"Authorization": f"Bearer {token['access_token']}"},
                json=some,
            ).raise_for_status()
