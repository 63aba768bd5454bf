"""States and kinds that callers meet by name. They stand apart, so that a cold start can load them alone."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a device stands."""

    UNKNOWN = "unknown"
    PROVISIONAL = "provisional"
    VALID = "valid"
    DUE = "due"
    DISPATCHING = "dispatching"
    COMMANDED = "commanded"
    OVERDUE = "overdue"
    EXPIRED = "expired"
    DISABLED = "disabled"
    RETIRED = "retired"


class Evidence(StrEnum):
    """How a certificate is known, weakest first."""

    INFERRED = "inferred"
    REPORTED = "reported"
    PARSED = "parsed"
    VERIFIED = "verified"

    @property
    def strength(self) -> int:
        """A number to compare by: more is stronger."""
        return list(Evidence).index(self)


class Before(StrEnum):
    """What stood at a place before a device was shut out there."""

    ABSENT = "absent"
    ENABLED = "enabled"
    DISABLED = "disabled"


class BlockState(StrEnum):
    """How sure it is that DPS turns the device away."""

    BLOCKED = "blocked"
    BLOCKED_UNVERIFIED = "blocked-unverified"


class OperationKind(StrEnum):
    """What there is that takes long."""

    BULK_RENEW = "bulk-renew"
    BULK_DISABLE = "bulk-disable"
    EXPORT = "export"


class OperationState(StrEnum):
    """Where an operation stands. It leaves `running` once, for good."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
