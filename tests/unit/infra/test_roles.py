"""Who may what: the table in docs/deploy.md is what the templates make, and holds all that the adapters need."""

from __future__ import annotations

import json
import re

from support import bicep, role_assignments
from support.role_assignments import Assignment

PAGE = (bicep.ROOT / "docs/deploy.md").read_text().split("<!-- roles:")[1].split("<!-- end of roles -->")[0]
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
ASSIGNED = [row for row in ROWS if len(row) == 4 and row[0] != "who"]
PERMITTED = [row for row in ROWS if len(row) == 3 and row[0] != "role"]
NO_ACCESS_OF_THEIR_OWN = {
    "amqp_conditions": "reads answers of IoT Hub",
    "containers": "makes the clients of those that work on blobs",
    "credential": "makes the identity's tokens",
    "faults": "reads answers of any service",
    "later": "makes exporters when they are needed",
    "request_spans": "traces the requests of others",
    "principal": "reads a header",
    "rest": "makes the clients of the others",
}
"""Adapters that call nobody."""
UNBLOCKING = "'Microsoft.Devices/provisioningServices/enrollments/delete'"
"""To enable a device, its block is deleted; what DPS had before is disabled and enabled in place."""


def adapters_named_in(rows: list[list[str]]) -> set[str]:
    """The adapters in the last cells of a table."""
    told = (row[-1] if len(row) == 3 else row[-1].partition("adapter")[2] for row in rows)
    return {name for cell in told for name in re.findall(r"`(\w+)`", cell)}


def test_the_table_is_what_the_templates_assign():
    made, told = set(role_assignments.made()), {Assignment(*row[:3]) for row in ASSIGNED}
    assert made - told == set(), "assigned, and not in the table of docs/deploy.md"
    assert told - made == set(), "in the table of docs/deploy.md, and not assigned"


def test_every_adapter_has_a_row_that_lets_it_do_its_work():
    adapters = {file.stem for file in (bicep.ROOT / "shared/adapters").glob("*.py")} - {"__init__"}
    apps = adapters_named_in([row for row in ASSIGNED if row[0] == "app"])
    assert adapters - apps - set(NO_ACCESS_OF_THEIR_OWN) == set(), (
        "no row of the table in docs/deploy.md says which role these adapters of shared/adapters/ need: add the role "
        "to infra/modules/ and a row, or name the adapter in NO_ACCESS_OF_THEIR_OWN"
    )
    assert apps - adapters == set(), "adapters that are no more"


def test_the_custom_roles_hold_what_the_table_says_and_no_more():
    declared = {}
    for resource in bicep.resources(bicep.INFRA / "modules/custom-roles.bicep"):
        name = re.sub(r" \(.*", "", resource.words("properties", "roleName"))
        declared[name] = set(re.findall(r"'(Microsoft\.[\w./]+)'", resource.words("properties", "permissions")))
    told: dict[str, set[str]] = {}
    for role, permission, _ in PERMITTED:
        told.setdefault(role, set()).add(permission.strip("`"))
    assert declared == told


def test_nobody_can_delete_what_the_app_needs_no_deletion_of():
    role = (bicep.INFRA / "modules/custom-roles.bicep").read_text().replace(UNBLOCKING, "")
    assert not re.search(r"'[\w./]*(delete|directMethods|listkeys)[\w./]*'", role, re.IGNORECASE)


def test_every_permission_is_needed_by_an_adapter_that_is_there():
    adapters = {file.stem for file in (bicep.ROOT / "shared/adapters").glob("*.py")}
    assert adapters_named_in(PERMITTED) <= adapters
    assert all(re.search(r"`\w+`", row[2]) for row in PERMITTED)


def test_every_role_of_the_list_is_used():
    used = set(re.findall(r"(?<![/-])roles\.(\w+)", "".join(file.read_text() for file in bicep.files())))
    assert used == set(json.loads((bicep.INFRA / "roles.json").read_text()))


def test_the_audit_is_out_of_reach_of_every_other_role_of_the_app():
    on_the_audit = {a.role for a in role_assignments.made() if a.who == "app" and "audit" in a.where}
    assert on_the_audit == {"fleetcert audit append"}
    assert not [a for a in role_assignments.made() if a.who == "app" and "resource group" in a.where]
