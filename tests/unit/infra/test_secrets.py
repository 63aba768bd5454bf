"""Keyless: no template hands out a secret, makes use of a key, or leaves a service open to one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import bicep

SECRET_NAME = re.compile(r"key|secret|password|token|connectionstring|sas$|webhook", re.IGNORECASE)
SECRET_CALL = re.compile(r"\blist\w*\(|getSecret\(|ConnectionString|primaryKey|secondaryKey", re.IGNORECASE)
ALLOWED_KEYS = {("event-hubs.bicep", "logs")}
"""The namespace of the DPS log: Azure Monitor writes by a key alone, and reads it itself."""
KEYLESS = {
    "Microsoft.Storage/storageAccounts": ("allowSharedKeyAccess", "false"),
    "Microsoft.EventHub/namespaces": ("disableLocalAuth", "true"),
    "Microsoft.EventGrid/topics": ("disableLocalAuth", "true"),
    "Microsoft.Insights/components": ("DisableLocalAuth", "true"),
    "Microsoft.Devices/IotHubs": ("disableLocalAuth", "disableLocalAuth"),
}


@pytest.mark.parametrize("file", bicep.files(), ids=lambda file: file.name)
def test_no_output_is_shaped_like_a_secret(file: Path):
    for name, text in bicep.declarations(file, "output").items():
        assert not SECRET_NAME.search(name), f"{file.name}: output {name}"
        assert not SECRET_CALL.search(text.partition("=")[2]), f"{file.name}: {text}"


@pytest.mark.parametrize("file", bicep.files(), ids=lambda file: file.name)
def test_no_template_asks_for_a_key(file: Path):
    assert not re.search(r"\blist(Keys|AccountSas|ServiceSas|Secrets)?\(|getSecret\(", file.read_text())


@pytest.mark.parametrize("file", bicep.files(), ids=lambda file: file.name)
def test_a_parameter_that_may_hold_a_secret_is_secure(file: Path):
    suspects = {
        name for name in bicep.declarations(file, "parameter") if re.search(r"webhook|secret|password", name, re.I)
    }
    assert suspects <= bicep.secure_parameters(file)


def test_every_service_that_can_be_is_closed_to_keys():
    seen = set()
    for file in bicep.files():
        for resource in bicep.resources(file):
            if resource.type in KEYLESS and not resource.existing and (file.name, resource.symbol) not in ALLOWED_KEYS:
                name, value = KEYLESS[resource.type]
                assert resource.words("properties", name) == value, f"{file.name}: {resource.symbol}"
                seen.add(resource.type)
    assert seen == set(KEYLESS)


def test_the_hub_is_closed_to_keys_unless_somebody_says_otherwise():
    declared = bicep.declarations(bicep.INFRA / "main.bicep", "parameter")["iotHubDisableLocalAuth"]
    assert declared.endswith("bool = true")


def test_nothing_is_reached_without_tls_1_2():
    names = {
        "Microsoft.Storage/storageAccounts": ("minimumTlsVersion", "TLS1_2"),
        "Microsoft.EventHub/namespaces": ("minimumTlsVersion", "1.2"),
        "Microsoft.EventGrid/topics": ("minimumTlsVersionAllowed", "1.2"),
        "Microsoft.Devices/IotHubs": ("minTlsVersion", "1.2"),
    }
    made = [r for file in bicep.files() for r in bicep.resources(file) if r.type in names and not r.existing]
    assert {r.type for r in made} == set(names)
    for resource in made:
        name, value = names[resource.type]
        assert resource.words("properties", name) == value, resource.symbol
