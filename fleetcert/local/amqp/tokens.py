"""Security tokens as clients present them: checked against the credentials, and read for what they say."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote_plus, unquote

from fleetcert.local.amqp.grants import Scope, Service, is_below
from fleetcert.local.ports import Credentials

SAS_TOKEN_TYPE = "servicebus.windows.net:sastoken"  # noqa: S105 (the type of a token)
BEARER_TOKEN_TYPES = frozenset({"jwt", "bearer"})


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A put-token request. audience: what the client wants to use, e.g. `sb://host/hub`."""

    kind: str
    audience: str
    token: str

    def check(self, credentials: Credentials) -> tuple[Scope, datetime]:
        """What the token permits, and until when. Raises: PermissionError that says why not."""
        try:
            scope = Scope.of_audience(self.audience)
            return scope, self._expiry_once_checked(scope, credentials)
        except (ValueError, OverflowError, LookupError) as problem:
            raise PermissionError(f"MalformedToken: {problem}") from problem

    def _expiry_once_checked(self, scope: Scope, credentials: Credentials) -> datetime:
        if self.kind == SAS_TOKEN_TYPE:
            return self._check_sas(scope, credentials)
        if self.kind in BEARER_TOKEN_TYPES:
            return self._check_bearer(scope, credentials)
        raise PermissionError(f"tokens of type {self.kind!r} are not supported")

    def _check_sas(self, scope: Scope, credentials: Credentials) -> datetime:
        # IoT Hub's keys are base64 and sign as the bytes behind it, Event Hubs' keys sign as the text that they are.
        credentials.check_sas(self.token, key_is_base64=scope.service is Service.IOT_HUB)
        fields = parse_qs(self.token.partition(" ")[2])
        if not is_below(_resource(self.audience), _resource(fields["sr"][0])):
            raise PermissionError("InvalidAudience: the token was signed for another resource")
        return datetime.fromtimestamp(int(fields["se"][0]), UTC)

    def _check_bearer(self, scope: Scope, credentials: Credentials) -> datetime:
        token = self.token.removeprefix("Bearer ")
        credentials.check_bearer(token, scope.service.value)
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return datetime.fromtimestamp(claims["exp"], UTC)


def sign_as_client(resource: str, policy: str, key: str, expires_at: datetime) -> str:
    """A SAS token for a resource of Event Hubs, signed with a key that a client has handed over.

    Checking this token is checking the key, which the credentials themselves give to nobody.
    """
    quoted, expiry = quote_plus(resource), int(expires_at.timestamp())
    digest = hmac.digest(key.encode(), f"{quoted}\n{expiry}".encode(), hashlib.sha256)
    signature = quote_plus(base64.b64encode(digest))
    return f"SharedAccessSignature sr={quoted}&sig={signature}&se={expiry}&skn={quote_plus(policy)}"


def _resource(uri: str) -> str:
    """A URI as audiences compare: host and path, without the scheme."""
    return unquote(uri).rpartition("://")[2].strip("/").lower()
