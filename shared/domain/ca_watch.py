"""The CA certificates that a fleet depends on: which of them are trusted, which were replaced, which will end. Pure.

A hub trusts what is in its list. Several CA certificates of one policy (or, without a policy, of one subject) are
generations: the youngest is current, the others are rotated and trusted as long as they are listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from shared.contracts import format_instant
from shared.domain.alerts import Alert
from shared.domain.fleet_alerts import FleetAlertType, issuer_alert
from shared.domain.levels import Levels

ISSUER_LEVELS: Final = Levels((365, 180, 30, 7))


class Source(StrEnum):
    """Where a CA certificate is listed, and so what it signs."""

    HUB = "hub"
    DPS = "dps"
    GROUP = "enrollment-group"


class IssuerState(StrEnum):
    """Where a CA certificate stands."""

    CURRENT = "current"
    ROTATED = "rotated"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCertificate:
    """A CA certificate as its list has it. policy: the resource id of the credential policy that it belongs to."""

    name: str
    pem: str
    policy: str | None = None
    is_verified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedCertificate:
    """A CA certificate that its list tells about and does not give. thumbprint: SHA-256 in hex."""

    name: str
    thumbprint: str
    subject: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA certificate that was seen. thumbprint: SHA-256 in hex. told: the levels that were alerted.

    pem: "" where no list gives it.
    """

    thumbprint: str
    source: Source
    name: str
    policy: str | None
    subject: str
    pem: str
    not_before: datetime
    not_after: datetime
    first_seen: datetime
    last_seen: datetime
    state: IssuerState = IssuerState.CURRENT
    told: tuple[str, ...] = ()

    @property
    def line(self) -> tuple[Source, str]:
        """What its successors have in common with it."""
        return self.source, (self.policy or self.subject).casefold()


@dataclass(frozen=True, slots=True)
class Watched:
    """All issuers as they are now, and what operators are to be told of them."""

    issuers: tuple[Issuer, ...]
    alerts: tuple[Alert, ...]


def read_issuer(source: Source, listed: ListedCertificate, now: datetime) -> Issuer:
    """A listed CA certificate as one that is seen for the first time. Raises: ValueError where it cannot be read."""
    certificate = x509.load_pem_x509_certificate(listed.pem.encode())
    return Issuer(
        thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        source=source,
        name=listed.name,
        policy=listed.policy,
        subject=certificate.subject.rfc4514_string(),
        pem=listed.pem,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        first_seen=now,
        last_seen=now,
    )


def described_issuer(source: Source, described: DescribedCertificate, now: datetime) -> Issuer:
    """A CA certificate that was told about, as one that is seen for the first time."""
    return Issuer(
        thumbprint=described.thumbprint,
        source=source,
        name=described.name,
        policy=None,
        subject=described.subject,
        pem="",
        not_before=described.not_before,
        not_after=described.not_after,
        first_seen=now,
        last_seen=now,
    )


def watch(
    known: Iterable[Issuer], listed: Iterable[Issuer], sources: Iterable[Source], now: datetime, levels: Levels
) -> Watched:
    """The issuers after a look at the lists of `sources`. Those of other sources stay as they are known."""
    before = {issuer.thumbprint: issuer for issuer in known}
    seen = {issuer.thumbprint: _seen_again(before.get(issuer.thumbprint), issuer) for issuer in listed}
    looked_at = frozenset(sources)
    missing = [
        replace(issuer, state=IssuerState.GONE) if issuer.source in looked_at else issuer
        for thumbprint, issuer in before.items()
        if thumbprint not in seen
    ]
    issuers = [*_generations(list(seen.values())), *missing]
    current = {issuer.line: issuer for issuer in issuers if issuer.state is IssuerState.CURRENT}
    told = [_told(issuer, before.get(issuer.thumbprint), current, now, levels) for issuer in issuers]
    return Watched(tuple(issuer for issuer, _ in told), tuple(alert for _, alerts in told for alert in alerts))


def _seen_again(before: Issuer | None, issuer: Issuer) -> Issuer:
    return replace(issuer, first_seen=before.first_seen, told=before.told) if before else issuer


def _generations(listed: Sequence[Issuer]) -> list[Issuer]:
    youngest: dict[tuple[Source, str], Issuer] = {}
    for issuer in sorted(listed, key=lambda i: (i.not_before, i.first_seen, i.thumbprint)):
        youngest[issuer.line] = issuer
    return [replace(i, state=IssuerState.CURRENT if youngest[i.line] is i else IssuerState.ROTATED) for i in listed]


def _told(
    issuer: Issuer,
    before: Issuer | None,
    current: Mapping[tuple[Source, str], Issuer],
    now: datetime,
    levels: Levels,
) -> tuple[Issuer, list[Alert]]:
    """The issuer with the levels that are told now, and the alerts that tell them."""
    facts = {
        "subject": issuer.subject,
        "name": issuer.name,
        "listedAt": issuer.source.value,
        "notAfter": format_instant(issuer.not_after),
        "policy": issuer.policy,
    }
    alerts = []
    is_listed = issuer.state is not IssuerState.GONE
    life = issuer.not_after - issuer.not_before
    passed = levels.passed(issuer.not_after, now, issuer.told, life) if is_listed else ()
    if passed:
        data = {**facts, "level": passed[-1]}
        alerts.append(issuer_alert(FleetAlertType.ISSUER_EXPIRING, issuer.thumbprint, passed[-1], now, data))
    if before is not None and before.state is not issuer.state and issuer.state is not IssuerState.CURRENT:
        successor = current.get(issuer.line)
        data = {**facts, "state": issuer.state.value, "successor": successor.thumbprint if successor else None}
        occasion = f"{issuer.state.value}/{format_instant(before.last_seen)}"  # the same until the change is stored
        alerts.append(issuer_alert(FleetAlertType.ISSUER_ROTATED, issuer.thumbprint, occasion, now, data))
    return replace(issuer, told=(*issuer.told, *passed)), alerts


def remaining(issuers: Iterable[Issuer], now: datetime, keep: timedelta) -> tuple[list[Issuer], list[Issuer]]:
    """Those to keep, and those to forget: gone, and expired for longer than `keep`."""
    kept: list[Issuer] = []
    forgotten: list[Issuer] = []
    for issuer in issuers:
        is_old = issuer.state is IssuerState.GONE and issuer.not_after + keep < now
        (forgotten if is_old else kept).append(issuer)
    return kept, forgotten
