"""What the real services ask of Azure, counted on doubles: for a renewal, for ticks that find nothing to do, and for
walks through the whole fleet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bench.app import ENVIRONMENT
from bench.cost_doubles import Counted, Counts, EmptyBacklog, NoInventories, PromptFeedback, SoundFleet
from bench.fleet import full_table, record_of, rows_of
from bench.traffic import certificate_body, envelope
from shared.composition.ports import Adapters
from shared.composition.services import Services, build_services
from shared.domain import keys
from shared.domain.envelope import Envelope
from shared.services.ports import Value
from shared.settings import Settings, read_settings
from tests.support.audit_log import FakeAuditLog
from tests.support.exports import FakeExports
from tests.support.fakes import FakeAlerts, FakeDeadLetters, FakeHub, FakeProvisioning, FakeQueue, FakeSender
from tests.support.paged_table import PagedTable

type MakesTable = Callable[[int, int, datetime], PagedTable]

SETTINGS: Final[Settings] = read_settings(ENVIRONMENT | {"RECONCILE_QUERIES_PER_MINUTE": "60000"})
"""The defaults, but for a throttle that no bench waits for: it is time that a walk takes, and no request."""
RENEWED: Final = 20
"""Devices in a counted wave: no more than one tick commands, and no more than are told one by one."""
METERS: Final[Mapping[str, str]] = {
    "table": "table transactions",
    "queue": "queue operations",
    "blob.append": "appends to the audit",
    "blob.read": "reads and lists of blobs",
    "alert": "alerts published",
    "c2d": "cloud-to-device messages",
    "hub.query": "pages of the hub's query",
    "dps": "operations of DPS",
}
"""What is counted."""


async def _prune(services: Services) -> None:
    """As `functions/history.py` does."""
    await services.pruning.prune()
    await services.idempotency.prune()
    await services.exports.prune()


async def _look(services: Services) -> None:
    """As `functions/fleet_health.py`, `operations_sweep.py` and `containment_watch.py` do."""
    await services.watching.health.look()
    await services.operations.revive()
    await services.containment_watch.look()


TIMERS: Final[Mapping[str, Callable[[Services], Awaitable[object]]]] = {
    "AUDIT_SCHEDULE": lambda services: services.auditing.append(),
    "FEEDBACK_SCHEDULE": lambda services: services.feedback.drain(),
    "HEALTH_SCHEDULE": _look,
    "INVENTORY_SCHEDULE": lambda services: services.inventories.step(),
    "ISSUERS_SCHEDULE": lambda services: services.watching.issuers.poll(),
    "PRUNE_SCHEDULE": _prune,
    "RECONCILE_SCHEDULE": lambda services: services.reconciling.step(),
    "ROTATION_SCHEDULE": lambda services: services.rotation.step(),
    "SNAPSHOT_SCHEDULE": lambda services: services.watching.snapshots.run(),
    "STRANGERS_SCHEDULE": lambda services: services.strangers.tell(),
    "SWEEP_SCHEDULE": lambda services: services.sweeps.sweep(),
}
"""What each timer calls, by the setting of its schedule."""
WALKS: Final[Mapping[str, tuple[tuple[int, int], MakesTable | None]]] = {
    "SNAPSHOT_SCHEDULE": ((32_000, 48_000), full_table),
    "RECONCILE_SCHEDULE": ((1_000, 2_000), None),
    "PRUNE_SCHEDULE": ((32_000, 48_000), full_table),
}
"""The timers that walk through the fleet, and two sizes that tell a fixed part from each device's: large ones where no
record is read.
"""


@dataclass(slots=True)
class Work:
    """The services over counted doubles. table: counts by itself."""

    services: Services
    table: PagedTable
    counts: Counts
    commands: FakeQueue
    sender: FakeSender

    def taken(self) -> Counts:
        """What was counted since the last call."""
        counted = Counter(self.counts)
        counted["table"] += self.table.reset().requests
        self.counts.clear()
        return counted


async def work_over(devices: int, due: int, now: datetime, make: MakesTable | None = None) -> Work:
    """The app over a fleet of so many devices, so many of them due. make: another table than one of whole records."""
    counts: Counts = Counter()
    table, commands, sender = (make or _table)(devices, due, now), FakeQueue(), FakeSender()
    fleet, append, read = SoundFleet(devices - due, now - timedelta(days=1)), "blob.append", "blob.read"
    audit = {"newest": read, "end_of": read, "create": append, "append": append}
    ports: dict[str, Any] = {
        "table": table,
        "alerts": Counted(FakeAlerts(), counts, {"publish": "alert"}),
        "renewal_commands": Counted(commands, counts, {"put": "queue"}),
        "containment": FakeQueue(),
        "operations": FakeQueue(),
        "exports": Counted(FakeExports(), counts, {"older_than": read}),
        "dead_letters": FakeDeadLetters(),
        "audit": Counted(FakeAuditLog(), counts, audit),
        "sender": Counted(sender, counts, {"send": "c2d"}),
        "hub": FakeHub(),
        "provisioning": FakeProvisioning(),
        "feedback": PromptFeedback(sender),
        "fleet_query": Counted(fleet, counts, {"page": "hub.query"}),
        "enrolled": Counted(fleet, counts, {"list": "dps", "registrations": "dps", "individuals": "dps"}),
        "inventories": Counted(NoInventories(), counts, {"pending": read}),
        "backlogs": [EmptyBacklog("dead-letters", "dead-letters", counts), *_poison_queues(counts)],
    }
    work = Work(await build_services(SETTINGS, Adapters(**ports)), table, counts, commands, sender)
    for tick in (*TIMERS.values(), *TIMERS.values()) if not due else ():  # what is done once is done now
        await tick(work.services)
    work.taken()
    return work


def _poison_queues(counts: Counts) -> list[EmptyBacklog]:
    return [EmptyBacklog(queue, "poison", counts) for queue in ("renewal-commands", "containment", "operations")]


async def renewals() -> tuple[Counts, float]:
    """What the renewals of `RENEWED` devices take, each with its command, its feedback, its event and its audit; and
    the bytes of the history that they leave.
    """
    now = datetime.now(UTC)
    work = await work_over(1000, RENEWED, now)
    await work.services.deadlines.sweep()
    for message in work.commands.messages:
        await work.services.commands.send(message)
        work.counts["queue"] += 2  # the trigger takes the message and deletes it
    await work.services.feedback.drain()
    for number in range(RENEWED):
        await work.services.recording.record_hub_events([_renewed(number, now)])
    await work.services.auditing.append()
    if len(work.sender.sent) != RENEWED:
        raise RuntimeError(f"{len(work.sender.sent)} of {RENEWED} devices were commanded")
    return work.taken(), await _history_bytes(work.table)


async def noise() -> Counts:
    """What twin changes take that have nothing to do with certificates: ten of them."""
    work = await work_over(1000, 0, datetime.now(UTC))
    for number in range(10):
        await work.services.recording.record_hub_events([_noise(number)])
    return work.taken()


async def idle_ticks() -> dict[str, Counts]:
    """What a tick of each timer takes that finds nothing to do, by the setting of its schedule."""
    work = await work_over(1000, 0, datetime.now(UTC))
    found: dict[str, Counts] = {}
    for name, tick in TIMERS.items():
        await tick(work.services)
        found[name] = work.taken()
    return found


async def walk(name: str) -> tuple[dict[str, float], dict[str, float]]:
    """What a walk of a timer through a fleet in which nothing is wrong takes: in any case, and for each device."""
    sizes, make = WALKS[name]
    small, large = [await _walked(name, devices, make) for devices in sizes]
    each = {meter: (large[meter] - small[meter]) / (sizes[1] - sizes[0]) for meter in large}
    return {meter: small[meter] - sizes[0] * each[meter] for meter in large}, each


async def _walked(name: str, devices: int, make: MakesTable | None) -> Counts:
    work = await work_over(devices, 1, datetime.now(UTC), make)  # one is due, so that no walk was made before
    await TIMERS[name](work.services)
    return work.taken()


def device_bytes() -> float:
    """What a device's rows take in the table without its history."""
    rows = rows_of(record_of("device-0000000", datetime.now(UTC)))
    return float(sum(_row_bytes(key, values) for key, values in rows.items() if not key.startswith("history!")))


async def _history_bytes(table: PagedTable) -> float:
    """What all history rows take."""
    return sum(
        [
            _row_bytes(row.key, row.values)
            for shard in keys.shard_names(SETTINGS.shards)
            async for row in table.scan(shard, "history!", 'history"')
        ]
    )


def _row_bytes(key: str, values: Mapping[str, Value]) -> int:
    """Keys, names and values, text as UTF-16 (Azure docs: Understanding the Table service data model)."""
    cells = (8 + 2 * len(name) + (2 * len(v) if isinstance(v, str) else 8) for name, v in values.items())
    return 4 + 2 * (len("s00") + len(key)) + sum(cells)


def _table(devices: int, due: int, now: datetime) -> PagedTable:
    """Whole records: those that are due were issued 26 days ago, the others yesterday."""
    rows: dict[str, list[tuple[str, Mapping[str, Value]]]] = defaultdict(list)
    fresh = [record_of(f"device-{number:07}", now - timedelta(days=1)) for number in range(devices - due)]
    old = [replace(record_of(f"due-{n:05}", now - timedelta(days=26)), next_deadline=now) for n in range(due)]
    for bare in (*fresh, *old):
        record = replace(bare, enrollment_group="fleet", issues_certificates=True, twin_version=3)
        rows[keys.shard_of(record.device_id, SETTINGS.shards)].extend(rows_of(record).items())
    table = PagedTable()
    for partition, entries in rows.items():
        table.put_in_bulk(partition, entries)
    return table


def _renewed(number: int, now: datetime) -> Envelope:
    return envelope(f"due-{number:05}", number, now, version=3)


def _noise(number: int) -> Envelope:
    at = datetime.now(UTC)
    seen = envelope(f"device-{number:07}", number, at, version=3)
    body = certificate_body(number, at).replace(b'"certificate"', b'"firmware"')
    return Envelope(
        hub=seen.hub,
        partition=seen.partition,
        sequence_number=number,
        enqueued_at=at,
        body=body,
        properties=seen.properties,
        system=seen.system,
    )
