"""Append blobs in memory: as strict as Azure's about positions, and able to fail at every step."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.errors import Conflict, InfrastructureFault
from shared.services.auditing import BlobEnd


@dataclass
class FakeAuditLog:
    """Blocks by blob name. after_append: raised once a block has been stored, as where an answer is lost."""

    blobs: dict[str, list[bytes]] = field(default_factory=dict)
    after_append: list[Exception | None] = field(default_factory=list)
    down: bool = False

    async def newest(self) -> list[str]:
        self._check()
        return sorted(self.blobs)[-2:]

    async def end_of(self, name: str, window: int) -> BlobEnd:
        self._check()
        content = b"".join(self.blobs[name])
        tail = content if len(content) <= window else content[-window:].partition(b"\n")[2]
        return BlobEnd(len(content), len(self.blobs[name]), tail)

    async def create(self, name: str) -> None:
        self._check()
        self.blobs.setdefault(name, [])

    async def append(self, name: str, position: int, block: bytes) -> None:
        self._check()
        if sum(map(len, self.blobs[name])) != position:
            raise Conflict(name)
        self.blobs[name].append(block)
        if self.after_append and (fault := self.after_append.pop(0)) is not None:
            raise fault

    def lines(self) -> list[bytes]:
        """Every line of all blobs, in the order of the chain."""
        return [line for name in sorted(self.blobs) for block in self.blobs[name] for line in block.splitlines()]

    def _check(self) -> None:
        if self.down:
            raise InfrastructureFault("audit", "down")
