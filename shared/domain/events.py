"""What the cloud hears, once it is understood. Names are in the past tense: these things have happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a device says of its certificate."""

    valid_from: datetime
    valid_until: datetime
    thumbprint: str | None = None
    serial_number: str | None = None
    issuer: str | None = None
    pem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingClaim:
    """What a device says of its onboarding credential."""

    thumbprint: str | None = None
    valid_until: datetime | None = None
    pem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardEvent:
    """Common to all: which event it was, when it was enqueued, and which device and hub it is about."""

    event_id: str
    enqueued_at: datetime
    device_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinReported(HeardEvent):
    """The certificate part of a twin changed, or was read.

    version: the reported properties' `$version`; updated_at: the service's `$lastUpdated`. certificate None with
    `removed` says that the device reported null; without it, that the change was about the onboarding credential alone.
    """

    hub: str
    version: int
    updated_at: datetime
    certificate: Claim | None = None
    removed: bool = False
    onboarding: OnboardingClaim | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinUnclear(HeardEvent):
    """A patch that cannot be understood alone: the twin must be read."""

    hub: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TagsChanged(HeardEvent):
    """The twin's tags: a merge patch, flat (None: removed), or all of them where `is_whole`.

    twin_version: the whole twin's version.
    """

    hub: str
    twin_version: int
    tags: Mapping[str, str | None]
    is_whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityCreated(HeardEvent):
    """The hub has a new identity of this id."""

    hub: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityDeleted(HeardEvent):
    """The hub has no identity of this id any more."""

    hub: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRegistered(HeardEvent):
    """DPS accepted an attestation: the device registered, which does not say that it got a certificate.

    attempted_at: DPS's own time of the attempt; the log that tells of it comes minutes later.
    """

    at: datetime
    attempted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationFailed(HeardEvent):
    """DPS turned an attestation away, at `attempted_at`."""

    at: datetime
    attempted_at: datetime
    result: str


type DomainEvent = (
    TwinReported | TwinUnclear | TagsChanged | IdentityCreated | IdentityDeleted | DeviceRegistered | RegistrationFailed
)
