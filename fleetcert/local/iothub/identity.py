"""Device identities: what the registry's document may say, and what the hub adds to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fleetcert.local.instants import precise_or_never
from fleetcert.local.iothub.errors import invalid_argument
from fleetcert.local.iothub.etags import identity_etag
from fleetcert.local.symmetric_keys import SymmetricKeys

MAX_STATUS_REASON: Final = 128
"""Characters (Azure docs: IoT Hub identity registry)."""

_DEVICE_ID: Final = re.compile(r"[A-Za-z0-9\-:.+%_#*?!(),=@;$']{1,128}")
_THUMBPRINT: Final = re.compile(r"[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")
_AUTHENTICATION_TYPES: Final = ("sas", "selfSigned", "certificateAuthority", "none")


@dataclass(frozen=True, slots=True)
class IdentityWrite:
    """The members of an identity that a back end may write; those that a PUT leaves out fall back to the default.

    Members that IoT Hub does not know are ignored, and so are those that it alone writes (assumed: the SDKs send whole
    documents back).
    """

    authentication: Mapping[str, Any]
    status: str = "enabled"
    status_reason: str | None = None
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"iotEdge": False})
    device_scope: str | None = None
    parent_scopes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> IdentityWrite:
        """What a PUT or a bulk entry asks for. Raises: HubError 400004."""
        return cls(
            authentication=parse_authentication(document.get("authentication")),
            status=_status(document.get("status")),
            status_reason=_status_reason(document.get("statusReason")),
            capabilities={"iotEdge": bool((document.get("capabilities") or {}).get("iotEdge", False))},
            device_scope=document.get("deviceScope"),
            parent_scopes=tuple(document.get("parentScopes") or ()),
        )


@dataclass(slots=True)
class Identity:
    """A device's identity. `generation_id` tells devices apart that bore the same id one after the other."""

    device_id: str
    generation_id: str
    written: IdentityWrite
    version: int
    status_updated_at: datetime | None = None
    connection_updated_at: datetime | None = None
    last_activity_at: datetime | None = None

    @property
    def etag(self) -> str:
        """The ETag, without quotes."""
        return identity_etag(self.version)

    @property
    def enabled(self) -> bool:
        """Whether the device may connect."""
        return self.written.status == "enabled"

    def rewrite(self, written: IdentityWrite, version: int, now: datetime) -> None:
        """Takes over what a back end wrote."""
        if written.status != self.written.status:
            self.status_updated_at = now
        self.written = written
        self.version = version

    def document(self, *, connected: bool, pending_messages: int) -> dict[str, Any]:
        """The identity as the REST API gives it (api-version 2021-04-12)."""
        document: dict[str, Any] = {
            "deviceId": self.device_id,
            "generationId": self.generation_id,
            "etag": self.etag,
            "connectionState": "Connected" if connected else "Disconnected",
            "status": self.written.status,
            "statusReason": self.written.status_reason,
            "connectionStateUpdatedTime": precise_or_never(self.connection_updated_at),
            "statusUpdatedTime": precise_or_never(self.status_updated_at),
            "lastActivityTime": precise_or_never(self.last_activity_at),
            "cloudToDeviceMessageCount": pending_messages,
            "authentication": authentication_document(self.written.authentication),
            "capabilities": dict(self.written.capabilities),
        }
        if self.written.device_scope is not None:
            document["deviceScope"] = self.written.device_scope
        if self.written.parent_scopes:
            document["parentScopes"] = list(self.written.parent_scopes)
        return document


def check_device_id(device_id: Any) -> str:
    """The device id. Raises: HubError 400004 where it breaks IoT Hub's grammar."""
    if not isinstance(device_id, str) or not _DEVICE_ID.fullmatch(device_id):
        raise invalid_argument(f"The device identifier {device_id!r} is invalid.")
    return device_id


def parse_authentication(document: Any) -> Mapping[str, Any]:
    """An identity's authentication: {"type", "symmetricKey"?, "x509Thumbprint"?}, complete.

    Without one the device gets generated symmetric keys, as in Azure. Raises: HubError 400004.
    """
    document = document or {}
    kind = document.get("type") or "sas"
    if kind not in _AUTHENTICATION_TYPES:
        raise invalid_argument(f"The authentication type {kind!r} is unknown.")
    if kind == "sas":
        return {"type": kind, "symmetricKey": _symmetric_key(document.get("symmetricKey") or {})}
    if kind == "selfSigned":
        return {"type": kind, "x509Thumbprint": _thumbprints(document.get("x509Thumbprint") or {})}
    return {"type": kind}


def authentication_document(authentication: Mapping[str, Any]) -> dict[str, Any]:
    """The authentication with every member, null where the type does not use it."""
    return {
        "symmetricKey": {"primaryKey": None, "secondaryKey": None},
        "x509Thumbprint": {"primaryThumbprint": None, "secondaryThumbprint": None},
        **authentication,
    }


def _status(status: Any) -> str:
    if status not in (None, "enabled", "disabled"):
        raise invalid_argument(f"The status {status!r} is neither enabled nor disabled.")
    return status or "enabled"


def _status_reason(reason: Any) -> str | None:
    if reason is not None and (not isinstance(reason, str) or len(reason) > MAX_STATUS_REASON):
        raise invalid_argument(f"The statusReason exceeds {MAX_STATUS_REASON} characters.")
    return reason


def _symmetric_key(document: Mapping[str, Any]) -> dict[str, str]:
    """Both keys in base64; those that are missing are generated."""
    generated = SymmetricKeys.generate().to_wire()
    keys = {name: document.get(name) or value for name, value in generated.items()}
    try:
        return SymmetricKeys.from_base64(keys["primaryKey"], keys["secondaryKey"]).to_wire()
    except (TypeError, ValueError) as problem:
        raise invalid_argument(f"Invalid symmetric keys: {problem}") from problem


def _thumbprints(document: Mapping[str, Any]) -> dict[str, str | None]:
    thumbprints = {name: document.get(name) for name in ("primaryThumbprint", "secondaryThumbprint")}
    for thumbprint in thumbprints.values():
        if thumbprint is not None and not (isinstance(thumbprint, str) and _THUMBPRINT.fullmatch(thumbprint)):
            raise invalid_argument("A thumbprint must be SHA-1 or SHA-256 in hex.")
    if not any(thumbprints.values()):
        raise invalid_argument("A self-signed device needs a thumbprint.")
    return thumbprints
