"""What a device keeps on its disk: the operational credential in use, and the one that it has not proven yet.

Credential files are named after their thumbprint, hold key and chain together and never change. `state.json` alone says
which of them is what, and is replaced in one rename: every change is whole or has not happened, whenever power fails.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from fleetcert.device.credential import Credential
from fleetcert.device.durable import remove_durably, write_durably

REMEMBERED_COMMANDS: Final = 64
"""IoT Hub holds at most 50 messages for a device, so that no older command can come again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Operational:
    """An operational credential, where it is used, and the PEM file that holds its key and chain."""

    hub: str
    device_id: str
    credential: Credential
    file: Path


@dataclass(frozen=True, slots=True)
class _Entry:
    thumbprint: str
    hub: str
    device_id: str


@dataclass(frozen=True, slots=True)
class _State:
    current: _Entry | None = None
    candidate: _Entry | None = None
    reported: str | None = None
    wanted: str | None = None
    commands: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: bytes) -> _State:
        document = json.loads(data)
        entries = {name: _Entry(**entry) if (entry := document[name]) else None for name in ("current", "candidate")}
        return cls(
            current=entries["current"],
            candidate=entries["candidate"],
            reported=document["reported"],
            wanted=document["wanted"],
            commands=tuple(document["commands"]),
        )


class Keystore:
    """One device's store. `directory` is its own; it is made where it is missing, for its owner alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._state = self._read_state()
        self._current = self._load(self._state.current)
        self._candidate = self._load(self._state.candidate)
        self._remove_unnamed()

    @property
    def current(self) -> Operational | None:
        """The credential in use."""
        return self._current

    @property
    def candidate(self) -> Operational | None:
        """The credential that was issued and has not opened the hub yet."""
        return self._candidate

    @property
    def is_reported(self) -> bool:
        """Whether the twin has been told of the current certificate."""
        return self._state.current is not None and self._state.reported == self._state.current.thumbprint

    @property
    def wanted(self) -> str | None:
        """The id of the command whose renewal is still to be done."""
        return self._state.wanted

    def knows_command(self, command_id: str) -> bool:
        """Whether the command was obeyed or answered before."""
        return command_id in self._state.commands

    def keep_candidate(self, hub: str, device_id: str, credential: Credential) -> None:
        """Stores a credential beside the current one."""
        entry = _Entry(credential.thumbprint, hub, device_id)
        write_durably(self._file(entry), credential.to_pem())
        self._write(replace(self._state, candidate=entry))
        self._candidate = Operational(hub, device_id, credential, self._file(entry))
        self._remove_unnamed()

    def commit(self) -> None:
        """The candidate becomes the current credential; the renewal that was wanted is done."""
        self._write(replace(self._state, current=self._state.candidate, candidate=None, wanted=None))
        self._current, self._candidate = self._candidate, None
        self._remove_unnamed()

    def discard_candidate(self) -> None:
        """Forgets the candidate, and the renewal that wanted it."""
        self._write(replace(self._state, candidate=None, wanted=None))
        self._candidate = None
        self._remove_unnamed()

    def mark_reported(self) -> None:
        """The twin knows the current certificate."""
        if self._state.current:
            self._write(replace(self._state, reported=self._state.current.thumbprint))

    def remember_command(self, command_id: str, *, renew: bool) -> None:
        """Never obeys this command again. `renew`: it is to be obeyed now, even after a power loss."""
        commands = (*self._state.commands, command_id)[-REMEMBERED_COMMANDS:]
        wanted = command_id if renew else self._state.wanted
        self._write(replace(self._state, commands=commands, wanted=wanted))

    def give_up_renewal(self) -> None:
        """The renewal that was wanted is not going to be."""
        self._write(replace(self._state, wanted=None))

    def _file(self, entry: _Entry) -> Path:
        return self._directory / f"{entry.thumbprint}.pem"

    def _read_state(self) -> _State:
        path = self._directory / "state.json"
        if not path.exists():
            return _State()
        try:
            return _State.from_json(path.read_bytes())
        except (ValueError, KeyError, TypeError) as problem:
            # A device must not die of its disk: without state it comes back through DPS, as a new one does.
            log.warning("%s cannot be read and counts as empty: %s", path, problem)
            return _State()

    def _load(self, entry: _Entry | None) -> Operational | None:
        if entry is None:
            return None
        path = self._file(entry)
        try:
            pem = path.read_bytes()
            return Operational(entry.hub, entry.device_id, Credential.from_pem(pem, pem), path)
        except (OSError, ValueError) as problem:
            log.warning("%s cannot be used: %s", path, problem)
            return None

    def _write(self, state: _State) -> None:
        write_durably(self._directory / "state.json", json.dumps(asdict(state)).encode())
        self._state = state

    def _remove_unnamed(self) -> None:
        named = {self._file(entry) for entry in (self._state.current, self._state.candidate) if entry}
        for path in (*self._directory.glob("*.pem"), *self._directory.glob(".*.new")):
            if path not in named:
                remove_durably(path)
