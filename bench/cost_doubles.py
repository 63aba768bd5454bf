"""Doubles behind the ports of a fleet in which nothing is wrong, and one that counts the calls of a port."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from bench.fleet import LIFETIME
from bench.traffic import HUB
from shared.contracts import format_instant
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.services.feedback import FeedbackBatch
from tests.support.fakes import FakeSender

type Counts = Counter[str]


class Counted:
    """Stands before a port and counts its calls, each as what Azure meters."""

    def __init__(self, port: Any, counts: Counts, meters: Mapping[str, str]) -> None:
        self._port, self._counts, self._meters = port, counts, meters

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._port, name)
        if name not in self._meters:
            return call

        async def counted(*arguments: Any) -> Any:
            self._counts[self._meters[name]] += len(arguments[0]) if name == "publish" else 1
            return await call(*arguments)

        return counted


@dataclass(frozen=True, slots=True)
class EmptyBacklog:
    """A container or a poison queue that is empty; to count it is one request."""

    name: str
    kind: Literal["dead-letters", "poison"]
    counts: Counts

    async def count(self) -> int:
        self.counts["blob.read" if self.kind == "dead-letters" else "queue"] += 1
        return 0


class SoundFleet:
    """The hub and DPS of a fleet in which nothing is wrong, as the bench's tables have it."""

    def __init__(self, devices: int, issued_at: datetime) -> None:
        self._ids = [f"device-{number:07}" for number in range(devices)]
        self._issued_at = issued_at

    async def count(self) -> int:
        return len(self._ids)

    async def page(self, continuation: str | None) -> tuple[list[dict[str, Any]], str | None]:
        ids, rest = self._cut(continuation)
        return [self._twin(device_id) for device_id in ids], rest

    async def registrations(self, group: str, continuation: str | None) -> tuple[list[Registration], str | None]:
        ids, rest = self._cut(continuation)
        return [Registration(registration_id=i, device_id=i, hub=HUB) for i in ids], rest

    async def individuals(self, continuation: str | None) -> tuple[Sequence[Registration], None]:
        return [], None

    def _cut(self, continuation: str | None) -> tuple[list[str], str | None]:
        start = int(continuation or 0)
        end = start + 1000
        return self._ids[start:end], str(end) if end < len(self._ids) else None

    def _twin(self, device_id: str) -> dict[str, Any]:
        claim = {
            "validFrom": format_instant(self._issued_at),
            "validUntil": format_instant(self._issued_at + LIFETIME),
            "thumbprint": "ab" * 32,
            "serialNumber": "1f" * 20,
            "issuer": "CN=local-adr-default-0c9a6d5e",
            "pem": None,
        }
        metadata = {"$lastUpdated": format_instant(self._issued_at)}
        reported = {"certificate": claim, "$metadata": metadata, "$version": 2}
        desired = {"$metadata": {}, "$version": 1}
        return {
            "deviceId": device_id,
            "status": "enabled",
            "version": 3,
            "tags": {},
            "properties": {"desired": desired, "reported": reported},
        }

    async def list(self) -> list[EnrollmentGroup]:
        return [EnrollmentGroup(id="fleet", attestation="x509", credential_policy="default")]


class NoInventories:
    """A container of inventories in which nothing waits."""

    async def pending(self) -> None:
        return None


class PromptFeedback:
    """The hub's feedback: one batch with the answer to every command that was sent."""

    def __init__(self, sender: FakeSender) -> None:
        self._sender = sender
        self._answered = 0

    async def receive(self) -> FeedbackBatch | None:
        fresh = self._sender.sent[self._answered :]
        self._answered = len(self._sender.sent)
        answers = [
            {
                "originalMessageId": command.command_id,
                "enqueuedTimeUtc": format_instant(datetime.now(UTC)),
                "statusCode": "Success",
                "deviceId": command.device_id,
            }
            for command, _ in fresh
        ]
        return FeedbackBatch("lock", json.dumps(answers).encode()) if answers else None

    async def complete(self, lock_token: str) -> None:
        """Taken note of."""

    async def abandon(self, lock_token: str) -> None:
        raise RuntimeError("a batch that is all ours was given back")
