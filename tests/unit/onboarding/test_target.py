"""Which Azure is meant: never the wrong one by silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleetcert.onboarding.target import Target, TargetUnknown

LOCAL = {
    "dps_name": "local-dps",
    "dps_endpoint": "https://localhost:1234",
    "resource_group": "local",
    "subscription_id": "s",
    "arm_endpoint": "https://localhost:5678",
    "ca_bundle": "/bundle.pem",
    "identity_endpoint": "http://localhost/msi",
    "identity_header": "secret",
}


@pytest.fixture
def local_azure(tmp_path: Path) -> Path:
    path = tmp_path / "azure.json"
    path.write_text(json.dumps(LOCAL))
    return path


def test_a_service_that_is_named_is_the_real_one_even_beside_a_local_azure(local_azure: Path):
    target = Target.of("my-dps-001", "my-iot-rg", "sub", local_azure)
    assert (target.dps_host, target.arm_endpoint) == (
        "my-dps-001.azure-devices-provisioning.net",
        "https://management.azure.com",
    )
    assert (target.is_local, target.trust) == (False, None)
    environment: dict[str, str] = {}
    target.enter(environment)
    assert environment == {}


def test_without_a_name_it_is_the_local_azure(local_azure: Path):
    target = Target.of(None, None, None, local_azure)
    assert (target.dps, target.dps_host, target.trust) == ("local-dps", "localhost:1234", "/bundle.pem")
    assert target.resource() == ("s", "local")
    environment: dict[str, str] = {}
    target.enter(environment)
    assert environment["IDENTITY_ENDPOINT"] == "http://localhost/msi"
    assert "secret" not in repr(target)


def test_half_a_name_does_not_fall_back_to_the_local_azure(local_azure: Path):
    with pytest.raises(TargetUnknown, match="name the provisioning service too"):
        Target.of(None, "my-iot-rg", None, local_azure)


def test_where_there_is_neither_it_is_said_what_to_do(tmp_path: Path):
    with pytest.raises(TargetUnknown, match="run `make up`, or name"):
        Target.of(None, None, None, tmp_path / "none.json")


@pytest.mark.parametrize(("group", "subscription", "named"), [(None, "s", "resource group"), ("g", None, "az account")])
def test_what_the_resource_manager_needs_is_asked_for_when_it_is_needed(
    tmp_path: Path, group: str | None, subscription: str | None, named: str
):
    target = Target.of("dps", group, subscription, tmp_path / "none.json")
    with pytest.raises(TargetUnknown, match=named):
        target.resource()
