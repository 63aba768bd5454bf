"""What somebody wants of a device, and how far that has come. All instants are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shared.domain.certificate import Certificate
from shared.domain.states import Before, BlockState


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: a person or an app by the ids of Entra, or fleetcert itself."""

    name: str
    object_id: str = ""
    app_id: str = ""


FLEETCERT: Final = Actor(name="fleetcert")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRequest:
    """An operator asked for a renewal before its time. operation_id: of the bulk operation that it is a part of."""

    actor: Actor
    reason: str
    requested_at: datetime
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Somebody wants the device back; each member is set when its step is done.

    outcomes: what became of each place, by its name, where it was not simply restored. settles_at: when it is looked
    again whether everything has stayed restored.
    """

    actor: Actor
    reason: str
    requested_at: datetime
    registry_restored_at: datetime | None = None
    enrollment_restored_at: datetime | None = None
    identity_restored_at: datetime | None = None
    settles_at: datetime | None = None
    outcomes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Containment:
    """How far a device has been shut out; each member is set when its step is done.

    operation_id: the bulk operation that it is a part of. supersedes: it stopped a release, some of which may still be
    on its way. onboarding_pem: the onboarding certificate as it came with the request; reported_pem: as the twin had it
    then. begun_at: when its steps were begun again. What stood at a place before (`..._before`) is looked at and stored
    before anything is changed there, so that `release` can undo that and no more. enrollment_etag: of the disabled
    enrollment. told_at: that the device is shut out was told. gone_since: the first look at which the hub saw no
    connection. told_late_at: that it is still connected was told. refused_at: DPS was seen to refuse the device.
    passed_at: DPS was seen to let it in though the block stood.
    """

    actor: Actor
    reason: str
    requested_at: datetime
    operation_id: str = ""
    supersedes: bool = False
    onboarding_pem: str | None = None
    reported_pem: str | None = None
    begun_at: datetime | None = None
    identity_before: Before | None = None
    identity_reason_before: str = ""
    hub_disabled_at: datetime | None = None
    enrollment_before: Before | None = None
    enrollment_etag: str | None = None
    block: BlockState | None = None
    blocked_at: datetime | None = None
    hub_rechecked_at: datetime | None = None
    purged_at: datetime | None = None
    registry_before: Before | None = None
    registry_disabled_at: datetime | None = None
    told_at: datetime | None = None
    gone_since: datetime | None = None
    told_late_at: datetime | None = None
    disconnected_at: datetime | None = None
    refused_at: datetime | None = None
    passed_at: datetime | None = None
    release: Release | None = None

    @property
    def is_verified(self) -> bool:
        """Everything was done, and the live connection was seen gone."""
        return self.disconnected_at is not None

    @property
    def is_proven(self) -> bool:
        """Whether DPS turns the device away for certain."""
        return self.block is BlockState.BLOCKED or self.refused_at is not None

    @property
    def has_work(self) -> bool:
        """Whether steps are still to be taken, in one direction or the other."""
        return self.release is not None or not self.is_verified

    def anew(self) -> Containment:
        """The same intent for a new identity of the device: the hub's steps have to be taken again."""
        return replace(
            self.again(self.begun_at),
            identity_before=None,
            identity_reason_before="",
            registry_before=None,
            refused_at=None,
        )

    def again(self, at: datetime | None) -> Containment:
        """The same intent once more, for a device that was seen where it must not be."""
        return replace(
            self,
            begun_at=at,
            hub_disabled_at=None,
            hub_rechecked_at=None,
            purged_at=None,
            registry_disabled_at=None,
            gone_since=None,
            told_late_at=None,
            disconnected_at=None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """How far the device's certificates have been revoked.

    certificate: the identity of the one that was known then. monitor: where ADR tells how its work stands. failure:
    why it could not be done ("" where it could, or is under way).
    """

    actor: Actor
    reason: str
    requested_at: datetime
    certificate: str = ""
    monitor: str = ""
    revoked_at: datetime | None = None
    failure: str = ""
    finished_at: datetime | None = None

    @property
    def has_work(self) -> bool:
        """Whether it is under way."""
        return self.finished_at is None

    def covers(self, certificate: Certificate) -> bool:
        """Whether the certificate is one of those that are worthless now: all that were issued until then."""
        if self.revoked_at is None:
            return False
        return certificate.identity == self.certificate or certificate.first_seen <= self.revoked_at
