"""Who may call the local Azure: shared access policies, and bearer tokens of the local identity endpoint."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from shared.clock import Clock, SystemClock

TENANT_ID: Final = str(uuid.uuid5(uuid.NAMESPACE_URL, "fleetcert/local/tenant"))
ISSUER: Final = f"https://sts.windows.net/{TENANT_ID}/"
_ALGORITHM: Final = "ES256"
_TIME_IS_OURS: Final[Any] = {
    "require": ["exp", "nbf", "iss", "aud"],
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat"), False),
}
"""PyJWT's options: our clock decides on times, so that tests can move it."""
_SAS_PREFIX: Final = "SharedAccessSignature "


def random_key() -> str:
    """A shared access key as Azure makes them: 32 random octets in base64."""
    return base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True, slots=True)
class SharedAccessPolicy:
    """A key with a name.

    resources: what its tokens may be for, as `host[:port]`, without scheme and path.
    key_is_base64: IoT Hub and DPS sign with the decoded key, Event Hubs with the key's text.
    """

    name: str
    resources: Sequence[str]
    key_is_base64: bool = True
    key: str = field(default_factory=random_key, repr=False)


def shared_access_signature(resource: str, key: bytes, expiry: int, policy: str) -> str:
    """A SAS token (Azure docs: IoT Hub, control access with SAS).

    resource: as it goes into the token, URL-encoded or not: it is signed as written. expiry: Unix time in seconds.
    """
    signature = quote(base64.b64encode(_sign(resource, str(expiry), key)), safe="")
    return f"{_SAS_PREFIX}sr={resource}&sig={signature}&se={expiry}&skn={policy}"


class Tokens:
    """Makes and checks the bearer tokens of one start of the local Azure, signed with a P-256 key kept in memory."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._key_id = secrets.token_hex(8)

    def issue(self, audience: str, claims: Mapping[str, Any], lifetime: timedelta) -> tuple[str, int]:
        """A signed token with the standard claims and `claims`, and its expiry in Unix time."""
        now = int(self._clock.now().timestamp())
        expiry = now + int(lifetime.total_seconds())
        standard = {"iss": ISSUER, "tid": TENANT_ID, "aud": audience, "iat": now, "nbf": now, "exp": expiry}
        token = jwt.encode({**claims, **standard}, self._key, _ALGORITHM, headers={"kid": self._key_id})
        return token, expiry

    def claims(self, token: str, audience: str) -> dict[str, Any]:
        """The claims of a token for `audience`. Raises: PermissionError that says why."""
        # azure-identity cuts scopes into resources: with or without a slash at the end they are the same.
        audiences = [audience.rstrip("/"), audience.rstrip("/") + "/"]
        key = self._key.public_key()
        try:
            claims = jwt.decode(token, key, [_ALGORITHM], audience=audiences, issuer=ISSUER, options=_TIME_IS_OURS)
        except jwt.PyJWTError as problem:
            raise PermissionError(f"the bearer token is not valid: {problem}") from problem
        if not claims["nbf"] <= self._clock.now().timestamp() < claims["exp"]:
            raise PermissionError("the bearer token is expired or not valid yet")
        return claims

    def key_set(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        key = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": _ALGORITHM}]}


class LocalCredentials:
    """The callers of one service: implements `fleetcert.local.ports.Credentials`."""

    def __init__(self, policies: Sequence[SharedAccessPolicy], tokens: Tokens, clock: Clock | None = None) -> None:
        self._policies = {policy.name: policy for policy in policies}
        self._tokens = tokens
        self._clock = clock or SystemClock()

    def check_sas(self, token: str, *, key_is_base64: bool) -> None:
        """Checks policy, resource, expiry and signature. Raises: PermissionError that says why."""
        fields = _sas_fields(token)
        policy = self._policies.get(fields["skn"])
        if policy is None or policy.key_is_base64 != key_is_base64:
            raise PermissionError(f"there is no shared access policy {fields['skn']!r}")
        if not _covers(policy.resources, fields["sr"]):
            raise PermissionError(f"the signature is for {unquote(fields['sr'])!r}, which is not this service")
        key = base64.b64decode(policy.key) if key_is_base64 else policy.key.encode()
        if not hmac.compare_digest(_sign(fields["sr"], fields["se"], key), _signature(fields["sig"])):
            raise PermissionError("the signature does not match")
        if int(fields["se"]) <= self._clock.now().timestamp():
            raise PermissionError("the signature is expired")

    def check_bearer(self, token: str, resource: str) -> None:
        """Checks a token, with or without the word `Bearer` before it. Raises: PermissionError that says why."""
        self._tokens.claims(token.removeprefix("Bearer "), resource)


def _sas_fields(token: str) -> dict[str, str]:
    """The members of a SAS token; `sr` as written, because that is what is signed."""
    if not token.startswith(_SAS_PREFIX):
        raise PermissionError("not a shared access signature")
    body = token.removeprefix(_SAS_PREFIX)
    fields = dict(parse_qsl(body, keep_blank_values=True))
    fields["sr"] = next((part[3:] for part in body.split("&") if part.startswith("sr=")), "")
    missing = [name for name in ("sr", "sig", "se", "skn") if not fields.get(name)]
    if missing or not fields["se"].isdecimal():
        raise PermissionError(f"the shared access signature lacks {', '.join(missing) or 'a numeric se'}")
    return fields


def _covers(resources: Sequence[str], signed: str) -> bool:
    authority = re.sub(r"^\w+://", "", unquote(signed)).partition("/")[0]
    return authority.lower() in resources


def _sign(resource: str, expiry: str, key: bytes) -> bytes:
    return hmac.digest(key, f"{resource}\n{expiry}".encode(), hashlib.sha256)


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as problem:
        raise PermissionError("the signature is not base64") from problem
