"""Who may sign: the CA certificates of hub and DPS, polled and remembered in rows `issuer!{thumbprint}`; their ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import batched
from typing import Any, Final, Protocol

from cryptography import x509

from shared.clock import Clock
from shared.domain.ca_watch import (
    ISSUER_LEVELS,
    DescribedCertificate,
    Issuer,
    IssuerState,
    ListedCertificate,
    Source,
    described_issuer,
    read_issuer,
    remaining,
    watch,
)
from shared.domain.changes import Policies
from shared.domain.keys import FLEET_PARTITION
from shared.domain.levels import Levels
from shared.services.ports import Alerts, Row, Table, TrustedIssuersNow, Value, Write
from shared.services.store import TRANSACTION_LIMIT

KEEP: Final = timedelta(days=90)
"""How long an expired CA certificate that is listed nowhere is remembered: longer than any leaf of it lives."""
CACHE_LIFE: Final = timedelta(minutes=5)
_PREFIX: Final = "issuer!"

_log = logging.getLogger(__name__)


class CaCertificates(Protocol):
    """A list of CA certificates in Azure."""

    async def listed(self) -> Sequence[ListedCertificate | DescribedCertificate]:
        """All that are listed."""


@dataclass(frozen=True, slots=True)
class IssuerPoll:
    """What a poll found: how many are listed, how many are new, what was told."""

    listed: int
    new: int
    alerts: int


class IssuerWatch:
    """Polls the lists. `lists`: one for each source that can be asked."""

    def __init__(
        self,
        table: Table,
        lists: Mapping[Source, CaCertificates],
        alerts: Alerts,
        clock: Clock,
        levels: Levels = ISSUER_LEVELS,
    ) -> None:
        self._table = table
        self._lists = lists
        self._alerts = alerts
        self._clock = clock
        self._levels = levels

    async def poll(self) -> IssuerPoll:
        """One look. What is told leaves before it is stored: who dies in between tells it again under the same id.

        Raises: InfrastructureFault.
        """
        now = self._clock.now()
        known = await stored_issuers(self._table)
        listed = [issuer for source in self._lists for issuer in await self._read(source, now)]
        watched = watch(known, listed, self._lists, now, self._levels)
        if watched.alerts:
            await self._alerts.publish(watched.alerts)
        kept, forgotten = remaining(watched.issuers, now, KEEP)
        await self._store([Write("upsert", _row(i)) for i in kept] + [Write("delete", _row(i)) for i in forgotten])
        before = {issuer.thumbprint for issuer in known}
        return IssuerPoll(len(listed), sum(i.thumbprint not in before for i in listed), len(watched.alerts))

    async def _read(self, source: Source, now: datetime) -> list[Issuer]:
        """Those that Azure trusts: of an uploaded one the possession must be proved; a policy's comes from ADR."""
        listed = await self._lists[source].listed()
        return [i for certificate in listed if (i := _seen(source, certificate, now)) is not None]

    async def _store(self, writes: Sequence[Write]) -> None:
        for batch in batched(writes, TRANSACTION_LIMIT, strict=False):
            await self._table.commit(FLEET_PARTITION, batch)


class TrustedIssuers:
    """The CA certificates that may sign operational certificates: the hub's own, and those of a setting.

    configured: PEM, one certificate or several in a row.
    """

    def __init__(self, table: Table, clock: Clock, configured: str = "") -> None:
        self._table = table
        self._clock = clock
        self._configured = tuple(_split(configured))
        self._known: tuple[Issuer, ...] = ()
        self._known_until: datetime | None = None

    async def current(self) -> tuple[str, ...]:
        """PEM of each. Raises: InfrastructureFault."""
        listed = [i.pem for i in await self._issuers() if i.state is not IssuerState.GONE]
        return tuple(dict.fromkeys((*self._configured, *listed)))

    async def _issuers(self) -> tuple[Issuer, ...]:
        """The hub's, remembered for five minutes."""
        now = self._clock.now()
        if self._known_until is None or self._known_until <= now:
            self._known = tuple(i for i in await stored_issuers(self._table) if i.source is Source.HUB)
            self._known_until = now + CACHE_LIFE
        return self._known


async def verifying(policies: Policies, issuers: TrustedIssuersNow | None) -> Policies:
    """The policies with the issuing CAs that the hub trusts now. Raises: InfrastructureFault."""
    if issuers is None:
        return policies
    certificates = tuple(_load(pem) for pem in await issuers.current())
    return replace(policies, belief=replace(policies.belief, issuers=certificates))


@lru_cache(maxsize=64)
def _load(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


async def stored_issuers(table: Table) -> list[Issuer]:
    """All that the table knows. Raises: InfrastructureFault."""
    return [_issuer(row) async for row in table.scan(FLEET_PARTITION, _PREFIX, _PREFIX[:-1] + '"')]


def _seen(source: Source, certificate: ListedCertificate | DescribedCertificate, now: datetime) -> Issuer | None:
    if isinstance(certificate, DescribedCertificate):
        return described_issuer(source, certificate, now)
    return read_issuer(source, certificate, now) if certificate.is_verified or certificate.policy else None


def _split(pem: str) -> list[str]:
    """The certificates in a text; a setting may write line breaks as `\\n`."""
    end = "-----END CERTIFICATE-----"
    parts = pem.replace("\\n", "\n").split(end)[:-1]
    return [f"{part.strip()}\n{end}\n" for part in parts]


def _row(issuer: Issuer) -> Row:
    values: dict[str, Value] = {
        "source": issuer.source.value,
        "name": issuer.name,
        "policy": issuer.policy or "",
        "subject": issuer.subject,
        "pem": issuer.pem,
        "not_before": issuer.not_before,
        "not_after": issuer.not_after,
        "first_seen": issuer.first_seen,
        "last_seen": issuer.last_seen,
        "state": issuer.state.value,
        "told": " ".join(issuer.told),
    }
    return Row(FLEET_PARTITION, _PREFIX + issuer.thumbprint, {_camel(name): value for name, value in values.items()})


def _issuer(row: Row) -> Issuer:
    members: dict[str, Any] = {f.name: row.values[_camel(f.name)] for f in fields(Issuer) if f.name != "thumbprint"}
    return Issuer(
        **members
        | {
            "thumbprint": row.key.removeprefix(_PREFIX),
            "source": Source(members["source"]),
            "state": IssuerState(members["state"]),
            "policy": members["policy"] or None,
            "told": tuple(members["told"].split()),
        }
    )


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
