"""The hooks, run in sh against doubles of `az` and `azd` that keep state; a second run changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.azure_state import FRESH, ME, SCRIPT

PROJECT = Path(__file__).parents[3]
OUTPUTS = {
    "AZURE_ENV_NAME": "contoso",
    "AZURE_SUBSCRIPTION_ID": "11111111-1111-1111-1111-111111111111",
    "AZURE_TENANT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_RESOURCE_GROUP": "rg-contoso",
    "FLEETCERT_MAKES_IOT": "true",
    "FLEETCERT_IOT_RESOURCE_GROUP": "rg-contoso-iot",
    "FLEETCERT_APP_NAME": "func-x",
    "FLEETCERT_APP_HOSTNAME": "func-x.azurewebsites.net",
    "FLEETCERT_APP_PRINCIPAL_ID": "33333333-3333-3333-3333-333333333333",
    "FLEETCERT_HUB_NAME": "iot-x",
    "FLEETCERT_DPS_NAME": "provs-x",
    "FLEETCERT_DPS_HOSTNAME": "provs-x.azure-devices-provisioning.net",
    "FLEETCERT_ADR_NAMESPACE_ID": "/subscriptions/s/providers/Microsoft.DeviceRegistry/namespaces/adr-x",
    "FLEETCERT_ADR_POLICY": "default",
    "FLEETCERT_AUDIT_STORAGE": "stauditx",
    "FLEETCERT_AUDIT_CONTAINER": "audit",
    "FLEETCERT_DPS_ID_SCOPE": "0ne000",
}


@dataclass
class Azure:
    """The doubles, and the project's folder that the hooks run in."""

    folder: Path

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "azure.json").read_text())

    def set(self, **members: Any) -> None:
        (self.folder / "azure.json").write_text(json.dumps(self.state | members))

    def run(
        self, hook: str, *arguments: str, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a hook as azd does: in the project's folder, with the outputs and what was remembered."""
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "FAKE_AZURE": str(self.folder / "azure.json"),
            "PATIENCE_SECONDS": "0",
            **OUTPUTS,
            **self.state["environment"],
            **(more or {}),
        }
        return subprocess.run(
            ["sh", f"./infra/hooks/{hook}.sh", *arguments],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def changes(self, hook: str, *arguments: str, more: Mapping[str, str] | None = None) -> list[str]:
        """What a run of a hook that must succeed has changed."""
        before = len(self.state["changes"])
        done = self.run(hook, *arguments, more=more)
        assert done.returncode == 0, done.stderr
        return self.state["changes"][before:]


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    shutil.copytree(PROJECT / "infra/hooks", tmp_path / "infra/hooks")
    (tmp_path / "bin").mkdir()
    for program in ("az", "azd"):
        script = tmp_path / "bin" / program
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S -E "{SCRIPT}" {program} "$@"\n')
        script.chmod(0o755)
    (tmp_path / "azure.json").write_text(json.dumps(FRESH))
    return Azure(tmp_path)


@pytest.fixture
def onboarding_ca(azure: Azure) -> Callable[[], None]:
    def make() -> None:
        (azure.folder / "certs/ca").mkdir(parents=True)
        (azure.folder / "certs/ca/intermediate-ca.pem").write_text("-----BEGIN CERTIFICATE-----")

    return make


def provisioned(azure: Azure) -> None:
    azure.changes("preprovision")
    azure.changes("postprovision")


def test_the_first_run_makes_the_registration_and_remembers_it(azure: Azure):
    assert set(azure.changes("preprovision")) >= {"app", "registration", "provider Microsoft.DeviceRegistry"}
    environment = azure.state["environment"]
    [client] = azure.state["apps"]
    assert environment == {
        "AUTH_CLIENT_ID": client,
        "AUTH_APP_MADE": "true",
        "IOTHUB_SP_OBJECT_ID": "iot-hub-principal",
        "ALERT_EMAIL": "ada@contoso.com",
    }
    document = azure.state["apps"][client]["document"]
    assert document["identifierUris"] == [f"api://{client}"]
    assert document["api"]["requestedAccessTokenVersion"] == 2
    assert document["api"]["preAuthorizedApplications"]


@pytest.mark.parametrize("hook", ["preprovision", "postprovision"])
def test_a_second_run_changes_nothing(azure: Azure, onboarding_ca: Callable[[], None], hook: str):
    onboarding_ca()
    provisioned(azure)
    assert azure.changes(hook) == []


def test_a_run_that_has_forgotten_finds_its_registration_by_its_name(azure: Azure):
    azure.changes("preprovision")
    azure.set(environment={})
    assert "app" not in azure.changes("preprovision")
    assert len(azure.state["apps"]) == 1
    assert "AUTH_APP_MADE" not in azure.state["environment"], "what it did not make it must not remove"


def test_two_registrations_of_the_name_are_for_a_person_to_choose_from(azure: Azure):
    azure.set(apps={client: {"name": "fleetcert-contoso", "redirects": "", "document": {}} for client in ("a", "b")})
    done = azure.run("preprovision")
    assert done.returncode == 1
    assert "AUTH_CLIENT_ID" in done.stderr


def test_without_a_login_it_says_so(azure: Azure):
    azure.set(signed_in=False)
    done = azure.run("preprovision")
    assert (done.returncode, "az login" in done.stderr) == (1, True)
    assert azure.state["changes"] == []


def test_whoever_may_not_register_is_told_what_to_do(azure: Azure):
    azure.set(may_register=False)
    done = azure.run("preprovision")
    assert done.returncode == 1
    assert "azd env set AUTH_CLIENT_ID" in done.stderr


def test_a_registration_that_was_given_is_used(azure: Azure):
    given = "44444444-4444-4444-4444-444444444444"
    azure.set(apps={given: {"name": "ours", "redirects": "", "document": {}}}, environment={"AUTH_CLIENT_ID": given})
    assert "app" not in azure.changes("preprovision")
    assert azure.state["apps"][given]["document"]["appRoles"]


def test_an_empty_address_pages_nobody_and_says_so(azure: Azure):
    done = azure.run("preprovision", more={"ALERT_EMAIL": ""})
    assert done.returncode == 0
    assert "PAGE NOBODY" in done.stdout
    assert "ALERT_EMAIL" not in azure.state["environment"]


def test_half_a_hub_that_is_there_already_is_refused(azure: Azure):
    done = azure.run("preprovision", more={"EXISTING_IOTHUB_NAME": "contoso-hub"})
    assert (done.returncode, "EXISTING_DPS_NAME" in done.stderr) == (1, True)


def test_a_hub_that_is_there_already_needs_no_application_of_microsofts(azure: Azure):
    existing = dict.fromkeys(("EXISTING_IOTHUB_NAME", "EXISTING_DPS_NAME", "EXISTING_IOT_RESOURCE_GROUP"), "x")
    azure.changes("preprovision", more=existing)
    assert "IOTHUB_SP_OBJECT_ID" not in azure.state["environment"]


def test_after_the_deployment_the_identity_proves_the_registration_and_only_whom_was_given_a_role_gets_a_token(
    azure: Azure,
):
    provisioned(azure)
    [client] = azure.state["apps"]
    credential = azure.state["credentials"][client]
    assert credential["subject"] == OUTPUTS["FLEETCERT_APP_PRINCIPAL_ID"]
    assert credential["issuer"] == f"https://login.microsoftonline.com/{OUTPUTS['AZURE_TENANT_ID']}/v2.0"
    assert azure.state["principals"][client]["required"] is True
    assert azure.state["apps"][client]["redirects"].endswith("/.auth/login/aad/callback")
    assert len({a["appRoleId"] for a in azure.state["assignments"]}) == 3
    assert {a["principalId"] for a in azure.state["assignments"]} == {ME}


def test_an_identity_that_was_made_anew_is_trusted_in_place_of_the_old(azure: Azure):
    provisioned(azure)
    another = {"FLEETCERT_APP_PRINCIPAL_ID": "55555555-5555-5555-5555-555555555555"}
    assert azure.changes("postprovision", more=another) == ["credential"]


def test_the_deployer_is_not_admitted_where_that_is_not_wanted(azure: Azure):
    azure.changes("preprovision")
    azure.changes("postprovision", more={"ADMIT_DEPLOYER": "false"})
    assert azure.state["assignments"] == []


def test_without_an_onboarding_ca_all_but_the_group_is_made(azure: Azure):
    azure.changes("preprovision")
    done = azure.run("postprovision")
    assert done.returncode == 0
    assert "no onboarding CA" in done.stdout
    assert (azure.state["hub_certificates"], azure.state["groups"]) == (1, {})


def test_an_onboarding_ca_becomes_the_groups(azure: Azure, onboarding_ca: Callable[[], None]):
    onboarding_ca()
    provisioned(azure)
    group = azure.state["groups"]["fleetcert"]
    assert group["attestation"]["x509"]["caReferences"]["primary"] == "fleetcert-onboarding"
    assert (group["credentialPolicyName"], group["iotHubs"]) == ("default", ["iot-x.azure-devices.net"])


def test_a_role_that_is_not_heeded_yet_is_waited_for(azure: Azure, onboarding_ca: Callable[[], None]):
    onboarding_ca()
    azure.changes("preprovision")
    azure.set(refuse_groups=3)
    assert "group fleetcert" in azure.changes("postprovision")


def test_a_role_that_never_comes_ends_the_wait(azure: Azure, onboarding_ca: Callable[[], None]):
    onboarding_ca()
    azure.changes("preprovision")
    azure.set(refuse_groups=1000)
    done = azure.run("postprovision")
    assert (done.returncode, "Data Contributor" in done.stderr) == (1, True)


def test_a_hub_that_was_there_before_is_left_alone(azure: Azure, onboarding_ca: Callable[[], None]):
    onboarding_ca()
    azure.changes("preprovision")
    azure.changes("postprovision", more={"FLEETCERT_MAKES_IOT": "false"})
    assert (azure.state["dps_certificates"], azure.state["groups"], azure.state["hub_certificates"]) == ({}, {}, 0)


def test_the_end_removes_what_a_hook_made_and_the_roles_with_their_assignments(azure: Azure):
    provisioned(azure)
    azure.set(roles={"role-1": {}, "role-2": {}}, role_assignments={"assignment-1": {"role": "role-1"}})
    assert azure.run("postdown").returncode == 0
    assert (azure.state["apps"], azure.state["roles"], azure.state["role_assignments"]) == ({}, {}, {})
    assert azure.run("postdown").returncode == 0, "a second time there is nothing to remove"


def test_the_end_leaves_a_registration_that_was_given(azure: Azure):
    given = "44444444-4444-4444-4444-444444444444"
    azure.set(apps={given: {"name": "ours", "redirects": "", "document": {}}}, environment={"AUTH_CLIENT_ID": given})
    provisioned(azure)
    assert azure.run("postdown").returncode == 0
    assert given in azure.state["apps"]


def test_the_audit_is_locked_only_on_the_word(azure: Azure):
    assert azure.changes("lock-audit") == []
    assert azure.state["policy"]["state"] == "Unlocked"
    assert azure.changes("lock-audit", "lock") == ["locked"]
    assert azure.state["environment"]["AUDIT_LOCKED"] == "true"
    assert azure.changes("lock-audit", "lock") == []


NPM = """#!/bin/sh
[ "$1" = ci ] && mkdir -p node_modules/chart.js/dist
echo "the licence" > node_modules/chart.js/LICENSE.md
echo "the library" > node_modules/chart.js/dist/chart.umd.min.js
"""


def test_the_charting_library_is_brought_before_the_app_is_packaged(azure: Azure):
    served = azure.folder / "functions/static"
    served.mkdir(parents=True)
    npm = azure.folder / "bin/npm"
    npm.write_text(NPM)
    npm.chmod(0o755)
    assert azure.run("prepackage").returncode == 0
    assert (served / "chart.umd.min.js").read_text() == "the library\n"
    assert (served / "chart.LICENSE.md").read_text() == "the licence\n"
    npm.write_text("#!/bin/sh\nexit 1\n")
    assert azure.run("prepackage").returncode == 0, "what is there need not be brought"
    (served / "chart.umd.min.js").unlink()
    assert azure.run("prepackage").returncode != 0, "an app without it is not deployed"
