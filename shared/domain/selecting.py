"""Which devices a bulk operation is about: one way to choose them, and what speaks against one of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from shared.contracts import format_instant, parse_instant
from shared.domain.record import DeviceRecord, State
from shared.errors import NotPossible

MOST_IDS: Final = 1000
"""Device ids in one selector."""
_HEX: Final = re.compile(r"[0-9A-Fa-f: ]+")

type Action = Literal["renew", "disable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Exactly one member is given.

    ids: device ids, at most 1,000. tag: `name=value`. enrollment_group: its id. issuer: an issuing CA's key identifier
    (the authority key identifier of its leaves; `Bulk` takes its certificate's SHA-256 thumbprint too), in hex.
    state: a state of the record. expiring_before: the operational certificate ends before then; devices without one
    are not meant.
    Raises: NotPossible where none or several are given, or one is not of its form.
    """

    ids: tuple[str, ...] = ()
    tag: str | None = None
    enrollment_group: str | None = None
    issuer: str | None = None
    state: State | None = None
    expiring_before: datetime | None = None

    def __post_init__(self) -> None:
        if len(self.to_parameters()) != 1:
            raise NotPossible(f"choose devices by exactly one of {', '.join(_NAMES)}")
        if self.tag is not None and "=" not in self.tag:
            raise NotPossible("a tag is chosen as name=value")
        if self.issuer is not None and not _HEX.fullmatch(self.issuer):
            raise NotPossible("an issuer is chosen by its key identifier or its certificate's thumbprint, in hex")
        if len(self.ids) > MOST_IDS:
            raise NotPossible(f"at most {MOST_IDS} ids can be given at once: choose by a tag or a group instead")

    def matches(self, record: DeviceRecord) -> bool:
        """Whether the device is chosen. Retired devices are chosen by nothing but their state."""
        if record.state is State.RETIRED:
            return self.state is State.RETIRED
        certificate = record.certificate
        if self.tag is not None:
            name, _, value = self.tag.partition("=")
            return record.tags.get(name) == value
        if self.issuer is not None:
            return certificate is not None and certificate.authority_key_id == self.issuer
        if self.expiring_before is not None:
            return certificate is not None and certificate.valid_until < self.expiring_before
        if self.enrollment_group is not None:
            return record.enrollment_group == self.enrollment_group
        return record.device_id in self.ids or record.state is self.state

    def to_parameters(self) -> dict[str, str]:
        """As an operation keeps it."""
        given = {
            "ids": "\n".join(self.ids) or None,  # no id holds a line break (IoT Hub's grammar)
            "tag": self.tag,
            "enrollmentGroup": self.enrollment_group,
            "issuer": self.issuer,
            "state": self.state,
            "expiringBefore": format_instant(self.expiring_before) if self.expiring_before else None,
        }
        return {name: str(value) for name, value in given.items() if value is not None}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Selector:
        """The selector of an operation's parameters."""
        state, before = parameters.get("state"), parameters.get("expiringBefore")
        return cls(
            ids=tuple(parameters["ids"].split("\n")) if "ids" in parameters else (),
            tag=parameters.get("tag"),
            enrollment_group=parameters.get("enrollmentGroup"),
            issuer=parameters.get("issuer"),
            state=State(state) if state else None,
            expiring_before=parse_instant(before) if before else None,
        )


_NAMES: Final = ("ids", "tag", "enrollmentGroup", "issuer", "state", "expiringBefore")


def obstacle(action: Action, record: DeviceRecord) -> str | None:
    """Why the action cannot be taken on the device, in words for people; None where it can."""
    if record.state is State.RETIRED:
        return "it is retired: the hub has no such device"
    if action == "disable":
        return "it is being shut out already" if record.containment is not None else None
    if record.containment is not None:
        return "it is disabled"
    if record.state is State.EXPIRED:
        return "it has expired: no command reaches it, it must register with DPS again"
    if record.certificate is None:
        return "it holds no certificate that is known: there is nothing to renew"
    return None
