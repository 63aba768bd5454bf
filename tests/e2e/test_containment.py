"""Disable, enable, revoke and bulk work against the local Azure, in both positions of everything that is assumed of it.

The app's functions do the work that is queued; what is asked for is asked of its services, over the same storage.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.hub_clients import (
    DPS_API,
    PlainDevice,
    eventually,
    hub_rest,
    observed,
    onboarding_authority,
    onboarding_leaf,
    operational_credentials,
    owner_token,
    register,
    signing_request,
)
from support.two_azures import local_azure_of_the_other_positions, services_of

from fleetcert.certificates import thumbprint
from shared.adapters.table import AzureTable
from shared.composition.services import Services
from shared.contracts import AlertType, ReportedCertificate, ReportedOnboarding, reported_patch
from shared.domain import reasons
from shared.domain.operations import OperationState
from shared.domain.record import Actor, BlockState, DeviceRecord, State
from shared.domain.selecting import Selector
from shared.errors import NotFound
from shared.services.store import FleetStore

ANN = Actor(name="ann", object_id="o-1", app_id="a-1")
PATIENCE = 40


IN_ONE_POSITION = pytest.mark.parametrize("place", ["credential"], indirect=True)
"""For what has nothing to do with how a block matches."""


@pytest.fixture(scope="module", params=["registration-id", "credential"])
def place(
    request: pytest.FixtureRequest, azure: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Any]]:
    """A local Azure in each position. The name is by what a block matches, which matters most here."""
    if request.param == "registration-id":
        yield azure
        return
    with local_azure_of_the_other_positions(tmp_path_factory.mktemp("other"), 180) as other:
        yield other


@dataclass
class Site:
    """A local Azure, the app's services over it, and one device."""

    azure: dict[str, Any]
    services: Services
    store: FleetStore
    folder: Path
    device_id: str = field(default_factory=lambda: f"con-{uuid.uuid4().hex[:8]}")

    @property
    def block_matches(self) -> str:
        return "credential" if "other" in str(self.azure["ca_bundle"]) else "registration-id"

    async def record(self) -> DeviceRecord | None:
        try:
            return await self.services.devices.show(self.device_id)
        except NotFound:
            return None

    async def until(self, wanted: Callable[[DeviceRecord], bool]) -> DeviceRecord:
        deadline = time.monotonic() + PATIENCE
        while True:
            record = await self.record()
            if record is not None and wanted(record):
                return record
            assert time.monotonic() < deadline, record
            await asyncio.sleep(0.1)

    async def in_thread[T](self, work: Callable[[], T]) -> T:
        """A device's own work blocks."""
        return await asyncio.to_thread(work)

    async def onboard(self, *, tells: bool = True) -> None:
        """The device registers, connects and reports; whether it tells its onboarding certificate, too."""
        await self.in_thread(lambda: self._onboard(tells=tells))
        await self.until(lambda r: r.state is State.VALID)

    def _onboard(self, *, tells: bool) -> None:
        self.onboarding = onboarding_leaf(onboarding_authority(self.azure), self.device_id, self.folder)
        self._register()
        self.report(tells=tells)

    def _register(self) -> None:
        self.operational = register(self.azure, self.device_id, self.onboarding, self.folder)

    def report(self, *, tells: bool = True) -> None:
        with PlainDevice(self.azure, self.device_id, self.operational) as device:
            device.subscribe("$iothub/twin/res/#")
            patch = reported_patch(_reported(self.operational.leaf), self._onboarding() if tells else None)
            device.ask("$iothub/twin/PATCH/properties/reported/?$rid=1", json.dumps(patch))

    def _onboarding(self) -> ReportedOnboarding:
        chain = (self.folder / f"{self.device_id}-onboarding.pem").read_text()
        end = "-----END CERTIFICATE-----"
        return ReportedOnboarding(pem=f"{chain.split(end)[0]}{end}\n")

    async def connects(self) -> bool:
        """Whether the hub takes the device's present certificate."""

        def attempt() -> bool:
            device = PlainDevice(self.azure, self.device_id, self.operational)
            is_in = device.connect() == 0
            device.close()
            return is_in

        return await self.in_thread(attempt)

    async def registers(self) -> str:
        """ "" where the device gets a certificate, else why not."""

        def attempt() -> str:
            try:
                self._register()
            except (AssertionError, httpx.HTTPStatusError) as refusal:
                return str(refusal)
            return ""

        return await self.in_thread(attempt)

    def alerts(self, kind: str) -> list[dict[str, Any]]:
        log = httpx.get(self.azure["eventgrid_log_url"]).json()
        return [a for a in log if a["type"] == kind and a["subject"] == f"devices/{self.device_id}"]

    async def told(self, kind: str, reason: str = "") -> dict[str, Any]:
        return await self.in_thread(
            lambda: eventually(
                lambda: next((a for a in self.alerts(kind) if reason in str(a["data"])), None), seconds=PATIENCE
            )
        )

    def identity(self) -> dict[str, Any]:
        with hub_rest(self.azure) as rest:
            return dict(rest.get(f"/devices/{self.device_id}").raise_for_status().json())

    def dps(self) -> httpx.Client:
        """DPS's service API with the owner's token."""
        return httpx.Client(
            base_url=self.azure["dps_endpoint"],
            verify=ssl.create_default_context(cafile=self.azure["ca_bundle"]),
            headers={"Authorization": owner_token(self.azure["dps_service_connection_string"])},
            params={"api-version": DPS_API},
        )

    async def shut_out(self) -> DeviceRecord:
        await self.services.containment.disable(self.device_id, ANN, "e2e: stolen")
        return await self.until(lambda r: r.reason == reasons.CONTAINED)


def _reported(leaf: Any) -> ReportedCertificate:
    from cryptography.hazmat.primitives.serialization import Encoding

    return ReportedCertificate(
        valid_from=leaf.not_valid_before_utc,
        valid_until=leaf.not_valid_after_utc,
        thumbprint=thumbprint(leaf),
        serial_number=f"{leaf.serial_number:x}",
        pem=leaf.public_bytes(Encoding.PEM).decode(),
    )


@pytest.fixture
async def site(place: dict[str, Any], tmp_path: Path) -> AsyncIterator[Site]:
    settings = place["settings"]
    table = AzureTable.from_connection_string(place["storage_connection_string"], settings["FLEET_TABLE"])
    async with services_of(place) as services:
        yield Site(place, services, FleetStore(table, int(settings["SHARDS"])), tmp_path)
    await table.close()


async def test_a_disabled_device_is_gone_and_refused_and_the_history_says_how_long_each_took(site: Site) -> None:
    await site.onboard()
    record = await site.shut_out()
    assert record.containment is not None
    assert record.containment.block is BlockState.BLOCKED
    assert record.containment.refused_at is None  # nobody has tried yet
    assert site.identity()["statusReason"] == "fleetcert: e2e: stolen"
    assert not await site.connects()
    assert "disabled" in await site.registers()
    record = await site.until(lambda r: r.containment is not None and r.containment.refused_at is not None)
    assert await site.told(AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT)
    assert not site.alerts(AlertType.DEVICE_CONTAINMENT_UNVERIFIED)
    rows = await site.store.history(site.device_id, 50)
    timed = {str(r.values["kind"]): json.loads(str(r.values["details"])) for r in rows}
    for kind in (reasons.HISTORY_DISCONNECTED, reasons.HISTORY_REFUSED):
        assert timed[kind]["took"].endswith(" s")


async def test_a_device_whose_credential_is_not_known_stays_unverified_until_it_was_refused(site: Site) -> None:
    await site.onboard(tells=False)
    record = await site.shut_out()
    assert record.containment is not None
    assert record.containment.block is BlockState.BLOCKED_UNVERIFIED
    await site.told(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, "onboarding credential is not known")
    outcome = await site.registers()
    assert outcome  # whatever DPS does, ADR issues nothing to a device that is disabled there
    assert not await site.connects()
    if site.block_matches == "registration-id":
        record = await site.until(lambda r: r.containment is not None and r.containment.is_proven)
        assert record.containment is not None
        assert record.containment.refused_at is not None
    else:
        await site.told(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, "registered with DPS though it is blocked")
        record = await site.until(lambda r: r.containment is not None and r.containment.passed_at is not None)
        await site.until(lambda r: r.reason == reasons.CONTAINED)
    assert site.identity()["status"] == "disabled"


@IN_ONE_POSITION
async def test_a_certificate_that_the_operator_gives_makes_the_block_whole(site: Site) -> None:
    await site.onboard(tells=False)
    pem = site._onboarding().pem
    await site.services.containment.disable(site.device_id, ANN, "e2e: stolen", pem)
    await site.until(lambda r: r.reason == reasons.CONTAINED)
    assert "disabled" in await site.registers()
    record = await site.until(lambda r: r.containment is not None and r.containment.refused_at is not None)
    assert record.containment is not None
    assert record.containment.block is BlockState.BLOCKED


class KeyDevice:
    """A device that shows a symmetric key to DPS: its group's derived one, or its own."""

    def __init__(self, azure: dict[str, Any], registration_id: str, key: bytes) -> None:
        self._azure = azure
        self._id = registration_id
        self._key = key

    def registers(self) -> str:
        """The status of its registration, with a CSR."""
        path = f"/{self._azure['dps_id_scope']}/registrations/{self._id}"
        expiry = int(time.time()) + 600
        resource = quote(path[1:], safe="")
        signature = base64.b64encode(hmac.digest(self._key, f"{resource}\n{expiry}".encode(), "sha256")).decode()
        token = f"SharedAccessSignature sr={resource}&sig={quote(signature, safe='')}&se={expiry}&skn=registration"
        tls = ssl.create_default_context(cafile=self._azure["ca_bundle"])
        body = {"registrationId": self._id, "csr": signing_request(self._id, ec.generate_private_key(ec.SECP384R1()))}
        with httpx.Client(
            base_url=self._azure["dps_endpoint"],
            verify=tls,
            params={"api-version": DPS_API},
            headers={"Authorization": token},
        ) as client:
            answer = client.put(f"{path}/register", json=body)
            while answer.status_code == 202:
                time.sleep(0.1)
                answer = client.get(f"{path}/operations/{answer.json()['operationId']}")
        return str(answer.json().get("status", answer.status_code))


@pytest.mark.parametrize("kind", ["a group's derived key", "an enrollment of its own"])
async def test_a_device_by_symmetric_key_is_blocked_and_comes_back_with_the_same_key(site: Site, kind: str) -> None:
    key = uuid.uuid4().bytes * 2
    shared_key = base64.b64encode(key).decode()
    attestation = {"type": "symmetricKey", "symmetricKey": {"primaryKey": shared_key, "secondaryKey": shared_key}}
    common = {"attestation": attestation, "credentialPolicyName": "default"}
    group = f"keys-{site.device_id}"
    with site.dps() as dps:
        if kind == "an enrollment of its own":
            document = {"registrationId": site.device_id, **common}
            dps.put(f"/enrollments/{site.device_id}", json=document).raise_for_status()
        else:
            document = {"enrollmentGroupId": group, **common}
            dps.put(f"/enrollmentGroups/{group}", json=document).raise_for_status()
            key = hmac.digest(key, site.device_id.encode(), "sha256")
    device = KeyDevice(site.azure, site.device_id, key)
    assert await site.in_thread(device.registers) == "assigned"
    await site.until(lambda r: r.state is State.PROVISIONAL)
    if kind != "an enrollment of its own":
        await _know_the_group(site, group)
    record = await site.shut_out()
    assert record.containment is not None
    assert record.containment.block is BlockState.BLOCKED
    assert await site.in_thread(device.registers) == "disabled"
    await site.until(lambda r: r.containment is not None and r.containment.refused_at is not None)
    await site.services.containment.enable(site.device_id, ANN, "e2e: found")
    await site.until(lambda r: r.containment is None)
    assert await site.in_thread(device.registers) == "assigned"


async def _know_the_group(site: Site, group: str) -> None:
    """What the daily pass of reconcile finds out."""
    from dataclasses import replace

    from shared.domain.changes import Reduction

    await site.store.update([site.device_id], lambda _, r: Reduction(replace(r, enrollment_group=group)) if r else None)


async def test_an_enabled_device_comes_back_with_a_fresh_certificate(site: Site) -> None:
    await site.onboard()
    await site.shut_out()
    await site.services.containment.enable(site.device_id, ANN, "e2e: found")
    record = await site.until(lambda r: r.containment is None)
    assert record.renewal_request is not None
    assert site.identity()["status"] == "enabled"
    with site.dps() as dps:
        assert dps.get(f"/enrollments/{site.device_id}").status_code == 404
    told = await site.told(AlertType.DEVICE_ENABLED)
    assert (told["data"]["identity"], told["data"]["enrollment"], told["data"]["registry"]) == (
        "restored",
        "removed",
        "restored",
    )
    assert await site.registers() == ""
    await site.in_thread(site.report)
    record = await site.until(lambda r: r.state is State.VALID and r.renewal_request is None)
    assert record.certificate is not None
    assert record.certificate.thumbprint == thumbprint(site.operational.leaf)


@IN_ONE_POSITION
async def test_a_device_that_somebody_let_in_behind_our_back_is_told_and_shut_out_again(site: Site) -> None:
    await site.onboard()
    await site.shut_out()
    await site.in_thread(lambda: _let_in_elsewhere(site))
    device = PlainDevice(site.azure, site.device_id, site.operational)
    assert await site.in_thread(device.connect) == 0
    await site.told(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, "connected again")
    await site.in_thread(lambda: device.wait_until_lost(PATIENCE))
    await site.until(lambda r: r.reason == reasons.CONTAINED)
    assert site.identity()["status"] == "disabled"


def _let_in_elsewhere(site: Site) -> None:
    """Somebody enables the identity in the hub, and the device in ADR."""
    with hub_rest(site.azure) as rest:
        document = site.identity() | {"status": "enabled", "statusReason": None}
        headers = {"If-Match": f'"{document["etag"]}"'}
        rest.put(f"/devices/{site.device_id}", json=document, headers=headers).raise_for_status()
    query = {"api-version": "2019-08-01", "resource": "https://management.azure.com"}
    headers = {"X-IDENTITY-HEADER": site.azure["identity_header"]}
    token = httpx.get(site.azure["identity_endpoint"], params=query, headers=headers).json()["access_token"]
    url = f"{site.azure['arm_endpoint']}{site.azure['settings']['ADR_NAMESPACE_ID']}/devices/{site.device_id}"
    httpx.patch(
        url,
        params={"api-version": "2026-03-01-preview"},
        json={"properties": {"enabled": True}},
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=site.azure["ca_bundle"]),
    ).raise_for_status()


@IN_ONE_POSITION
async def test_revoked_certificates_are_worthless_and_the_device_comes_back_through_dps(site: Site) -> None:
    await site.onboard()
    await site.services.containment.revoke(site.device_id, ANN, "e2e: key leaked")
    await site.until(lambda r: r.reason == reasons.CERTIFICATE_REVOKED)
    assert not await site.connects()
    with hub_rest(site.azure) as rest:
        assert "revoked" in observed(rest, site.device_id)["refusals"][-1]["reason"]
    assert (await site.told(AlertType.DEVICE_REVOKED))["data"]["reason"] == "e2e: key leaked"
    assert await site.registers() == ""
    await site.in_thread(site.report)
    await site.until(lambda r: r.state is State.VALID)


@IN_ONE_POSITION
async def test_a_bulk_disable_goes_through_the_apps_own_queue(site: Site) -> None:
    names = [f"{site.device_id}-{n}" for n in range(3)]
    for name in names:
        await site.in_thread(lambda name=name: operational_credentials(site.azure, name, site.folder))
    begun = await site.services.bulk.start("disable", Selector(ids=(*names, "nobody")), ANN, "e2e: recall")
    deadline = time.monotonic() + PATIENCE
    while (operation := await site.services.operations.show(begun.id)).is_running:
        assert time.monotonic() < deadline, operation
        await asyncio.sleep(0.2)
    assert (operation.state, operation.done, operation.failed) == (OperationState.DONE, 3, 1)
    with hub_rest(site.azure) as rest:
        statuses = {rest.get(f"/devices/{name}").json()["status"] for name in names}
    assert statuses == {"disabled"}
