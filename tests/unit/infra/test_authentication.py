"""App Service Authentication: 401 for whoever brings nothing, and no path past it that would look at a principal."""

from __future__ import annotations

import re

from support import bicep

from shared.schemas.routes import ROUTES

FILE = bicep.INFRA / "modules/authentication.bicep"
[SETTINGS] = [resource for resource in bicep.resources(FILE) if not resource.existing]
EXCLUDED = re.findall(r"'(/[^']+)'", SETTINGS.words("properties", "globalValidation", "excludedPaths"))


def test_whoever_brings_no_token_gets_401():
    validation = ("properties", "globalValidation")
    assert SETTINGS.words("properties", "platform", "enabled") == "true"
    assert SETTINGS.words(*validation, "requireAuthentication") == "true"
    assert SETTINGS.words(*validation, "unauthenticatedClientAction") == "Return401"


def test_no_function_behind_an_excluded_path_looks_at_who_calls():
    """Whether the platform strips a forged header there is documented nowhere."""
    assert "/api/health" in EXCLUDED
    for file in (bicep.ROOT / "functions").glob("*.py"):
        source = file.read_text()
        routes = {f"/api/{route}" for route in re.findall(r'route\(\s*route="([^"]+)"', source)}
        if routes & set(EXCLUDED):
            assert not re.search(r"\brespond\(|principal", source), file.name


def test_the_paths_that_pass_are_those_of_the_routes_that_need_no_role():
    excluded = {path.removeprefix("/api/").replace("/*", "/{file}") for path in EXCLUDED}
    assert excluded == {route.path for route in ROUTES if not route.roles}


def test_only_tokens_for_this_app_are_taken_and_only_of_this_tenant():
    audiences = SETTINGS.words(
        "properties", "identityProviders", "azureActiveDirectory", "validation", "allowedAudiences"
    )
    assert set(re.findall(r"\S+", audiences.strip("[]"))) == {"clientId", "'api://${clientId}'"}
    issuer = SETTINGS.words("properties", "identityProviders", "azureActiveDirectory", "registration", "openIdIssuer")
    assert issuer.endswith("${tenantId}/v2.0")


def test_the_registration_is_proved_by_the_identity_and_by_no_secret():
    setting = SETTINGS.words(
        "properties", "identityProviders", "azureActiveDirectory", "registration", "clientSecretSettingName"
    )
    told = (bicep.INFRA / "modules/app-settings.bicep").read_text()
    assert setting == "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"
    assert f"{setting}: appClientId" in told
