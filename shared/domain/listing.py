"""A line of the fleet's list, and which lines a list holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from shared.contracts import parse_instant
from shared.domain.record import State


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """A device in a list. valid_from, valid_until: RFC 3339, None without a certificate; issuer: RFC 4514."""

    device_id: str
    registration_id: str
    state: str
    reason: str
    hub: str
    enrollment_group: str | None
    tags: Mapping[str, str]
    valid_from: str | None
    valid_until: str | None
    thumbprint: str | None
    evidence: str | None
    issuer: str | None
    authority_key_id: str | None


@dataclass(frozen=True)
class Filter:
    """Which devices a list holds; what is not given admits every device.

    expires_before, expires_after: the certificate ends in [after, before). issuer: the key id of the issuing CA in hex,
    or its name (RFC 4514). tag: name and value. text: stands, in any case, in an id, a group, a thumbprint or a tag.
    """

    expires_before: datetime | None = None
    expires_after: datetime | None = None
    states: frozenset[State] = frozenset()
    issuer: str | None = None
    tag: tuple[str, str] | None = None
    text: str | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether only a part of the fleet is looked at."""
        return self.expires_before is not None or self.expires_after is not None

    @property
    def looks_at_rows(self) -> bool:
        """Whether there are rows in the range that it leaves out."""
        return bool(self.states or self.issuer or self.tag or self.text)

    def admits(self, line: DeviceLine) -> bool:
        """Whether the line, which lies in the range, is in the list."""
        if self.states and line.state not in self.states:
            return False
        if self.issuer and self.issuer not in (line.issuer, line.authority_key_id):
            return False
        if self.tag and line.tags.get(self.tag[0]) != self.tag[1]:
            return False
        return self._wanted_text is None or any(self._wanted_text in text.casefold() for text in _texts(line))

    def to_parameters(self) -> dict[str, str]:
        """As an operation keeps it."""
        given = {
            "expiresBefore": self.expires_before and self.expires_before.isoformat(),
            "expiresAfter": self.expires_after and self.expires_after.isoformat(),
            "state": ",".join(sorted(self.states)),
            "issuer": self.issuer,
            "tag": "=".join(self.tag) if self.tag else None,
            "text": self.text,
        }
        return {name: value for name, value in given.items() if value}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Filter:
        """The filter of an operation's parameters."""
        before, after = parameters.get("expiresBefore"), parameters.get("expiresAfter")
        name, _, value = parameters.get("tag", "").partition("=")
        return cls(
            expires_before=parse_instant(before) if before else None,
            expires_after=parse_instant(after) if after else None,
            states=frozenset(State(state) for state in parameters.get("state", "").split(",") if state),
            issuer=parameters.get("issuer"),
            tag=(name, value) if name else None,
            text=parameters.get("text"),
        )

    @cached_property
    def _wanted_text(self) -> str | None:
        return self.text.casefold() if self.text else None


EVERY_DEVICE: Final = Filter()


def _texts(line: DeviceLine) -> Sequence[str]:
    ids = (line.device_id, line.registration_id, line.enrollment_group, line.thumbprint)
    return [text for text in ids if text] + [f"{name}={value}" for name, value in line.tags.items()]
