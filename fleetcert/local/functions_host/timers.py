"""Timer triggers: occurrences in order, never two at once, and missed ones made up for by a single past-due run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from fleetcert.local.functions_host.connections import Connection
from fleetcert.local.functions_host.engine import Function
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.ncrontab import Ncrontab
from fleetcert.local.functions_host.settings import ConfigurationError
from fleetcert.local.functions_host.wire import json_datum

_CONTAINER = "azure-webjobs-hosts"
_MONITORED_FROM = timedelta(minutes=1)
NEVER = datetime.min.replace(tzinfo=UTC)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScheduleStatus:
    """When a timer ran, when it runs next, and when that was written down. All UTC."""

    last: datetime
    next: datetime
    updated: datetime

    @property
    def reference(self) -> datetime:
        """The instant after which an occurrence has not been served."""
        return self.updated if self.last == NEVER else self.last

    def to_json(self) -> dict[str, str]:
        """The three members as a function sees them."""
        return {
            "Last": self.last.isoformat(),
            "LastUpdated": self.updated.isoformat(),
            "Next": self.next.isoformat(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, str]) -> ScheduleStatus:
        """Raises: KeyError, ValueError."""
        parse = datetime.fromisoformat
        return cls(parse(content["Last"]), parse(content["Next"]), parse(content["LastUpdated"]))


class ScheduleMonitor(Protocol):
    """Remembers a timer's status across restarts."""

    async def load(self) -> ScheduleStatus | None:
        """None for a timer that was never seen."""

    async def save(self, status: ScheduleStatus) -> None:
        """Replaces the status."""


class BlobScheduleMonitor:
    """Keeps the status in the host's storage account, where the real host keeps it too."""

    def __init__(self, container: ContainerClient, function: str) -> None:
        self._blob = container.get_blob_client(f"timers/local/{function}/status")

    async def load(self) -> ScheduleStatus | None:
        """None for a timer that was never seen."""
        try:
            download = await self._blob.download_blob()
        except ResourceNotFoundError:
            return None
        return ScheduleStatus.from_json(json.loads(await download.readall()))

    async def save(self, status: ScheduleStatus) -> None:
        """Replaces the status."""
        await self._blob.upload_blob(json.dumps(status.to_json()), overwrite=True)


class NoMonitor:
    """Remembers nothing: what was missed while the host was down stays missed."""

    async def load(self) -> ScheduleStatus | None:
        """Always None."""
        return None

    async def save(self, status: ScheduleStatus) -> None:
        """Forgets it."""


class TimerListener:
    """One timer function on its schedule."""

    def __init__(self, function: Function, binding: Mapping[str, Any], invoker: Invoker, storage: Connection) -> None:
        """Raises: ConfigurationError."""
        self._function = function
        self._binding = binding
        self._invoker = invoker
        self._storage = storage
        self._one_at_a_time = asyncio.Lock()
        self._status: ScheduleStatus | None = None
        try:
            self._schedule = Ncrontab(binding["schedule"])
        except ValueError as error:
            raise ConfigurationError(str(error)) from error

    @property
    def is_monitored(self) -> bool:
        """Whether missed occurrences survive a restart: by default only for periods of a minute and more."""
        if self._schedule.is_shorter_than(_MONITORED_FROM, datetime.now(UTC)):
            return False
        return bool(self._binding.get("useMonitor", True))

    async def run(self) -> None:
        """Runs the schedule until it is cancelled or the host stops."""
        async with AsyncExitStack() as stack:
            monitor: ScheduleMonitor = NoMonitor()
            if self.is_monitored:
                container = await self._storage.container(stack, _CONTAINER)
                monitor = BlobScheduleMonitor(container, self._function.name)
            try:
                await self._follow(monitor)
            except Stopping:
                return

    async def run_now(self) -> None:
        """One run besides the schedule (the admin API). Raises: Stopping."""
        await self._fire(past_due=False)

    async def _follow(self, monitor: ScheduleMonitor) -> None:
        due, past_due = await self._catch_up(monitor), False
        while True:
            started = await self._wait_until(due)
            await self._fire(past_due=past_due)
            due = await self._note(monitor, started)
            past_due = due <= datetime.now(UTC)  # came due while this run was at work

    async def _catch_up(self, monitor: ScheduleMonitor) -> datetime:
        """Makes up for what was missed while the host was down; the next occurrence."""
        now = datetime.now(UTC)
        status = await monitor.load()
        missed = status is not None and self._schedule.next_after(status.reference) <= now
        self._status = status if self.is_monitored else None
        if missed or self._binding.get("runOnStartup"):
            await self._fire(past_due=missed)
            return await self._note(monitor, now)
        if status is None:
            return await self._note(monitor, NEVER)
        return self._schedule.next_after(now)

    async def _note(self, monitor: ScheduleMonitor, last: datetime) -> datetime:
        updated = datetime.now(UTC)
        status = ScheduleStatus(last, self._schedule.next_after(updated if last == NEVER else last), updated)
        try:
            await monitor.save(status)
        except AzureError as error:  # the run is done: an error here must not make it run again
            logger.warning("%s: the schedule's status was not saved: %s", self._function.name, error)
        self._status = status if self.is_monitored else None
        return status.next

    async def _fire(self, *, past_due: bool) -> None:
        async with self._one_at_a_time, self._invoker.work():
            payload = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": self._status.to_json() if self._status else None,
                "IsPastDue": past_due,
            }
            await self._invoker.with_retries(self._function, {self._binding["name"]: json_datum(payload)}, {})

    async def _wait_until(self, due: datetime) -> datetime:
        await asyncio.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))
        # The loop's clock may wake us a little early by the wall clock: that must not serve the same occurrence twice.
        return max(due, datetime.now(UTC))
