"""Asking the app for a pass of `reconcile`, and looking at how far it has come: both are rows of the fleet's table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from time import sleep
from typing import Final

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableClient

from shared.domain.keys import FLEET_PARTITION
from shared.domain.passes import CURSOR_KEY, REQUEST_KEY, Pass
from shared.errors import FleetcertError

LOOK_SECONDS: Final = 0.5


class NotReadable(FleetcertError):
    """The table cannot be used; the message says why."""


def ask_for_a_pass(table: TableClient) -> datetime:
    """Leaves a request, which the app answers at its next tick or when the present pass is done; the request's instant.

    Raises: NotReadable.
    """
    now = datetime.now(UTC)
    try:
        table.upsert_entity({"PartitionKey": FLEET_PARTITION, "RowKey": REQUEST_KEY, "requestedAt": now})
    except AzureError as problem:
        raise NotReadable(f"the request cannot be written: {problem.message}") from problem
    return now


def latest_pass(table: TableClient) -> Pass | None:
    """The pass that is under way, or the last one; None where there was none yet. Raises: NotReadable."""
    try:
        return Pass.from_values(table.get_entity(FLEET_PARTITION, CURSOR_KEY))
    except ResourceNotFoundError:
        return None
    except AzureError as problem:
        raise NotReadable(f"the pass cannot be read: {problem.message}") from problem


def is_asked_for(table: TableClient) -> bool:
    """Whether a request waits for its pass. Raises: NotReadable."""
    try:
        table.get_entity(FLEET_PARTITION, REQUEST_KEY)
    except ResourceNotFoundError:
        return False
    except AzureError as problem:
        raise NotReadable(f"the request cannot be read: {problem.message}") from problem
    return True


def followed(table: TableClient, interval: float = LOOK_SECONDS) -> Iterator[Pass | None]:
    """The pass again and again, every `interval` seconds, until none is under way and none is asked for.

    Raises: NotReadable.
    """
    while True:
        is_awaited = is_asked_for(table)  # first: the app takes the request away in the transaction that begins a pass
        latest = latest_pass(table)
        yield latest
        if not is_awaited and (latest is None or latest.finished_at is not None):
            return
        sleep(interval)
