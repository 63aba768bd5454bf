"""The dashboard in a real browser, over the whole local Azure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin
from playwright.sync_api import Page, expect
from support.browser import Window
from support.hub_clients import eventually, operational_credentials, sdk_client

from fleetcert.certificates import thumbprint
from shared.contracts import ReportedCertificate, ReportedOnboarding, reported_patch

type WindowOf = Callable[..., Window]

TILES = {
    "valid": ("valid",),
    "due": ("due", "dispatching", "commanded"),
    "overdue": ("overdue",),
    "expired": ("expired",),
    "disabled": ("disabled",),
    "unknown": ("unknown", "provisional"),
}
BATCH = 30
STRANGE_ID = "a%b#c?d'e"
MARKUP = "<img src=x onerror=alert(1)>"


class Connected:
    """A device with an operational certificate, connected and known to fleetcert."""

    def __init__(self, azure: dict[str, Any], folder: Path) -> None:
        self.azure = azure
        self.folder = folder
        self.id = f"seen-{uuid4().hex[:8]}"
        self.credential = operational_credentials(azure, self.id, folder)
        self.client: IoTHubDeviceClient = sdk_client(azure, self.id, self.credential)
        self.client.connect()

    def report(self) -> None:
        leaf = self.credential.leaf
        pem = self.credential.certificate.read_text().partition("-----END CERTIFICATE-----")
        onboarding = self.credential.certificate.with_name(f"{self.id}-onboarding.pem").read_text()
        onboarding = "".join(onboarding.partition("-----END CERTIFICATE-----")[:2]) + "\n"
        certificate = ReportedCertificate(
            valid_from=leaf.not_valid_before_utc,
            valid_until=leaf.not_valid_after_utc,
            thumbprint=thumbprint(leaf),
            serial_number=f"{leaf.serial_number:x}",
            pem="".join(pem[:2]) + "\n",
        )
        self.client.patch_twin_reported_properties(reported_patch(certificate, ReportedOnboarding(pem=onboarding)))
        eventually(lambda: get(self.azure, f"devices/{self.id}").get("state") == "valid", seconds=20)


@pytest.fixture
def device(azure: dict[str, Any], tmp_path: Path) -> Iterator[Connected]:
    connected = Connected(azure, tmp_path)
    connected.report()
    yield connected
    connected.client.shutdown()


def get(azure: dict[str, Any], path: str, **query: Any) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    answer = httpx.get(f"{azure['functions_url']}/api/{path}", headers=headers, params=query, timeout=20)
    return dict(answer.json()) if answer.status_code == 200 else {}


def post(azure: dict[str, Any], path: str, body: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    httpx.post(f"{azure['functions_url']}/api/{path}", headers=headers, json=body, timeout=20).raise_for_status()


def create(azure: dict[str, Any], device_id: str, tags: dict[str, str]) -> None:
    """A device at the hub, which has not reported anything."""
    registry = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
    registry.create_device_with_certificate_authority(device_id, "enabled")
    registry.update_twin(device_id, Twin(tags=tags), registry.get_twin(device_id).etag)


def rows(page: Page) -> Any:
    return page.locator("tr[data-device]")


def test_the_tiles_agree_with_the_summary_they_were_counted_from(azure: dict[str, Any], window_of: WindowOf) -> None:
    create(azure, f"seen-{uuid4().hex[:8]}", {})
    eventually(lambda: (get(azure, "fleet/summary")["snapshot"] or {}).get("total"), seconds=60)
    window = window_of()
    with window.page.expect_response("**/api/fleet/summary") as answer:
        window.sign_in("all")
    snapshot = answer.value.json()["snapshot"]
    tiles = {tone: window.page.locator(f"[data-tile={tone}]") for tone in ("all", *TILES)}
    expect(tiles["all"]).to_have_text(f"{snapshot['total']:,}")
    for tone, states in TILES.items():
        expect(tiles[tone]).to_have_text(f"{sum(snapshot['states'].get(state, 0) for state in states):,}")
    assert sum(int(tiles[tone].inner_text().replace(",", "")) for tone in TILES) == snapshot["total"]
    expect(window.page.get_by_role("img", name="When certificates end")).to_be_visible()
    window.page.get_by_text("As a table").first.click()
    counts = window.page.get_by_role("table").first.get_by_role("cell").all_inner_texts()
    assert counts == [f"{number:,}" for number in snapshot["expiry"].values()]


def test_the_list_is_filtered_by_what_is_typed_and_turned_page_by_page(
    azure: dict[str, Any], window_of: WindowOf
) -> None:
    batch = uuid4().hex[:8]
    for number in range(BATCH):
        create(azure, f"{batch}-{number:02}", {"batch": batch})
    eventually(lambda: len(get(azure, "devices", tag=f"batch={batch}").get("devices", ())) == BATCH, seconds=30)
    page = window_of("Fleet.Read").page
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Tag").fill(f"batch={batch}")
    expect(rows(page)).to_have_count(BATCH)
    page.get_by_label("Rows").select_option("25")
    expect(rows(page)).to_have_count(25)
    page.get_by_role("button", name="Next").click()
    expect(rows(page)).to_have_count(BATCH - 25)
    page.get_by_role("button", name="Previous").click()
    expect(rows(page)).to_have_count(25)
    page.get_by_label("Search").fill(f"{batch.upper()}-07")
    expect(rows(page)).to_have_count(1)
    expect(page.get_by_role("status").first).to_have_text("1 device that fit.")
    page.get_by_label("State").select_option("Disabled")
    expect(page.get_by_text("No device fits")).to_be_visible()
    page.get_by_role("link", name="Clear").click()
    expect(page.get_by_label("Search")).to_have_value("")
    expect(rows(page).first).to_be_visible()


def test_an_id_of_any_characters_is_reached_and_a_tag_that_looks_like_html_stays_text(
    azure: dict[str, Any], window_of: WindowOf
) -> None:
    create(azure, STRANGE_ID, {"note": MARKUP})
    eventually(lambda: get(azure, "devices", tag=f"note={MARKUP}").get("devices"), seconds=20)
    page = window_of("Fleet.Read", viewport={"width": 1600, "height": 900}).page
    page.get_by_label("Search").fill(STRANGE_ID)
    row = rows(page).filter(has_text=STRANGE_ID)
    expect(row).to_contain_text(f"note={MARKUP}")
    row.get_by_role("link", name=STRANGE_ID).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(STRANGE_ID)
    expect(page.locator("dd", has_text="note=")).to_contain_text(MARKUP)
    expect(page.locator("tr[data-kind]").first).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text(STRANGE_ID)
    assert page.locator("main img").count() == 0


def test_a_device_is_disabled_from_the_click_to_its_refusal_and_let_in_again(
    azure: dict[str, Any], window_of: WindowOf, device: Connected, tmp_path: Path
) -> None:
    window = window_of("all")
    page = window.page
    window.go(f"#/device/{device.id}")
    page.get_by_role("button", name="Disable").click()
    dialog = page.get_by_role("dialog", name=f"Shut out {device.id}")
    dialog.get_by_role("button", name="Disable the device").click()
    expect(dialog.get_by_label("Reason")).to_be_focused()
    dialog.get_by_label("Reason").fill("stolen from the depot")
    dialog.get_by_label("Type the device id").fill("another")
    dialog.get_by_role("button", name="Disable the device").click()
    expect(dialog.get_by_text("This is not the device's id.")).to_be_visible()
    assert get(azure, f"devices/{device.id}")["containment"] is None
    dialog.get_by_label("Type the device id").fill(device.id)
    dialog.get_by_label("Type the device id").press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("button", name="Enable")).to_be_visible()
    eventually(lambda: not device.client.connected)
    expect(page.get_by_role("heading", name="Shut out", exact=True)).to_be_visible(timeout=30_000)
    with pytest.raises(AssertionError, match="disabled"):
        operational_credentials(azure, device.id, tmp_path)
    expect(page.locator("li.step.tone-valid", has_text="An attempt of it was seen refused")).to_be_visible(
        timeout=30_000
    )
    expect(page.get_by_text("It is disabled in the ADR namespace")).to_be_visible()
    row = page.locator("tr[data-kind=disableRequested]")
    expect(row).to_contain_text("stolen from the depot")
    expect(row).to_contain_text("Local operator")
    page.get_by_role("button", name="Enable").click()
    page.get_by_label("Reason").fill("it was found")
    page.get_by_role("button", name="Enable the device").click()
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    eventually(lambda: get(azure, f"devices/{device.id}")["containment"] is None, seconds=60)
    expect(page.get_by_role("heading", name="Being let in again")).to_have_count(0)


def test_a_place_that_does_not_know_the_device_is_not_said_to_have_disabled_it(
    azure: dict[str, Any], window_of: WindowOf
) -> None:
    device_id = f"seen-{uuid4().hex[:8]}"
    create(azure, device_id, {})
    eventually(lambda: get(azure, f"devices/{device_id}"), seconds=20)
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    url = f"{azure['functions_url']}/api/devices/{device_id}/disable"
    httpx.post(url, headers=headers, json={"reason": "never used"}, timeout=20).raise_for_status()
    window = window_of("all")
    window.go(f"#/device/{device_id}")
    page = window.page
    expect(page.get_by_text("Its identity in IoT Hub is disabled")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("The ADR namespace does not know it")).to_be_visible(timeout=30_000)
    containment = get(azure, f"devices/{device_id}")["containment"]
    places = ("hubBefore", "enrollmentBefore", "registryBefore")
    assert [containment[place] for place in places] == ["enabled", "absent", "absent"]


def test_a_device_that_is_asked_to_renew_gets_the_command(window_of: WindowOf, device: Connected) -> None:
    received: list[Message] = []
    device.client.on_message_received = received.append
    window = window_of("Fleet.Read", "Certificates.Renew")
    window.go(f"#/device/{device.id}")
    window.page.get_by_role("button", name="Renew").click()
    window.page.get_by_label("Reason").fill("its key may have leaked")
    window.page.get_by_role("button", name="Ask to renew").click()
    eventually(lambda: received, seconds=20)
    expect(window.page.get_by_role("heading", name="Renewal command")).to_be_visible()
    disable = window.page.get_by_role("button", name="Disable")
    expect(disable).to_have_attribute("aria-disabled", "true")
    expect(window.page.get_by_text("Disable is not possible: it needs the role Devices.Contain")).to_be_visible()


def test_long_work_is_seen_among_the_operations(azure: dict[str, Any], window_of: WindowOf) -> None:
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    reason = f"the audit of {uuid4().hex[:8]}"
    url = f"{azure['functions_url']}/api/fleet/exports"
    begun = httpx.post(url, headers=headers, json={"reason": reason}, timeout=20).raise_for_status().json()
    eventually(lambda: get(azure, f"operations/{begun['id']}")["state"] == "done", seconds=30)
    page = window_of("Fleet.Read").page
    page.get_by_role("link", name="Operations").click()
    row = page.locator(f"tr[data-key='{begun['id']}']")
    expect(row).to_contain_text(reason)
    expect(row).to_contain_text("Done")
    row.get_by_text("Details").click()
    with page.expect_download() as download:
        row.get_by_role("link", name="Download the file").click()
    assert download.value.path().read_text().startswith("deviceId,")


def test_the_browser_signs_in_at_its_first_visit_and_goes_on_where_it_wanted(
    azure: dict[str, Any], window_of: WindowOf
) -> None:
    window = window_of()
    window.refusals = True  # the 401 is what leads to the login
    window.page.goto(f"{azure['functions_url']}/api/dashboard#/operations")
    window.page.get_by_label("Devices.Contain").uncheck()
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("heading", level=1)).to_have_text("Operations")
    window.page.get_by_text("Local operator (Fleet.Read, Certificates.Renew)").first.click()
    window.page.get_by_role("button", name="Sign out").click()
    window.page.goto(f"{azure['functions_url']}/api/dashboard")
    expect(window.page.get_by_text("You are not signed in")).to_be_visible()


def test_a_pause_is_seen_by_whoever_looks_until_it_is_ended(azure: dict[str, Any], window_of: WindowOf) -> None:
    tag = f"batch={uuid4().hex[:8]}"
    post(azure, "fleet/pause", {"until": "2099-01-01T00:00:00Z", "reason": "found by a test", "tag": tag})
    page = window_of("Fleet.Read").page
    ruled = page.get_by_role("region", name="What operators have ruled")
    expect(ruled).to_contain_text(f"devices with {tag} are paused until 2099-01-01 00:00:00 UTC by")
    expect(ruled).to_contain_text("found by a test")
    post(azure, "fleet/resume", {"reason": "the test is over", "tag": tag})
    expect(ruled).to_have_count(0, timeout=30_000)
