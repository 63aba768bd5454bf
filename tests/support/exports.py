"""A container of exports in memory: files come into being when their blocks are put together."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shared.errors import NotFound
from shared.services.exporting import Piece


@dataclass
class FakeExports:
    """Remembers blocks and files; `faults` are raised by the next calls that write, one each. staged: every call's."""

    files: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, dict[str, bytes]] = field(default_factory=dict)
    staged: list[int] = field(default_factory=list)
    faults: list[Exception | None] = field(default_factory=list)
    made_at: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def place_of(self, name: str) -> str:
        return f"exports/{name}"

    async def stage(self, name: str, block: str, content: bytes) -> None:
        self._fail()
        known = self.blocks.setdefault(name, {})
        assert {len(other) for other in known} <= {len(block)}, "Azure refuses blocks whose names differ in length"
        known[block] = content
        self.staged.append(len(content))

    async def assemble(self, name: str, blocks: Sequence[str]) -> None:
        self._fail()
        self.files[name] = b"".join(self.blocks[name][block] for block in blocks)

    async def read(self, name: str, start: int, length: int) -> Piece:
        if name not in self.files:
            raise NotFound("file", name)
        content = self.files[name]
        return Piece(content[start : start + length], len(content), hashlib.sha256(content).hexdigest()[:8])

    async def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self.blocks.pop(name, None)

    async def older_than(self, instant: datetime, limit: int) -> list[str]:
        return sorted(self.files)[:limit] if self.made_at < instant else []

    def _fail(self) -> None:
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
