"""Ports that count: each hands on what it is given, and the numbers of `telemetry` grow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from shared import telemetry
from shared.contracts import RenewCertificate
from shared.domain.envelope import Envelope
from shared.errors import CommandRefused, Throttled
from shared.services.decisions import tell
from shared.services.ports import CommandSender, DeadLetters, Row, Table, Write


class CountedSender:
    """Counts the commands that IoT Hub took and those that it did not."""

    def __init__(self, sender: CommandSender) -> None:
        self._sender = sender

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        """See `CommandSender`."""
        try:
            await self._sender.send(command, expires)
        except Throttled:
            telemetry.note(telemetry.COMMANDS_REFUSED, 1, {"condition": "throttled"})
            raise
        except CommandRefused as refused:
            telemetry.note(telemetry.COMMANDS_REFUSED, 1, {"condition": refused.condition})
            raise
        telemetry.note(telemetry.COMMANDS_SENT, 1)


class CountedDeadLetters:
    """Counts what is kept."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters

    async def keep(self, envelope: Envelope, reason: str) -> None:
        """See `DeadLetters`."""
        await self._dead_letters.keep(envelope, reason)
        telemetry.note(telemetry.DEAD_LETTERS, 1, {"hub": envelope.hub})


class CountedTable:
    """Tells what the history gains: every change of a record leaves a row there, in the record's own transaction."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def get(self, partition: str, key: str) -> Row | None:
        """See `Table`."""
        return await self._table.get(partition, key)

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        """See `Table`."""
        return await self._table.get_many(partition, keys)

    def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        """See `Table`."""
        return self._table.scan(partition, low, high, limit)

    async def commit(self, partition: str, writes: Sequence[Write]) -> Mapping[str, str]:
        """See `Table`."""
        etags = await self._table.commit(partition, writes)
        tell(writes)
        return etags
