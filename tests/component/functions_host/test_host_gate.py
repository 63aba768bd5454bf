"""The gate in front of the functions: App Service Authentication, played locally."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def seen_principal(answer: httpx.Response) -> dict[str, Any]:
    return json.loads(base64.b64decode(answer.json()["headers"]["x-ms-client-principal"]))


def test_a_valid_token_becomes_the_principal(http: httpx.Client, identity: Any) -> None:
    token = identity.token(oid="object-1", appid="app-1", name="Ada", roles=["Fleet.Read", "Devices.Contain"])

    answer = http.get("/api/echo", headers=bearer(token))

    principal = seen_principal(answer)
    assert (principal["auth_typ"], principal["role_typ"]) == ("aad", "roles")
    claims = [(claim["typ"], claim["val"]) for claim in principal["claims"]]
    assert {(OBJECT_ID, "object-1"), ("appid", "app-1"), ("name", "Ada")} <= set(claims)
    assert [value for kind, value in claims if kind == "roles"] == ["Fleet.Read", "Devices.Contain"]
    assert answer.json()["headers"]["x-ms-client-principal-id"] == "object-1"


def test_without_a_token_there_is_no_principal(http: httpx.Client) -> None:
    headers = http.get("/api/echo").json()["headers"]

    assert not [name for name in headers if name.startswith("x-ms-client-principal")]


@pytest.mark.parametrize("with_token", [False, True])
def test_a_forged_principal_never_reaches_the_app(http: httpx.Client, identity: Any, with_token: bool) -> None:
    forged = {
        "X-MS-CLIENT-PRINCIPAL": base64.b64encode(b'{"claims":[{"typ":"roles","val":"Devices.Contain"}]}').decode(),
        "x-Ms-Client-Principal-Id": "forged",
        "X-MS-CLIENT-PRINCIPAL-FORGED": "forged",
        "X-MS-TOKEN-AAD-ID-TOKEN": "forged",
    }
    token = bearer(identity.token(oid="object-1", roles=["Fleet.Read"])) if with_token else {}

    headers = http.get("/api/echo", headers=forged | token).json()["headers"]

    assert "forged" not in str(headers)
    assert ("x-ms-client-principal" in headers) is with_token
    if with_token:
        assert "Devices.Contain" not in base64.b64decode(headers["x-ms-client-principal"]).decode()


def forged_tokens(identity: Any) -> dict[str, str]:
    claims = {"aud": "api://fleetcert", "exp": 4_000_000_000, "roles": ["Devices.Contain"]}
    key_id = jwt.get_unverified_header(identity.token())["kid"]
    stranger = ec.generate_private_key(ec.SECP256R1())
    return {
        "expired": identity.token(lifetime=timedelta(seconds=-1)),
        "for somebody else": identity.token("https://iothubs.azure.net"),
        "signed by a stranger": jwt.encode(claims, stranger, "ES256", headers={"kid": key_id}),
        "of an unknown key": jwt.encode(claims, stranger, "ES256", headers={"kid": "unknown"}),
        "not signed": jwt.encode(claims, None, "none", headers={"kid": key_id}),
        "not a token": "abc",
    }


@pytest.mark.parametrize(
    "kind",
    ["expired", "for somebody else", "signed by a stranger", "of an unknown key", "not signed", "not a token"],
)
def test_a_token_that_is_not_valid_is_refused(http: httpx.Client, identity: Any, kind: str) -> None:
    answer = http.get("/api/echo", headers=bearer(forged_tokens(identity)[kind]))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_a_bearer_header_without_a_token_is_refused(http: httpx.Client) -> None:
    assert http.get("/api/echo", headers={"Authorization": "Bearer"}).status_code == 401


def test_a_browser_signs_in_gets_a_cookie_and_signs_out(http: httpx.Client) -> None:
    login = http.get("/.auth/login/local", params={"role": "Fleet.Read", "post_login_redirect_uri": "/api/echo"})
    assert (login.status_code, login.headers["location"]) == (302, "/api/echo")
    assert "HttpOnly" in login.headers["set-cookie"]

    claims = seen_principal(http.get("/api/echo"))["claims"]
    assert [claim["val"] for claim in claims if claim["typ"] == "roles"] == ["Fleet.Read"]
    assert http.get("/.auth/me").json()[0]["user_id"] == "Local operator (Fleet.Read)"

    http.get("/.auth/logout")
    assert http.get("/.auth/me").status_code == 401


def test_several_roles_can_be_had_at_once(http: httpx.Client) -> None:
    http.get("/.auth/login/local?role=Fleet.Read&role=Certificates.Renew&post_login_redirect_uri=/api/echo")
    claims = seen_principal(http.get("/api/echo"))["claims"]
    assert [claim["val"] for claim in claims if claim["typ"] == "roles"] == ["Fleet.Read", "Certificates.Renew"]


def test_where_azure_shows_entras_sign_in_one_is_asked_for_the_roles(http: httpx.Client) -> None:
    page = http.get("/.auth/login/aad", params={"post_login_redirect_uri": '/api/echo?"><b>'})
    assert page.headers["content-type"].startswith("text/html")
    assert [role in page.text for role in ("Fleet.Read", "Certificates.Renew", "Devices.Contain")] == [True] * 3
    assert 'value="/api/echo?&quot;&gt;&lt;b&gt;"' in page.text
    elsewhere = http.get("/.auth/login/aad", params={"post_login_redirect_uri": "https://example.org/"})
    assert "example.org" not in elsewhere.text


def test_a_role_that_there_is_not_cannot_sign_in(http: httpx.Client) -> None:
    assert http.get("/.auth/login/local", params={"role": "Owner"}).status_code == 400


@pytest.mark.parametrize("target", ["https://example.org/", "//example.org", "/\\example.org"])
def test_a_login_does_not_lead_to_another_site(http: httpx.Client, target: str) -> None:
    login = http.get("/.auth/login/local", params={"role": "all", "post_login_redirect_uri": target})

    assert login.headers["location"] == "/"


def test_me_is_refused_to_who_is_not_signed_in(http: httpx.Client) -> None:
    assert http.get("/.auth/me").status_code == 401
