"""Shared access signatures and bearer tokens: what is let in, and why the rest is not."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from fleetcert.local.credentials import LocalCredentials, SharedAccessPolicy, Tokens, shared_access_signature
from fleetcert.local.identity import API_AUDIENCE, operator_token, operator_tokens

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
HUB = "https://iothubs.azure.net"


class StoppedClock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant


CLOCK = StoppedClock()
TOKENS = Tokens(CLOCK)
OWNER = SharedAccessPolicy("iothubowner", ["localhost", "localhost:8443"])
EVENTS = SharedAccessPolicy("RootManageSharedAccessKey", ["localhost"], key_is_base64=False)
CREDENTIALS = LocalCredentials([OWNER, EVENTS], TOKENS, CLOCK)
IN_AN_HOUR = int(NOW.timestamp()) + 3600


def signature(
    resource: str = "localhost%3A8443", *, key: str = OWNER.key, expiry: int = IN_AN_HOUR, policy: str = OWNER.name
) -> str:
    return shared_access_signature(resource, base64.b64decode(key), expiry, policy)


@pytest.mark.parametrize(
    "resource", ["localhost%3A8443", "localhost", "localhost%2Fdevices", "https%3A%2F%2Flocalhost"]
)
def test_a_signature_for_the_service_is_accepted(resource: str):
    CREDENTIALS.check_sas(signature(resource), key_is_base64=True)


def test_event_hubs_sign_with_the_text_of_the_key():
    resource = "sb%3A%2F%2Flocalhost%2Fiot-events"
    token = shared_access_signature(resource, EVENTS.key.encode(), IN_AN_HOUR, EVENTS.name)
    CREDENTIALS.check_sas(token, key_is_base64=False)


def test_a_hubs_policy_opens_no_event_hub():
    token = shared_access_signature("localhost", OWNER.key.encode(), IN_AN_HOUR, OWNER.name)
    with pytest.raises(PermissionError, match="no shared access policy"):
        CREDENTIALS.check_sas(token, key_is_base64=False)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signature(key=SharedAccessPolicy("other", []).key), "does not match"),
        (signature(expiry=int(NOW.timestamp())), "expired"),
        (signature(policy="device"), "no shared access policy 'device'"),
        (signature("contoso.azure-devices.net"), "not this service"),
        (signature("localhost.contoso.net"), "not this service"),
        (signature().replace("sig=", "sig=%21"), "not base64"),
        (signature().replace("&se=", "&nothing="), "lacks se"),
        (signature().replace(f"&se={IN_AN_HOUR}", "&se=soon"), "numeric se"),
        (signature().replace(f"&se={IN_AN_HOUR}", f"&se={IN_AN_HOUR + 1}"), "does not match"),
        ("Bearer abc", "not a shared access signature"),
    ],
)
def test_any_other_signature_is_refused(token: str, reason: str):
    with pytest.raises(PermissionError, match=reason):
        CREDENTIALS.check_sas(token, key_is_base64=True)


@pytest.mark.parametrize("prefix", ["", "Bearer "])
@pytest.mark.parametrize("audience", [HUB, f"{HUB}/"])
def test_a_token_for_the_resource_is_accepted(prefix: str, audience: str):
    token, _ = TOKENS.issue(audience, {}, timedelta(hours=1))
    CREDENTIALS.check_bearer(prefix + token, HUB)


def test_a_token_for_another_resource_is_refused():
    token, _ = TOKENS.issue("https://eventhubs.azure.net", {}, timedelta(hours=1))
    with pytest.raises(PermissionError, match="Audience"):
        CREDENTIALS.check_bearer(token, HUB)


def test_a_token_ends_at_its_expiry():
    clock = StoppedClock()
    tokens = Tokens(clock)
    credentials = LocalCredentials([], tokens, clock)
    token, expiry = tokens.issue(HUB, {}, timedelta(hours=1))
    clock.instant = NOW + timedelta(minutes=59, seconds=59)
    credentials.check_bearer(token, HUB)
    clock.instant = NOW + timedelta(hours=1)
    with pytest.raises(PermissionError, match="expired"):
        credentials.check_bearer(token, HUB)
    assert expiry == int(clock.instant.timestamp())


def test_a_token_that_another_start_signed_is_refused():
    token, _ = Tokens(CLOCK).issue(HUB, {}, timedelta(hours=1))
    with pytest.raises(PermissionError, match="Signature"):
        CREDENTIALS.check_bearer(token, HUB)


def test_an_unsigned_token_is_refused():
    claims = {"iss": "x", "aud": HUB, "exp": IN_AN_HOUR, "nbf": 0}
    with pytest.raises(PermissionError):
        CREDENTIALS.check_bearer(jwt.encode(claims, None, "none"), HUB)


def test_the_key_set_verifies_a_token_by_its_key_id():
    token, _ = TOKENS.issue(HUB, {}, timedelta(hours=1))
    keys = jwt.PyJWKSet.from_dict(TOKENS.key_set())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key, ["ES256"], audience=HUB, options={"verify_exp": False, "verify_iat": False})
    assert claims["aud"] == HUB


def test_an_operators_token_carries_one_role_and_that_for_all_every_role():
    claims = {role: TOKENS.claims(token, API_AUDIENCE) for role, token in operator_tokens(TOKENS).items()}
    assert claims["Fleet.Read"]["roles"] == ["Fleet.Read"]
    assert claims["all"]["roles"] == ["Fleet.Read", "Certificates.Renew", "Devices.Contain"]
    assert len({c["oid"] for c in claims.values()}) == 4
    assert all({"oid", "appid", "tid", "name"} <= c.keys() for c in claims.values())


def test_an_operators_token_can_carry_several_roles():
    claims = TOKENS.claims(operator_token(TOKENS, "Fleet.Read,Certificates.Renew"), API_AUDIENCE)
    assert claims["roles"] == ["Fleet.Read", "Certificates.Renew"]


@pytest.mark.parametrize("roles", ["Owner", "Fleet.Read,Owner", "", "Fleet.Read,"])
def test_there_is_no_token_for_an_unknown_role(roles: str):
    with pytest.raises(ValueError, match="no role"):
        operator_token(TOKENS, roles)
