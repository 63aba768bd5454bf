"""What is known of a device: one immutable record. All instants are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.alerts import Alert
from shared.domain.states import Before as Before
from shared.domain.states import BlockState as BlockState
from shared.domain.states import Evidence as Evidence
from shared.domain.states import State as State

DISPATCH_PATIENCE: Final = timedelta(minutes=2)
"""How long an outbox may stay unconfirmed before the sweep sends the same ids again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it: a person or an app by the ids of Entra, or fleetcert itself."""

    name: str
    object_id: str = ""
    app_id: str = ""


FLEETCERT: Final = Actor(name="fleetcert")


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """An operational certificate as far as the evidence goes.

    identity: what tells it from the device's other certificates: its thumbprint, else its dates as they were claimed.
    valid_until: the end that is believed; it never lies beyond what the evidence can bear.
    first_seen: when the cloud first heard of this certificate (the event's enqueued time).
    authority_key_id: the issuing CA's key, in hex; several CAs may bear one name.
    """

    identity: str
    valid_from: datetime
    valid_until: datetime
    evidence: Evidence
    first_seen: datetime
    thumbprint: str | None = None
    serial_number: str | None = None
    issuer: str | None = None
    authority_key_id: str | None = None
    key_algorithm: str | None = None

    @property
    def lifetime(self) -> timedelta:
        """From not-before to not-after."""
        return self.valid_until - self.valid_from


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingCredential:
    """What a device shows to DPS. `pem`: the public certificate, which a DPS block needs."""

    thumbprint: str | None = None
    valid_until: datetime | None = None
    pem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Which report a part of the record comes from: the reported `$version`, and the service's own time of it."""

    version: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """The one renewal command that is on its way for the present certificate.

    patience_until: an answer is waited for until then. sent_at: None while it is still in our own queue.
    """

    id: str
    attempt: int
    reason: str
    expires_at: datetime
    patience_until: datetime
    sent_at: datetime | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """A device.

    incarnation: counts the lives of the device id; incarnation_since: the last creation or deletion heard from its
    hub; deletions: the last from each other hub, since a device that moves is deleted where it was; version: the
    reported `$version` that the record knows, in this incarnation; twin_updated_at: the service's own time of that
    version; twin_version: the whole twin's, by which changes of tags are ordered. certificate_heard, onboarding_heard:
    the reports that these come from, since a patch may speak of one of them alone. registrations: the newest that no
    report has answered. inventoried: the onboarding leaf that an inventory gives the device. issues_certificates:
    whether its enrollment carries a credential policy (None: not known). alerted: levels already told for this
    certificate. pending: alerts that Event Grid has not taken yet; dispatch_by: when the outbox is sent again unless
    it was confirmed. look_at: when the twin shall be read. next_deadline: when the device must be decided on.
    """

    device_id: str
    registration_id: str
    hub: str
    first_seen: datetime
    updated_at: datetime
    state: State = State.UNKNOWN
    reason: str = ""
    incarnation: int = 1
    incarnation_since: datetime | None = None
    deletions: Mapping[str, datetime] = field(default_factory=dict)
    version: int = 0
    twin_updated_at: datetime | None = None
    twin_version: int = 0
    enrollment_group: str | None = None
    issues_certificates: bool | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    certificate: Certificate | None = None
    certificate_heard: Heard | None = None
    onboarding: OnboardingCredential | None = None
    onboarding_heard: Heard | None = None
    inventoried: OnboardingCredential | None = None
    registration_seen_at: datetime | None = None
    registrations: tuple[datetime, ...] = ()
    look_at: datetime | None = None
    command: Command | None = None
    attempts: int = 0
    renewal_request: RenewalRequest | None = None
    containment: Containment | None = None
    revocation: Revocation | None = None
    blocked_attempt_alerted_at: datetime | None = None
    alerted: tuple[str, ...] = ()
    pending: tuple[Alert, ...] = ()
    dispatch_by: datetime | None = None
    next_deadline: datetime | None = None

    @property
    def has_containment_work(self) -> bool:
        """Whether the queue `containment` has something to do for the device."""
        containment, revocation = self.containment, self.revocation
        return (containment is not None and containment.has_work) or (revocation is not None and revocation.has_work)

    @property
    def onboarding_credential(self) -> OnboardingCredential | None:
        """What the device shows to DPS: as it reports itself, else as an inventory has it."""
        reported, known = self.onboarding, self.inventoried
        if reported is None or known is None or reported.valid_until is not None:
            return reported or known
        return known if reported.thumbprint in (None, known.thumbprint) else reported

    @property
    def due_at(self) -> datetime | None:
        """The device's one deadline in the table: its next decision, early look or outbox, whichever is first."""
        instants = [i for i in (self.next_deadline, self.dispatch_by, self.look_at) if i is not None]
        return min(instants, default=None)
