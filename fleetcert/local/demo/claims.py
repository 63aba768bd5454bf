"""What the demo claims, and whether it held: pure comparisons of the services' own state with the app's word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fleetcert.local.cloud import Attempt, Cloud, Issued
from fleetcert.local.fleet import device_names
from fleetcert.local.manners import Manner
from shared.contracts import AlertType

SUCCESS: Final = "Success"


@dataclass(frozen=True, slots=True)
class Sight:
    """Everything that was read at one moment."""

    manners: Mapping[str, Manner]
    identities: Mapping[str, str]
    hub: Mapping[str, Mapping[str, Any]]
    issued: Mapping[str, Sequence[Issued]]
    alerts: Sequence[Mapping[str, Any]]
    dead_letters: Sequence[str]
    attempts: Sequence[Attempt]
    records: Mapping[str, Mapping[str, Any]]
    exported: Sequence[str]

    @classmethod
    def of(cls, cloud: Cloud, devices: int, *, is_final: bool = True) -> Sight:
        """Reads all of it. is_final: each device's record is read; else the app's list stands for them."""
        manners = device_names(devices)
        records = {one: cloud.record(one) for one in manners} if is_final else cloud.records_in_short()
        return cls(
            manners=manners,
            identities=cloud.identities(),
            hub=cloud.seen_by_hub(),
            issued=cloud.issued(),
            alerts=list({alert["id"]: alert for alert in cloud.alerts()}.values()),
            dead_letters=cloud.dead_letters(),
            attempts=cloud.attempts(),
            records=records,
            exported=cloud.exported(),
        )

    def named(self, manner: Manner) -> list[str]:
        """The devices of a manner."""
        return [device_id for device_id, one in self.manners.items() if one is manner]

    @property
    def obedient(self) -> list[str]:
        """The devices that must have renewed at the app's command."""
        return [d for d, manner in self.manners.items() if manner not in (Manner.DEAF, Manner.DISABLED)]

    def commands(self, device_id: str) -> int:
        """Commands for the device that IoT Hub took."""
        return int(self._seen(device_id).get("cloudToDevice", {}).get("accepted", 0))

    def has_renewed(self, device_id: str) -> bool:
        """Whether the device was issued a second certificate and connected with the newest."""
        issued = self.issued.get(device_id, ())
        return len(issued) > 1 and self._connected_with(device_id).get("thumbprint") == issued[-1].thumbprint

    def is_recorded_exactly(self, device_id: str) -> bool:
        """Whether the app's record is the certificate of the last connection, its end to the second."""
        recorded = self.records.get(device_id, {}).get("certificate") or {}
        issued = {one.thumbprint: one.not_after for one in self.issued.get(device_id, ())}
        thumbprint = self._connected_with(device_id).get("thumbprint", "")
        return recorded.get("thumbprint") == thumbprint and recorded.get("validUntil") == issued.get(thumbprint)

    def refusals_by_hub(self, device_id: str) -> int:
        """Connections of a disabled device that IoT Hub turned away."""
        return sum("disabled" in refusal["reason"] for refusal in self._seen(device_id).get("refusals", ()))

    def refusals_by_dps(self, device_id: str) -> int:
        """Registrations that DPS turned away."""
        return sum(a.registration_id == device_id and a.result != SUCCESS for a in self.attempts)

    def alerts_of(self, kind: str, device_id: str | None = None) -> list[Mapping[str, Any]]:
        """The alerts of a kind, of one device where it is named."""
        return [
            alert
            for alert in self.alerts
            if alert["type"] == kind and (device_id is None or alert["subject"] == f"devices/{device_id}")
        ]

    def _seen(self, device_id: str) -> Mapping[str, Any]:
        return self.hub.get(device_id, {})

    def _connected_with(self, device_id: str) -> Mapping[str, str]:
        return self._seen(device_id).get("certificate") or {}


@dataclass(slots=True)
class Summary:
    """What `.local/demo.json` holds. `failures`: what did not hold, in words; empty in a demo that succeeded."""

    devices: int
    issued: int
    recorded_exactly: int
    commands_sent: int
    renewed: int
    overdue: int
    refused_by_hub: int
    blocked_by_dps: int
    alerts: int
    dead_letters: int
    exported: int
    seconds: float = 0.0
    peak_rss_mb: float = 0.0
    failures: list[str] = field(default_factory=list)


def summarize(sight: Sight) -> Summary:
    """Counts, and checks each claim."""
    shut_out = sight.named(Manner.DISABLED)
    return Summary(
        devices=len(sight.identities),
        issued=sum(len(one) for one in sight.issued.values()),
        recorded_exactly=sum(map(sight.is_recorded_exactly, sight.manners)),
        commands_sent=sum(map(sight.commands, sight.manners)),
        renewed=sum(map(sight.has_renewed, sight.manners)),
        overdue=len({alert["subject"] for alert in sight.alerts_of(AlertType.CERTIFICATE_RENEWAL_OVERDUE)}),
        refused_by_hub=sum(map(sight.refusals_by_hub, shut_out)),
        blocked_by_dps=sum(map(sight.refusals_by_dps, shut_out)),
        alerts=len(sight.alerts),
        dead_letters=len(sight.dead_letters),
        exported=len(sight.exported),
        failures=[failure for claim in CLAIMS for failure in claim(sight)],
    )


def every_device_has_an_identity(sight: Sight) -> Iterator[str]:
    """The fleet, and nobody else, is in the hub's registry."""
    if set(sight.identities) != set(sight.manners):
        yield f"identities in the hub: {sorted(sight.identities)}, devices: {sorted(sight.manners)}"


def every_certificate_is_recorded_to_the_second(sight: Sight) -> Iterator[str]:
    """The app's record is the certificate that the hub saw."""
    for device_id in sight.manners:
        if not sight.is_recorded_exactly(device_id):
            record = sight.records.get(device_id, {}).get("certificate")
            yield f"{device_id}: recorded {record}, issued {sight.issued.get(device_id)}"


def every_obedient_device_was_commanded_and_renewed(sight: Sight) -> Iterator[str]:
    """A command was taken by the hub, and a new certificate answered it."""
    for device_id in sight.obedient:
        if sight.commands(device_id) < 1:
            yield f"{device_id}: IoT Hub took no command"
        if not sight.has_renewed(device_id):
            yield f"{device_id}: has not renewed"
        if not sight.alerts_of(AlertType.CERTIFICATE_RENEWED, device_id):
            yield f"{device_id}: no alert of its renewal"


def every_device_was_announced_once(sight: Sight) -> Iterator[str]:
    """One alert of issuance for each device, and nothing under two ids. An id may come twice: receivers drop it."""
    for device_id in sight.manners:
        if len(sight.alerts_of(AlertType.CERTIFICATE_ISSUED, device_id)) != 1:
            yield f"{device_id}: not announced exactly once"
    occasions = Counter(
        (a["type"], a["subject"], a["data"].get("thumbprint"), a["data"].get("level")) for a in sight.alerts
    )
    yield from (f"{what} was told under {count} ids" for what, count in occasions.items() if count > 1)


def the_deaf_device_escalated(sight: Sight) -> Iterator[str]:
    """Commands, a warning, a critical alert, and its end."""
    for device_id in sight.named(Manner.DEAF):
        levels = [a["data"]["level"] for a in sight.alerts_of(AlertType.CERTIFICATE_RENEWAL_OVERDUE, device_id)]
        if sorted(levels) != ["critical", "warning"]:
            yield f"{device_id}: escalated {levels}"
        if len(sight.alerts_of(AlertType.CERTIFICATE_EXPIRED, device_id)) != 1:
            yield f"{device_id}: its expiry was not told once"
        if sight.commands(device_id) < 2:
            yield f"{device_id}: its silence led to no second command"


def nobody_else_is_overdue(sight: Sight) -> Iterator[str]:
    """An obedient device never comes near its end."""
    overdue = {alert["subject"] for alert in sight.alerts_of(AlertType.CERTIFICATE_RENEWAL_OVERDUE)}
    deaf = {f"devices/{device_id}" for device_id in sight.named(Manner.DEAF)}
    yield from (f"{subject} was overdue" for subject in sorted(overdue - deaf))


def the_liar_was_caught(sight: Sight) -> Iterator[str]:
    """Its false expiry is contradicted, and its record holds the true one."""
    for device_id in sight.named(Manner.LIAR):
        if not sight.alerts_of(AlertType.CERTIFICATE_EVIDENCE_MISMATCH, device_id):
            yield f"{device_id}: its false expiry was not noticed"


def the_garbled_report_is_the_one_dead_letter(sight: Sight) -> Iterator[str]:
    """An unreadable event waits for a person; nothing else does."""
    wanted = len(sight.named(Manner.GARBLED))
    if len(sight.dead_letters) != wanted:
        yield f"{len(sight.dead_letters)} dead letters instead of {wanted}: {list(sight.dead_letters)}"


def the_disabled_device_is_shut_out(sight: Sight) -> Iterator[str]:
    """Disabled and refused at the hub, blocked and refused at DPS, and told."""
    for device_id in sight.named(Manner.DISABLED):
        if sight.identities.get(device_id) != "disabled":
            yield f"{device_id}: its identity is {sight.identities.get(device_id)}"
        if sight.hub.get(device_id, {}).get("session") is not None:
            yield f"{device_id}: is still connected"
        if not sight.refusals_by_hub(device_id):
            yield f"{device_id}: the hub has not refused it"
        if not sight.refusals_by_dps(device_id):
            yield f"{device_id}: DPS has not refused it"
        if len(sight.alerts_of(AlertType.DEVICE_DISABLED, device_id)) != 1:
            yield f"{device_id}: its end was not told once"


def the_export_is_the_fleet(sight: Sight) -> Iterator[str]:
    """The file that the operator asked for holds every device once."""
    if sorted(sight.exported) != sorted(sight.manners):
        yield f"exported {len(sight.exported)} devices instead of {len(sight.manners)}"


CLAIMS: Final = (
    every_device_has_an_identity,
    every_certificate_is_recorded_to_the_second,
    every_obedient_device_was_commanded_and_renewed,
    every_device_was_announced_once,
    the_deaf_device_escalated,
    nobody_else_is_overdue,
    the_liar_was_caught,
    the_garbled_report_is_the_one_dead_letter,
    the_disabled_device_is_shut_out,
    the_export_is_the_fleet,
)
