"""A month's bill from counted work, dated prices and stated assumptions. Pure: nothing is measured here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from croniter import croniter

from shared.domain.policy import RenewalPolicy

PRICES: Final = Path(__file__).parent / "prices.json"
TUNED: Final = Path(__file__).parents[1] / "infra/settings.json"
RULES: Final = Path(__file__).parents[1] / "infra/alert-rules.json"
DAYS: Final = 30.4
HOURS: Final = 730
SECONDS: Final = DAYS * 86_400
LEASE_SECONDS: Final = 10
"""How often the Event Hubs extension renews its lease of a partition, which is a blob (Azure docs: event processor)."""
RETENTION: Final = timedelta(days=400)
"""`HISTORY_RETENTION`."""
POLL_SECONDS: Final = 2
"""`maxPollingInterval` of host.json, while an instance of a queue's function lives."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices, free grants and assumptions, as of a day."""

    date: str
    region: str
    prices: Mapping[str, float]
    free: Mapping[str, float]
    assumptions: Mapping[str, float]

    @classmethod
    def read(cls, file: Path = PRICES) -> Tariff:
        """From a parameter file."""
        document = json.loads(file.read_text())
        return cls(*(document[name] for name in ("date", "region", "prices", "free", "assumptions")))

    def without_foreign_twin_changes(self) -> Tariff:
        """Where the route lets only changes of certificates through."""
        return replace(self, assumptions={**self.assumptions, "twinChangesPerDeviceAndDay": 0})


@dataclass(frozen=True, slots=True)
class Counted:
    """What the services were counted to ask for.

    renewal: for one device; ticks: for each timer that finds nothing; walk and walk_per_device: for one walk of a timer
    through the fleet, what it takes in any case and for each device. device_bytes: a device's rows in the table without
    its history; history_bytes: what a renewal adds to that.
    """

    renewal: Mapping[str, float]
    ticks: Mapping[str, Mapping[str, float]]
    walk: Mapping[str, Mapping[str, float]]
    walk_per_device: Mapping[str, Mapping[str, float]]
    device_bytes: float
    history_bytes: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the bill. quantity: in words."""

    name: str
    quantity: str
    dollars: float


@cache
def ticks_per_month(schedule: str) -> float:
    """How often an NCRONTAB schedule comes in a month."""
    begin = datetime(2026, 11, 23, tzinfo=UTC)
    ticks = croniter(schedule, begin - timedelta(seconds=1), second_at_beginning=True)
    count = 0
    while ticks.get_next(datetime) < begin + timedelta(days=1):
        count += 1
    return count * DAYS


def renewals_per_month(days: float) -> float:
    """How often a device renews: in the middle of the part of the window over which devices are spread."""
    policy, life = RenewalPolicy(), timedelta(days=days)
    window = min(policy.window, life * float(policy.share))
    return DAYS / ((life - window + window / 8) / timedelta(days=1))


class Month:
    """A month of a fleet."""

    def __init__(self, devices: int, counted: Counted, tariff: Tariff) -> None:
        self._devices, self._counted, self._tariff = devices, counted, tariff
        self._assumed = tariff.assumptions
        self.renewals = devices * renewals_per_month(self._assumed["certificateDays"])
        self.ticks = {name: ticks_per_month(text) for name, text in _tuned().items() if name.endswith("_SCHEDULE")}

    def work(self) -> Mapping[str, float]:
        """What is asked of each meter."""
        total: dict[str, float] = defaultdict(float)
        _add(total, self._counted.renewal, self.renewals)
        for name, counts in self._counted.ticks.items():
            _add(total, counts, self.ticks[name])
        for name, times in self._walks().items():
            _add(total, self._counted.walk[name], times)
            _add(total, self._counted.walk_per_device[name], times * self._devices)
        return total

    def lines(self) -> list[Line]:
        """The bill."""
        work = self.work()
        return [
            self._event_hubs(),
            *self._functions(),
            self._logs(),
            self._alert_rules(),
            self._iot_hub(work),
            self._dps(work),
            self._event_grid(work),
            self._table(work),
            self._queues_and_blobs(work),
        ]

    def _walks(self) -> dict[str, float]:
        return {"SNAPSHOT_SCHEDULE": HOURS, "RECONCILE_SCHEDULE": DAYS, "PRUNE_SCHEDULE": DAYS}

    @property
    def _streams(self) -> tuple[float, float, float]:
        """Events of a month in each event hub: twin changes, connection events, registrations."""
        each = self._devices * DAYS
        twins = each * self._assumed["twinChangesPerDeviceAndDay"] + self.renewals
        return twins, each * self._assumed["connectionEventsPerDeviceAndDay"], self.renewals

    def _batches(self, events: float) -> float:
        """Executions that take the events of a hub: those of a partition and a second, at most 100, are one."""
        per_second = events / SECONDS / self._assumed["partitionsPerHub"]
        return events / min(max(per_second, 1), 100)

    @property
    def _batched(self) -> float:
        return sum(self._batches(events) for events in self._streams)

    @property
    def _executions(self) -> float:
        return sum(self.ticks.values()) + self._batched + self.renewals

    def _event_hubs(self) -> Line:
        events = sum(self._streams)
        units = 2 + events / SECONDS // 1000
        hours = units * HOURS * self._price("eventHubThroughputUnitHour")
        ingress = events / 1e6 * self._price("eventHubIngressPerMillion")
        return Line("Event Hubs, two namespaces", f"{units:.0f} units, {_short(events)} events", hours + ingress)

    def _functions(self) -> list[Line]:
        seconds = self._assumed["secondsPerExecution"]
        most = self._assumed["partitionsPerHub"] * SECONDS  # a partition's batches come one after the other
        busy = sum(min(self._batches(events) * seconds, most) for events in self._streams)
        gigabytes = (busy + (self._executions - self._batched) * seconds) * self._assumed["memoryGigabytes"]
        paid = max(0, self._executions - self._free("functionExecutions"))
        paid_gigabytes = max(0, gigabytes - self._free("functionGigabyteSeconds"))
        return [
            Line(
                "Functions, executions",
                _short(self._executions),
                paid / 1e6 * self._price("functionExecutionsPerMillion"),
            ),
            Line(
                "Functions, time", f"{_short(gigabytes)} GB-s", paid_gigabytes * self._price("functionGigabyteSecond")
            ),
        ]

    def _logs(self) -> Line:
        gigabytes = self._executions * self._assumed["logBytesPerExecution"] / 1e9
        return Line(
            "Log Analytics",
            f"{gigabytes:,.1f} GB",
            max(0, gigabytes - self._free("logGigabytes")) * self._price("logGigabyte"),
        )

    def _alert_rules(self) -> Line:
        every = [rule["every"] for rule in json.loads(RULES.read_text())]
        quick = every.count("PT5M")
        dollars = quick * self._price("alertRuleEvery5Minutes") + (len(every) - quick) * self._price("alertRuleSlower")
        return Line("Alert rules", f"{len(every)}", dollars)

    def _iot_hub(self, work: Mapping[str, float]) -> Line:
        """Commands, reports of certificates, and the twins that reconciliation reads, as messages."""
        read = self._devices * DAYS * self._assumed["twinBytes"] / self._assumed["hubMessageBytes"]
        messages = work["c2d"] + self.renewals + read
        units = messages / DAYS / self._assumed["hubMessagesPerUnitAndDay"]
        return Line(
            "IoT Hub, our part of its units", f"{_short(messages)} messages", units * self._price("iotHubUnitMonth")
        )

    def _dps(self, work: Mapping[str, float]) -> Line:
        operations = work["dps"] + self.renewals * self._assumed["dpsOperationsPerRenewal"]
        return Line("DPS", f"{_short(operations)} operations", operations / 1000 * self._price("dpsPer1k"))

    def _event_grid(self, work: Mapping[str, float]) -> Line:
        operations = work["alert"] * self._assumed["eventGridOperationsPerAlert"]
        paid = max(0, operations - self._free("eventGridOperations"))
        return Line("Event Grid", f"{_short(operations)} operations", paid / 1e6 * self._price("eventGridPerMillion"))

    def _table(self, work: Mapping[str, float]) -> Line:
        kept = RETENTION / timedelta(days=DAYS) * renewals_per_month(self._assumed["certificateDays"])
        each = self._counted.device_bytes + kept * self._counted.history_bytes
        gigabytes = self._devices * each / 1e9
        dollars = work["table"] / 1e4 * self._price("tablePer10k") + gigabytes * self._price("tableGigabyteMonth")
        return Line("Table storage", f"{_short(work['table'])} transactions, {gigabytes:,.2f} GB", dollars)

    def _queues_and_blobs(self, work: Mapping[str, float]) -> Line:
        polls = 2 * SECONDS / POLL_SECONDS
        leases = len(self._streams) * self._assumed["partitionsPerHub"] * SECONDS / LEASE_SECONDS
        writes = leases + self._batched + sum(self.ticks.values())
        dollars = (
            (work["queue"] + polls) / 1e4 * self._price("queuePer10k")
            + writes / 1e4 * self._price("blobWritePer10k")
            + work["blob.read"] / 1e4 * self._price("blobReadPer10k")
            + work["blob.append"] / 1e4 * self._price("auditAppendPer10k")
        )
        total = work["queue"] + polls + writes + work["blob.read"] + work["blob.append"]
        return Line("Queues, checkpoints, audit", f"{_short(total)} operations", dollars)

    def _price(self, name: str) -> float:
        return self._tariff.prices[name]

    def _free(self, name: str) -> float:
        return self._tariff.free[name]


def _tuned() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(TUNED.read_text())
    return document


def _add(total: dict[str, float], counts: Mapping[str, float], times: float) -> None:
    for meter, count in counts.items():
        total[meter] += count * times


def _short(number: float) -> str:
    """1,234 -> 1.2 k."""
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number:,.0f}"
