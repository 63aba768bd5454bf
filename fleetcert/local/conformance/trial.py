"""What a scenario works with: one device, the cloud, and patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from fleetcert.local.conformance.cloud import ConformanceCloud, Issued
from fleetcert.local.conformance.device import DeviceUnderTest
from shared.contracts import CERTIFICATE_PROPERTY, RenewCertificate, normal_thumbprint, parse_instant
from shared.errors import FleetcertError

_LOOK_SECONDS: Final = 0.2


class NotMet(FleetcertError):
    """The device did not do what the contract says. The message is for its developer."""


@dataclass(slots=True)
class Trial:
    """One device in one scenario. patience_seconds: for each expectation. life_seconds: of its certificates."""

    cloud: ConformanceCloud
    device: DeviceUnderTest
    group: str
    policy: str
    patience_seconds: float
    life_seconds: int
    notes: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The device's id."""
        return self.device.device_id

    # -- expectations ------------------------------------------------------------------------------------------------

    def until[T](self, what: str, holds: Callable[[], T | None], seconds: float | None = None) -> T:
        """What `holds` returns once it is true-ish. Raises: NotMet."""
        patience = seconds or self.patience_seconds
        deadline = time.monotonic() + patience
        while not (seen := holds()):
            if not self.device.is_running:
                raise NotMet(f"the device's process ended before this: {what}")
            if time.monotonic() > deadline:
                raise NotMet(f"not within {patience:.0f} s: {what}")
            time.sleep(_LOOK_SECONDS)
        return seen

    def until_gone(self) -> None:
        """Waits until the hub has seen that the device is away. Raises: NotMet."""
        deadline = time.monotonic() + self.patience_seconds
        while self.cloud.connected_with(self.id) is not None:
            if time.monotonic() > deadline:
                raise NotMet("its process is gone, and something of it is still connected")
            time.sleep(_LOOK_SECONDS)

    def never(self, what: str, happens: Callable[[], object], seconds: float) -> None:
        """Looks for so long. Raises: NotMet."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if happens():
                raise NotMet(f"must not be: {what}")
            time.sleep(_LOOK_SECONDS)

    def require(self, holds: object, what: str) -> None:
        """Raises: NotMet."""
        if not holds:
            raise NotMet(what)

    # -- what is seen ------------------------------------------------------------------------------------------------

    @property
    def issued(self) -> list[Issued]:
        """The device's certificates, oldest first."""
        return self.cloud.issued(self.id)

    @property
    def patches(self) -> list[Any]:
        """What it reported, patch by patch."""
        return self.cloud.patches.of(self.id)

    def reports(self) -> list[Any]:
        """The patches that describe its certificate, once there are any. Events come a little after the fact."""
        return [patch for patch in self.patches if CERTIFICATE_PROPERTY in patch]

    @property
    def answer(self) -> dict[str, Any]:
        """What its twin says became of the last command."""
        answer: dict[str, Any] = self.cloud.twin(self.id).get("renewal") or {}
        return answer

    def newest(self) -> Issued | None:
        """The newest certificate, if the device is connected with it and its twin says so; else None."""
        issued = self.issued
        if not issued or self.cloud.connected_with(self.id) != issued[-1].thumbprint:
            return None
        claim = self.cloud.twin(self.id).get("certificate") or {}
        told = normal_thumbprint(str(claim.get("thumbprint") or ""))
        return issued[-1] if told in {"", issued[-1].thumbprint} and _end_of(claim) == issued[-1].not_after else None

    # -- what is done ------------------------------------------------------------------------------------------------

    def bring_up(self) -> Issued:
        """Starts the device and waits until it is connected and has told so."""
        self.device.start()
        return self.until("it is connected with its newest certificate and has reported it", self.newest)

    def command(self, certificate: Issued, **changes: Any) -> str:
        """Sends a command to renew that certificate; returns its id."""
        end = parse_instant(certificate.not_after)
        wanted = RenewCertificate(
            command_id=str(uuid4()),
            device_id=self.id,
            reason="windowOpen",
            thumbprint=certificate.thumbprint,
            valid_until=end,
            renew_by=end,
        )
        command = replace(wanted, **changes)
        self.cloud.send(self.id, command.to_json(), command.command_id)
        return command.command_id

    def renewed(self, before: Issued) -> Issued:
        """Waits for a certificate after that one."""

        def is_new() -> Issued | None:
            found = self.newest()
            return found if found and found.thumbprint != before.thumbprint else None

        return self.until("it is connected with a new certificate and has reported it", is_new)

    def sleep_past(self, certificate: Issued) -> None:
        """Waits until the certificate has ended."""
        left = (parse_instant(certificate.not_after) - datetime.now(UTC)).total_seconds()
        time.sleep(max(0.0, left) + 1)

    @contextmanager
    def as_is(self) -> Iterator[None]:
        """Whatever happens, no process of the device is left."""
        try:
            yield
        finally:
            self.device.kill()


def _end_of(claim: dict[str, Any]) -> str | None:
    """The claimed end as the local Azure writes it."""
    end = claim.get("validUntil")
    try:
        return parse_instant(str(end)).strftime("%Y-%m-%dT%H:%M:%SZ") if end else None
    except ValueError:
        return None
