"""A look at what a device holds, from outside: changes nothing, needs no passphrase, disturbs no agent at work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from fleetcert.certificates import thumbprint
from fleetcert.device.journal import Entry, Journal, read_journal
from shared.contracts import format_instant


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that is on the disk, and where it is used."""

    hub: str
    device_id: str
    leaf: x509.Certificate

    @property
    def thumbprint(self) -> str:
        """The SHA-256 thumbprint as lower-case hex."""
        return thumbprint(self.leaf)

    def to_wire(self) -> dict[str, str]:
        """As JSON."""
        return {
            "hub": self.hub,
            "deviceId": self.device_id,
            "thumbprint": self.thumbprint,
            "notBefore": format_instant(self.leaf.not_valid_before_utc),
            "notAfter": format_instant(self.leaf.not_valid_after_utc),
        }


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A moment of a device's store."""

    journal: Journal
    current: Held | None
    candidate: Held | None

    @classmethod
    def of(cls, directory: Path) -> Glimpse:
        """Looks. Raises: OSError where a certificate that the journal names is not there."""
        journal = read_journal(directory / "state.json")
        try:
            return cls(journal, _held(directory, journal.current), _held(directory, journal.candidate))
        except FileNotFoundError:
            if read_journal(directory / "state.json") == journal:
                raise
        return cls.of(directory)  # the agent has gone on while we looked

    def to_wire(self) -> dict[str, Any]:
        """As JSON, for people and for tools; nothing in it is secret."""
        wish, attempt = self.journal.wish, self.journal.attempt
        return {
            "state": self.journal.state.value,
            "current": self.current.to_wire() if self.current else None,
            "candidate": self.candidate.to_wire() if self.candidate else None,
            "askingBy": attempt.way.value if attempt else None,
            "command": wish.command_id if wish else None,
            "untold": [answer.to_wire() for answer in self.journal.answers],
        }


def _held(directory: Path, entry: Entry | None) -> Held | None:
    if entry is None:
        return None
    pem = (directory / f"{entry.key}.pem").read_bytes()
    return Held(entry.hub, entry.device_id, x509.load_pem_x509_certificates(pem)[0])
