"""The errors of the product. Each carries the data that its reader needs; the HTTP edge turns them into problems.

FleetcertError
|-- SettingsError          a setting is missing or wrong: names it and the fix
|-- BadEvent               an event that will never be understood: becomes a dead letter
|-- NotFound               no such device or operation
|-- NotPossible            the request contradicts the state it meets
|   |-- TooManyAffected    a bulk request would touch more devices than it may
|   `-- RevocationUnavailable   no ADR namespace is configured: `disable` is the way
|-- CommandRefused         IoT Hub will not take a command for this device
|-- EnrollmentRefused      DPS will not take an enrollment as it is
|-- Conflict               somebody else wrote first: read again
|-- PreconditionFailed     the caller knows another version than the one that stands
|-- KeyReused              an idempotency key came with another request
|-- InFlight               the same request is being worked on
|-- LimitReached           so much is under way that no more is begun now
`-- InfrastructureFault    a service did not do its part: retry later
    `-- Throttled          the same, and it said when
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal


class FleetcertError(Exception):
    """The root of all errors that this project raises on purpose."""


class SettingsError(FleetcertError):
    """A setting is missing or wrong."""

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"setting {setting}: {problem}")
        self.setting = setting
        self.problem = problem


class BadEvent(FleetcertError):
    """An event that no retry will make readable. `reason` is short and goes into the dead letter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotFound(FleetcertError):
    """There is no such thing."""

    def __init__(self, what: str, identifier: str) -> None:
        super().__init__(f"{what} {identifier!r} is not known")
        self.what = what
        self.identifier = identifier


class NotPossible(FleetcertError):
    """The request is understood and contradicts the state that it meets."""


class TooManyAffected(NotPossible):
    """A bulk request would touch more devices than its author allowed. affected: so many were found, perhaps more."""

    def __init__(self, affected: int, max_affected: int) -> None:
        super().__init__(
            f"{affected} devices or more would be touched, and maxAffected is {max_affected}: look at the dry run, "
            "then choose fewer devices or raise maxAffected"
        )
        self.affected = affected
        self.max_affected = max_affected


class RevocationUnavailable(NotPossible):
    """Certificates cannot be revoked here."""

    def __init__(self) -> None:
        super().__init__(
            "certificates can be revoked only where ADR_GENERATION and ADR_NAMESPACE_ID name an ADR namespace: "
            "`disable` shuts the device out at IoT Hub and DPS without one"
        )


class Conflict(FleetcertError):
    """A row changed between reading and writing."""


class PreconditionFailed(FleetcertError):
    """What the caller knows is not what stands: read it again."""


class KeyReused(FleetcertError):
    """An idempotency key stands for one request, and came with another."""

    def __init__(self) -> None:
        super().__init__("this idempotency key was used for another request: take a new one")


class InFlight(FleetcertError):
    """A request with this idempotency key is being worked on. retry_after: when its answer is known at the latest."""

    def __init__(self, retry_after: timedelta) -> None:
        super().__init__("a request with this idempotency key is being worked on: ask again for its answer")
        self.retry_after = retry_after


class LimitReached(FleetcertError):
    """So much is under way that no more is begun now."""

    def __init__(self, what: str, limit: int, retry_after: timedelta) -> None:
        super().__init__(f"{limit} {what} are under way, and no more at a time: wait, or cancel one")
        self.retry_after = retry_after


class CommandRefused(FleetcertError):
    """IoT Hub will not take a command for this device.

    condition: "queue-full" (403004, 50 are pending), "unreachable" (404001: unknown or disabled).
    """

    def __init__(self, condition: Literal["queue-full", "unreachable"], detail: str) -> None:
        super().__init__(f"{condition}: {detail}")
        self.condition = condition


class EnrollmentRefused(FleetcertError):
    """DPS will not take an enrollment as it is, e.g. for the certificate in it. No retry helps."""


class InfrastructureFault(FleetcertError):
    """A service that we depend on failed; nothing is known to be lost, and a retry is right."""

    def __init__(self, service: str, problem: str) -> None:
        super().__init__(f"{service}: {problem}")
        self.service = service
        self.problem = problem


class Throttled(InfrastructureFault):
    """A service asked for patience."""

    def __init__(self, service: str, retry_after: timedelta) -> None:
        super().__init__(service, f"throttled, retry after {retry_after.total_seconds():.0f} s")
        self.retry_after = retry_after
