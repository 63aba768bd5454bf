"""The templates: their syntax always; types, properties and symbols where the offline checker is beside the checkout.

No test here compiles them: that does the workflow `.github/workflows/infra.yml`, outside.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from support import bicep

TOOLS = bicep.ROOT.parent / "shared/tools/bicep"
UNKNOWN_TO_THE_CHECKER = {
    "Microsoft.EventHub/namespaces/networkRuleSets",
    "Microsoft.Network/privateDnsZones",
    "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
    "Microsoft.Network/privateEndpoints",
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups",
    "Microsoft.Network/virtualNetworks",
    "Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies",
}
"""Types of which its data say nothing: their properties are checked by nobody here."""


def say(capsys: pytest.CaptureFixture[str], text: str) -> None:
    """On the terminal, whatever pytest captures: a check that was not made must be seen."""
    with capsys.disabled():
        print(f"\nNOT CHECKED: {text}")


@pytest.mark.parametrize("file", bicep.files(), ids=lambda file: file.name)
def test_every_template_is_bicep(file: Path):
    assert list(bicep.syntax_errors(bicep.tree(file))) == []


def test_a_template_that_is_none_is_told_from_one_that_is():
    broken = bicep._PARSER.parse(b"param location string = \nresource x 'a@b' = {\n  name 'y'\n}\n").root_node
    assert list(bicep.syntax_errors(broken))


def test_types_properties_and_symbols_are_those_of_azure(capsys: pytest.CaptureFixture[str]):
    checker = TOOLS / "bicep_check.py"
    if not checker.exists():
        say(
            capsys,
            f"{len(bicep.files())} Bicep files beyond their syntax: the offline checker is not beside the checkout",
        )
        return
    run = subprocess.run(
        [sys.executable, checker, bicep.INFRA / "main.bicep"], capture_output=True, text=True, check=False
    )
    findings = [line for line in run.stdout.splitlines() if re.search(r": (error|warning) ", line)]
    unknown = {m[1] for line in findings if (m := re.search(r"unknown resource type/version ([^@]+)@", line))}
    assert [line for line in findings if "unknown resource type" not in line] == [], run.stderr
    assert unknown == UNKNOWN_TO_THE_CHECKER
    say(
        capsys,
        f"the properties of {len(unknown)} resource types that the offline checker does not know; no compiler ran",
    )


def test_azure_yaml_fits_azds_schema(capsys: pytest.CaptureFixture[str]):
    document = yaml.safe_load((bicep.ROOT / "azure.yaml").read_text())
    schema = TOOLS / "azure.yaml.schema.json"
    if not schema.exists():
        say(capsys, "azure.yaml against azd's schema, which is not beside the checkout")
        return
    assert problems(json.loads(schema.read_text()), document) == []
    assert problems(json.loads(schema.read_text()), document | {"hooks": {"preprovison": {}}})


def problems(schema: dict[str, Any], document: Any) -> list[str]:
    """What does not fit. References to other schemas lead nowhere and admit all."""
    registry = Registry(retrieve=lambda _: Resource.from_contents({}, default_specification=DRAFT202012))
    validator = jsonschema.validators.validator_for(schema)(schema, registry=registry)
    return [error.message for error in validator.iter_errors(document)]


def test_every_hook_that_azure_yaml_names_is_there_for_both_shells():
    hooks = yaml.safe_load((bicep.ROOT / "azure.yaml").read_text())["hooks"]
    for name, shells in hooks.items():
        for shell, ending in (("posix", "sh"), ("windows", "ps1")):
            assert shells[shell]["run"] == f"./infra/hooks/{name}.{ending}"
            assert (bicep.INFRA / "hooks" / f"{name}.{ending}").exists()


def test_every_parameter_of_the_main_template_can_be_set_by_azd():
    document = json.loads((bicep.INFRA / "main.parameters.json").read_text())["parameters"]
    assert set(document) == set(bicep.declarations(bicep.INFRA / "main.bicep", "parameter"))
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+(=[^}]*)?\}", entry["value"]) for entry in document.values())


def test_every_module_file_is_used():
    used = set(re.findall(r"'\./modules/([\w-]+\.bicep)'", (bicep.INFRA / "main.bicep").read_text()))
    assert used == {file.name for file in (bicep.INFRA / "modules").glob("*.bicep")}
