"""What can go wrong between a device and the cloud.

FleetcertError
|-- Barred                 somebody who may decide says no: asking again soon will not help
|   |-- RegistrationRefused    DPS refuses the onboarding credential, or the registration failed
|   |-- RegistrationDisabled   DPS knows the registration and it is disabled
|   `-- ConnectionRefused      IoT Hub refuses the operational certificate, or the device is disabled
|-- ReportRefused          the device twin does not take a patch
|-- InfrastructureFault    (shared.errors) a service cannot be reached or does not answer: retry later
|   `-- Throttled          (shared.errors) the same, and it said when
"""

from __future__ import annotations

from typing import Literal

from shared.errors import FleetcertError


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


class Stopped(FleetcertError):
    """The agent was told to end while it waited for something."""
