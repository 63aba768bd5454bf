"""The fleet in gauges, set again and again by whoever runs: from rows, so that no instance has to remember anything.

Counts by state come from the hourly snapshot; the CA certificates and the heartbeat are read as they are now. Ends are
Unix times: what is left is for the reader to compute, whenever he looks. Who is being shut out has a watch of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared import telemetry
from shared.domain.ca_watch import Issuer, IssuerState, Source
from shared.domain.keys import FLEET_PARTITION
from shared.services.issuers import stored_issuers
from shared.services.ports import Row, Table
from shared.services.snapshots import LATEST, read_snapshot
from shared.services.sweeps import HEARTBEAT


class FleetGauges:
    """Reads and reports."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def report(self) -> None:
        """Sets all of them; asks nothing where nobody measures. Raises: InfrastructureFault."""
        if not telemetry.is_on():
            return
        known = await self._table.get_many(FLEET_PARTITION, [LATEST, HEARTBEAT])
        _report_snapshot(known.get(LATEST))
        _report_heartbeat(known.get(HEARTBEAT))
        _report_issuers(await stored_issuers(self._table))


def _report_snapshot(row: Row | None) -> None:
    """Nothing before the first snapshot: a fleet of zeros would be a lie."""
    if row is None:
        return
    tally = read_snapshot(row)
    telemetry.set_all(telemetry.CERTIFICATES, "state", tally.states)
    telemetry.set_all(telemetry.EXPIRING, "within", tally.expiry)
    telemetry.note(telemetry.SNAPSHOT_TAKEN, tally.at.timestamp())
    if tally.earliest is not None:
        telemetry.note(telemetry.EARLIEST_EXPIRY, tally.earliest.timestamp())


def _report_heartbeat(row: Row | None) -> None:
    last = row.values.get("lastSuccess") if row else None
    if isinstance(last, datetime):
        telemetry.note(telemetry.SWEEP_LAST_SUCCESS, last.timestamp())


def _report_issuers(issuers: Iterable[Issuer]) -> None:
    """One that was replaced ends without harm: its devices have moved on, or are told one by one."""
    current = [issuer for issuer in issuers if issuer.state is IssuerState.CURRENT]
    for source in Source:
        ends = [issuer.not_after for issuer in current if issuer.source is source]
        if ends:
            telemetry.note(telemetry.ISSUERS_EARLIEST_EXPIRY, min(ends).timestamp(), {"source": source.value})
