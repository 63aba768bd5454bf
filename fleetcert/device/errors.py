"""What can go wrong between a device and the cloud, and on the device.

FleetcertError
|-- Barred                 somebody who may decide says no: asking again soon will not help
|   |-- RegistrationRefused    DPS refuses the onboarding credential, or the registration failed
|   |-- RegistrationDisabled   DPS knows the registration and it is disabled
|   `-- ConnectionRefused      IoT Hub refuses the operational certificate, or the device is disabled
|-- ReportRefused          the device twin does not take a patch
|-- IssuanceRefused        IoT Hub does not sign a request for a certificate, or not now
|-- KeyStoreLocked         the keys on the disk need another passphrase
|-- DirectoryInUse         another agent lives there
|-- Stopped                the agent was told to end
|-- InfrastructureFault    (shared.errors) a service cannot be reached or does not answer: retry later
|   |-- Throttled              (shared.errors) the same, and it said when
|   `-- DiskFault              the disk does not take or give what it should
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal

from shared.errors import FleetcertError, InfrastructureFault


class Barred(FleetcertError):
    """A service refused the device itself. `code` is the service's own: an error code of DPS, a return code of MQTT."""

    def __init__(self, service: Literal["DPS", "IoT Hub"], code: int, problem: str) -> None:
        super().__init__(f"{service} refuses: {problem} ({code})")
        self.service = service
        self.code = code
        self.problem = problem


class RegistrationRefused(Barred):
    """DPS does not register the device (HTTP 400, 401, 403, 404; or an operation that ended as `failed`)."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__("DPS", code, problem)


class RegistrationDisabled(Barred):
    """The registration ended as `disabled`."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__("DPS", code, problem)


class ConnectionRefused(Barred):
    """IoT Hub refused the MQTT CONNECT (return code 4 or 5). It does not say why: unknown, disabled or expired."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__("IoT Hub", code, problem)


class ReportRefused(FleetcertError):
    """The twin refused a reported patch with this HTTP status: the patch is at fault, and a retry will not help."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the twin refuses the patch ({status})")
        self.status = status


@dataclass(frozen=True, slots=True)
class IssuanceError:
    """IoT Hub's error document for a request over `$iothub/credentials`.

    code: six digits, e.g. 409004. retry_after: where the hub says it. info: e.g. `requestId` of a pending operation.
    """

    code: int
    message: str = ""
    retry_after: timedelta | None = None
    info: Mapping[str, str] = field(default_factory=dict)


class IssuanceRefused(FleetcertError):
    """IoT Hub answered a request for a certificate with an error."""

    def __init__(self, error: IssuanceError) -> None:
        super().__init__(f"IoT Hub does not issue: {error.message} ({error.code})")
        self.error = error


class KeyStoreLocked(FleetcertError):
    """A private key cannot be read with the passphrase that was given, or needs one."""

    def __init__(self, file: Path) -> None:
        super().__init__(f"{file} cannot be opened: give the passphrase that it was written with")
        self.file = file


class DirectoryInUse(FleetcertError):
    """Another agent has this directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"another agent lives in {directory}: end it, or give this one a directory of its own")
        self.directory = directory


class DiskFault(InfrastructureFault):
    """The disk is full, read-only or broken. Nothing that was on it before is lost."""

    def __init__(self, problem: OSError) -> None:
        super().__init__("disk", str(problem))


class Stopped(FleetcertError):
    """The agent was told to end while it waited for something."""
