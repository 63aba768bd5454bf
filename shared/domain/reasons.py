"""Why a record is as it is: constants that operators meet in the API, in alerts, in the history and in logs."""

from __future__ import annotations

from typing import Final

# why a device is in its state
NO_CERTIFICATE: Final = "NoCertificate"
REGISTERED: Final = "Registered"
CERTIFICATE_CURRENT: Final = "CertificateCurrent"
COMMAND_QUEUED: Final = "CommandQueued"
COMMAND_IN_FLIGHT: Final = "CommandInFlight"
COMMAND_THROTTLED: Final = "CommandThrottled"
DEVICE_QUEUE_FULL: Final = "DeviceQueueFull"
DEVICE_UNREACHABLE: Final = "DeviceUnreachable"
OVER_BUDGET: Final = "OverBudget"
CERTIFICATE_EXPIRED: Final = "CertificateExpired"
CONTAINING: Final = "Containing"
CONTAINED: Final = "Contained"
IDENTITY_DELETED: Final = "IdentityDeleted"
EVALUATION_FAILED: Final = "EvaluationFailed"
PAUSED: Final = "Paused"
WAITS_FOR_WINDOW: Final = "WaitsForMaintenanceWindow"
ISSUER_REVOKED: Final = "IssuerRevoked"

# why a device is asked to renew (these travel in the command)
WINDOW_OPEN: Final = "windowOpen"
REQUESTED: Final = "requested"
ISSUER_ROTATED: Final = "issuerRotated"
NO_TIME_TO_WAIT: Final = "noTimeToWait"

# what the history says happened
HISTORY_REGISTERED: Final = "registered"
HISTORY_ISSUED: Final = "certificateIssued"
HISTORY_RENEWED: Final = "certificateRenewed"
HISTORY_CONFIRMED: Final = "certificateConfirmed"
HISTORY_REMOVED: Final = "certificateRemoved"
HISTORY_MISMATCH: Final = "evidenceMismatch"
HISTORY_CREATED: Final = "identityCreated"
HISTORY_DELETED: Final = "identityDeleted"
HISTORY_COMMANDED: Final = "renewalCommanded"
HISTORY_COMMAND_SENT: Final = "commandSent"
HISTORY_COMMAND_REFUSED: Final = "commandRefused"
HISTORY_OVERDUE: Final = "renewalOverdue"
HISTORY_EXPIRED: Final = "certificateExpired"
HISTORY_RENEWAL_REQUESTED: Final = "renewalRequested"
HISTORY_DISABLE_REQUESTED: Final = "disableRequested"
HISTORY_HUB_DISABLED: Final = "hubIdentityDisabled"
HISTORY_DPS_BLOCKED: Final = "registrationBlocked"
HISTORY_DISCONNECTED: Final = "disconnectionVerified"
HISTORY_REFUSED: Final = "registrationRefused"
HISTORY_FOUND: Final = "foundInHub"
HISTORY_RECONCILED: Final = "reconciled"
HISTORY_REENABLED: Final = "reenabledElsewhere"
HISTORY_UNCONFIRMED: Final = "issuanceUnconfirmed"
HISTORY_EVALUATION_FAILED: Final = "evaluationFailed"

# what became of a command that was sent, as IoT Hub's feedback tells
COMMAND_DELIVERED: Final = "CommandDelivered"
COMMAND_EXPIRED: Final = "CommandExpired"
COMMAND_UNDELIVERABLE: Final = "CommandUndeliverable"
COMMAND_REJECTED: Final = "CommandRejected"
COMMAND_PURGED: Final = "CommandPurged"
HISTORY_COMMAND_ANSWERED: Final = "commandAnswered"
