"""Who is believed to call."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from shared.adapters.principal import PlatformPrincipals
from shared.schemas.access import Forbidden, Role, Unauthenticated

TENANT = "11111111-1111-1111-1111-111111111111"
LONG_ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
LONG_OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
LONG_TENANT = "http://schemas.microsoft.com/identity/claims/tenantid"
PLATFORM = PlatformPrincipals(platform_authenticates=True, tenant_id=TENANT)


def claims(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"typ": kind, "val": value} for kind, value in pairs]


PERSON = claims(("oid", "o-1"), ("tid", TENANT), ("name", "ann"), ("azp", "a-1"), ("roles", "Fleet.Read"))


def header(document: object) -> dict[str, str]:
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(document).encode()).decode()}


def entra(members: list[dict[str, str]], **changes: Any) -> dict[str, str]:
    return header({"auth_typ": "aad", "name_typ": "name", "role_typ": "roles", "claims": members, **changes})


def test_a_caller_is_known_by_name_ids_and_roles():
    principal = PLATFORM.principal(entra(PERSON))
    assert (principal.name, principal.object_id, principal.app_id) == ("ann", "o-1", "a-1")
    assert principal.roles == {"Fleet.Read"}
    assert principal.actor.object_id == "o-1"


@pytest.mark.parametrize(
    ("role_typ", "claim"),
    [("roles", "roles"), (LONG_ROLE, LONG_ROLE), ("roles", LONG_ROLE), (LONG_ROLE, "roles"), (None, "roles")],
)
def test_roles_are_found_under_every_name_that_entra_maps_them_to(role_typ: str | None, claim: str):
    members = claims(("oid", "o-1"), ("tid", TENANT), (claim, "Fleet.Read"), (claim, "Devices.Contain"))
    principal = PLATFORM.principal(entra(members, role_typ=role_typ))
    assert principal.roles == {"Fleet.Read", "Devices.Contain"}


def test_a_role_type_of_the_platforms_own_choice_is_honoured():
    members = claims(("oid", "o-1"), ("tid", TENANT), ("extension_role", "Fleet.Read"))
    assert PLATFORM.principal(entra(members, role_typ="extension_role")).roles == {"Fleet.Read"}


def test_long_claim_names_do_as_well():
    members = claims((LONG_OBJECT_ID, "o-1"), (LONG_TENANT, TENANT.upper()))
    principal = PLATFORM.principal(entra(members))
    assert (principal.object_id, principal.name) == ("o-1", "o-1")


def test_a_caller_without_roles_may_do_nothing():
    principal = PLATFORM.principal(entra(claims(("oid", "o-1"), ("tid", TENANT))))
    for role in Role:
        with pytest.raises(Forbidden):
            principal.require(role)


def test_a_group_or_scope_named_like_a_role_is_no_role():
    members = claims(("oid", "o-1"), ("tid", TENANT), ("groups", "Fleet.Read"), ("scp", "Fleet.Read"))
    assert PLATFORM.principal(entra(members)).roles == frozenset()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-MS-CLIENT-PRINCIPAL": ""},
        {"X-MS-CLIENT-PRINCIPAL": "not base64!"},
        {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(b"not json").decode()},
        {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(b"\xff\xfe").decode()},
        {"X-MS-CLIENT-PRINCIPAL": "QUFB" * 100_000},
        {"X-MS-CLIENT-PRINCIPAL-NAME": "ann", "X-MS-CLIENT-PRINCIPAL-ID": "o-1"},
        header([]),
        header({}),
        header({"auth_typ": "aad"}),
        header({"auth_typ": "aad", "claims": "all"}),
        header({"auth_typ": "aad", "claims": [{"typ": "oid"}]}),
        entra(PERSON, auth_typ="google"),
        entra(PERSON, auth_typ=""),
        entra(claims(("tid", TENANT), ("name", "ann"))),
        entra(claims(("oid", ""), ("tid", TENANT))),
        entra(claims(("oid", "o-1"))),
        entra(claims(("oid", "o-1"), ("tid", "22222222-2222-2222-2222-222222222222"))),
    ],
)
def test_whatever_is_no_whole_principal_of_this_tenant_is_refused(headers: dict[str, str]):
    with pytest.raises(Unauthenticated):
        PLATFORM.principal(headers)


def test_no_header_is_believed_where_the_platform_does_not_authenticate():
    anybody = PlatformPrincipals(platform_authenticates=False, tenant_id=TENANT)
    with pytest.raises(Unauthenticated):
        anybody.principal(entra(PERSON))


def test_without_a_tenant_setting_the_platform_decides_whom_it_admits():
    principals = PlatformPrincipals(platform_authenticates=True, tenant_id=None)
    assert principals.principal(entra(claims(("oid", "o-1"), ("tid", "another")))).object_id == "o-1"
