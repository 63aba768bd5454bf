"""What is known of a device: one immutable record. All instants are aware datetimes in UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from shared.domain.alerts import Alert
from shared.domain.certificate import Certificate as Certificate
from shared.domain.certificate import OnboardingCredential as OnboardingCredential
from shared.domain.intents import FLEETCERT as FLEETCERT
from shared.domain.intents import Actor as Actor
from shared.domain.intents import Containment as Containment
from shared.domain.intents import Release as Release
from shared.domain.intents import RenewalRequest as RenewalRequest
from shared.domain.intents import Revocation as Revocation
from shared.domain.states import Before as Before
from shared.domain.states import BlockState as BlockState
from shared.domain.states import Evidence as Evidence
from shared.domain.states import State as State

DISPATCH_PATIENCE: Final = timedelta(minutes=2)
"""How long an outbox may stay unconfirmed before the sweep sends the same ids again."""


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
