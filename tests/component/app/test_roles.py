"""Every route against every kind of caller, through the gate that the local functions host plays."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest

from fleetcert.local.credentials import Tokens
from fleetcert.local.identity import API_AUDIENCE
from shared.schemas import examples
from shared.schemas.access import Role
from shared.schemas.routes import ROUTES
from shared.schemas.routing import Route

ALL = [role.value for role in Role]
GUARDED = [route for route in ROUTES if route.roles]
OPEN = [route for route in ROUTES if not route.roles]


def forged(*roles: str) -> dict[str, str]:
    """What somebody would write who knows what the platform injects."""
    claims = [{"typ": "oid", "val": "o-0"}, *({"typ": "roles", "val": role} for role in roles)]
    principal = {"auth_typ": "aad", "role_typ": "roles", "claims": claims}
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode()}


def path_of(route: Route[Any, Any]) -> str:
    given = {"deviceId": "dev-1", "operationId": "0" * 15 + "-0123abcd", "suppressionId": "0-1", "file": "app.js"}
    return route.path.format(**{name: given[name] for name in route.parameters})


async def asked(served: Any, route: Route[Any, Any], token: str | None, **request: Any) -> Any:
    body = {"json": examples.of(route.body)} if route.body else {}
    return await served.ask(route.method, path_of(route), token, **body, **request)


def named(route: Route[Any, Any]) -> str:
    return route.name


@pytest.mark.parametrize("route", GUARDED, ids=named)
async def test_nobody_passes_without_a_token_whatever_header_they_forge(served: Any, route: Route[Any, Any]):
    for headers in ({}, forged(*ALL)):
        answer = await asked(served, route, None, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["type"] == "urn:fleetcert:problem:unauthenticated"


@pytest.mark.parametrize("roles", [[], *([role] for role in ALL), ALL], ids=lambda roles: "+".join(roles) or "none")
@pytest.mark.parametrize("route", GUARDED, ids=named)
async def test_a_route_opens_to_its_roles_and_to_no_other(served: Any, route: Route[Any, Any], roles: list[str]):
    may = bool({role.value for role in route.roles} & set(roles))
    for headers in ({}, forged(*ALL)):  # a forged header adds nothing to what the token proves
        answer = await asked(served, route, served.token(*roles), headers=headers)
        assert (answer.status_code in (401, 403)) is not may, answer.text
        if not may:
            assert answer.json()["type"] == "urn:fleetcert:problem:forbidden"


def expired(tokens: Tokens) -> str:
    claims = {"oid": "o-1", "roles": ALL}
    return tokens.issue(API_AUDIENCE, claims, timedelta(seconds=-1))[0]


def of_another_issuer(_: Tokens) -> str:
    return Tokens().issue(API_AUDIENCE, {"oid": "o-1", "roles": ALL}, timedelta(hours=1))[0]


def for_another_app(tokens: Tokens) -> str:
    return tokens.issue("https://iothubs.azure.net", {"oid": "o-1", "roles": ALL}, timedelta(hours=1))[0]


def of_another_tenant(tokens: Tokens) -> str:
    """Well signed, for this app, and of a tenant that is not the fleet's."""
    known = jwt.decode(tokens.issue(API_AUDIENCE, {"oid": "o-1", "roles": ALL}, timedelta(hours=1))[0], options=UNREAD)
    key_id = tokens.key_set()["keys"][0]["kid"]
    return jwt.encode({**known, "tid": "22222222-2222-2222-2222-222222222222"}, tokens._key, "ES256", {"kid": key_id})


def without_signature(_: Tokens) -> str:
    return jwt.encode({"oid": "o-1", "roles": ALL, "aud": API_AUDIENCE, "exp": 9_999_999_999}, "", "none")


def garbage(_: Tokens) -> str:
    return "not.a.token"


UNREAD: Any = {"verify_signature": False}
BAD_TOKENS = [expired, of_another_issuer, for_another_app, of_another_tenant, without_signature, garbage]


@pytest.mark.parametrize("make", BAD_TOKENS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("route", GUARDED, ids=named)
async def test_a_token_that_is_not_for_here_and_now_opens_nothing(
    served: Any, route: Route[Any, Any], make: Callable[[Tokens], str]
):
    answer = await asked(served, route, make(served.tokens), headers=forged(*ALL))
    assert answer.status_code == 401


@pytest.mark.parametrize("route", OPEN, ids=named)
async def test_what_is_open_to_everybody_asks_for_no_token_and_tells_no_secret(served: Any, route: Route[Any, Any]):
    answer = await asked(served, route, None)
    assert answer.status_code == 200
    assert "AccountKey" not in answer.text


@pytest.mark.parametrize("route", ROUTES, ids=named)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    served: Any, route: Route[Any, Any], method: str
):
    if method in route.allowed:
        return
    answer = await served.ask(method, path_of(route), served.token(*ALL))
    assert (answer.status_code, answer.headers["allow"]) == (405, ", ".join(route.allowed))


async def test_whoever_may_start_a_kind_of_operation_may_cancel_it_and_nobody_else(served: Any):
    for path, role in (("bulk/renew", Role.RENEW), ("bulk/disable", Role.CONTAIN)):
        body = {"selector": {"tag": "a=b"}, "reason": "test", "dryRun": False}
        begun = await served.ask("POST", path, served.token(role), json=body)
        assert begun.status_code == 202, begun.text
        cancel = f"operations/{begun.json()['id']}/cancel"
        others = served.token(*(other for other in Role if other is not role))
        assert (await served.ask("POST", cancel, others, json={"reason": "x"})).status_code == 403
        assert (await served.ask("POST", cancel, served.token(role), json={"reason": "x"})).status_code == 202
