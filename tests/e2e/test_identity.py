"""The identity endpoint as azure-identity's own ManagedIdentityCredential meets it, and the operators' tokens."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

ROLES = {"Fleet.Read", "Certificates.Renew", "Devices.Contain"}


def verified(azure: dict[str, Any], token: str, audience: str) -> dict[str, Any]:
    """The claims, checked with nothing but the published keys."""
    keys = jwt.PyJWKClient(azure["identity_endpoint"].replace("/msi/token", "/discovery/keys"))
    return jwt.decode(token, keys.get_signing_key_from_jwt(token), ["ES256"], audience=audience)


def test_a_managed_identity_gets_a_token_for_the_resource_that_it_asks_for(azure: dict[str, Any]):
    token = ManagedIdentityCredential().get_token("https://iothubs.azure.net/.default")
    claims = verified(azure, token.token, "https://iothubs.azure.net")
    assert token.expires_on == claims["exp"]
    assert {"oid", "appid", "tid"} <= claims.keys()


def test_a_wrong_identity_header_is_refused(azure: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IDENTITY_HEADER", "guessed")
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://iothubs.azure.net/.default")


def test_an_identity_that_is_not_assigned_is_refused(azure: dict[str, Any]):
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential(client_id="11111111-1111-1111-1111-111111111111").get_token("https://x.net/.default")


@pytest.mark.parametrize("parameters", [{"api-version": "2019-08-01"}, {"api-version": "2017-09-01", "resource": "x"}])
def test_a_request_without_resource_or_of_another_version_is_bad(azure: dict[str, Any], parameters: dict[str, str]):
    header = {"X-IDENTITY-HEADER": azure["identity_header"]}
    assert httpx.get(azure["identity_endpoint"], params=parameters, headers=header).status_code == 400


def test_there_is_an_operators_token_for_every_role_and_one_for_all(azure: dict[str, Any]):
    claims = {role: verified(azure, token, "api://fleetcert") for role, token in azure["roles"].items()}
    assert {role: set(c["roles"]) for role, c in claims.items()} == {**{r: {r} for r in ROLES}, "all": ROLES}
    assert all(c["oid"] and c["appid"] and c["tid"] and c["name"] for c in claims.values())


def test_a_browser_gets_a_token_for_a_role_that_exists_only(azure: dict[str, Any]):
    url = azure["identity_endpoint"].replace("/msi/token", "/local/token")
    token = httpx.get(url, params={"role": "Fleet.Read"}).json()["access_token"]
    assert verified(azure, token, "api://fleetcert")["roles"] == ["Fleet.Read"]
    assert httpx.get(url, params={"role": "Owner"}).status_code == 400
