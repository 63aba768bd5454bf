"""What the answers of the hub's and DPS's lists mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from azure.core.credentials import TokenCredential
from azure.core.credentials_async import AsyncTokenCredential

from shared.adapters.dps import MOST_PAGES, Enrollments
from shared.adapters.dps_inventory import DpsInventory
from shared.adapters.faults import RequestRejected
from shared.adapters.hub_query import HubQuery
from shared.domain.inventory import Registration
from shared.errors import InfrastructureFault, Throttled
from shared.services.reconciling import ContinuationExpired


@dataclass
class HubAnswer:
    """An HTTP answer, as `requests` has it."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = field(default_factory=list)
    text: str = "{}"

    def json(self) -> Any:
        return self.document


@dataclass
class DpsAnswer:
    """An HTTP answer, as azure-core has it."""

    status_code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Any = field(default_factory=list)

    def json(self) -> Any:
        return self.document

    def text(self) -> str:
        return "{}"


def hub_that_answers(monkeypatch: pytest.MonkeyPatch, answer: HubAnswer) -> tuple[HubQuery, list[Any]]:
    hub = HubQuery("hub-1.azure-devices.net", cast(TokenCredential, None))
    sent: list[Any] = []
    monkeypatch.setattr(hub, "_send", lambda *request: sent.append(request) or answer)
    return hub, sent


def dps_that_answers(monkeypatch: pytest.MonkeyPatch, *answers: DpsAnswer) -> tuple[DpsInventory, list[Any]]:
    dps = DpsInventory("dps-1.azure-devices-provisioning.net", cast(AsyncTokenCredential, None))
    sent, left = [], list(answers)

    async def send(*request: Any) -> DpsAnswer:
        sent.append(request)
        return left.pop(0)

    monkeypatch.setattr(dps, "_send", send)
    return dps, sent


async def test_the_hub_is_asked_for_a_thousand_twins_from_where_it_left_off(monkeypatch: pytest.MonkeyPatch):
    hub, sent = hub_that_answers(monkeypatch, HubAnswer(200, {"x-ms-continuation": "next"}, [{"deviceId": "a"}]))
    assert await hub.page("token") == ([{"deviceId": "a"}], "next")
    assert sent == [
        (
            "POST",
            "devices/query",
            {"x-ms-max-item-count": "1000", "x-ms-continuation": "token"},
            {"query": "SELECT * FROM devices"},
        )
    ]


@pytest.mark.parametrize("headers", [{}, {"x-ms-continuation": ""}])
async def test_a_page_without_a_continuation_is_the_last(monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]):
    hub, sent = hub_that_answers(monkeypatch, HubAnswer(200, headers))
    assert await hub.page(None) == ([], None)
    assert "x-ms-continuation" not in sent[0][2]


async def test_a_throttle_of_the_hub_says_how_long(monkeypatch: pytest.MonkeyPatch):
    hub, _ = hub_that_answers(monkeypatch, HubAnswer(429, {"Retry-After": "17"}))
    with pytest.raises(Throttled) as caught:
        await hub.page(None)
    assert caught.value.retry_after == timedelta(seconds=17)


@pytest.mark.parametrize(
    ("status", "continuation", "expected"),
    [(400, "token", ContinuationExpired), (400, None, RequestRejected), (500, "token", InfrastructureFault)],
)
async def test_a_refused_page_means(
    monkeypatch: pytest.MonkeyPatch, status: int, continuation: str | None, expected: type[Exception]
):
    hub, _ = hub_that_answers(monkeypatch, HubAnswer(status))
    with pytest.raises(expected):
        await hub.page(continuation)
    dps, _ = dps_that_answers(monkeypatch, DpsAnswer(status))
    with pytest.raises(expected):
        await dps.registrations("fleet", continuation)


async def test_registrations_that_led_to_no_device_are_left_out_and_the_hub_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
):
    assigned = {
        "registrationId": "reg-1",
        "deviceId": "dev-1",
        "status": "assigned",
        "assignedHub": "Hub-1.azure-devices.net",
    }
    documents = [assigned, {"registrationId": "reg-2", "status": "failed"}, {**assigned, "status": "disabled"}]
    dps, _ = dps_that_answers(monkeypatch, DpsAnswer(200, document=documents))
    expected = Registration(registration_id="reg-1", device_id="dev-1", hub="Hub-1")
    assert await dps.registrations("fleet", None) == ([expected], None)


async def test_all_groups_are_read_however_many_pages_they_take(monkeypatch: pytest.MonkeyPatch):
    def group(name: str, **members: str) -> dict[str, Any]:
        return {"enrollmentGroupId": name, "attestation": {"type": "symmetricKey"}, **members}

    dps, sent = dps_that_answers(
        monkeypatch,
        DpsAnswer(200, {"x-ms-continuation": "more"}, [group("a", credentialPolicyName="default")]),
        DpsAnswer(200, {}, [group("b", provisioningStatus="disabled")]),
    )
    groups = await dps.list()
    assert [(g.id, g.credential_policy, g.enabled) for g in groups] == [("a", "default", True), ("b", None, False)]
    assert sent[1][3]["x-ms-continuation"] == "more"


@pytest.mark.parametrize(("second", "expected"), [([{"enrollmentGroupId": "b"}], None), ([], "a")])
async def test_the_only_group_is_one_that_no_further_page_has_a_second_beside(
    monkeypatch: pytest.MonkeyPatch, second: list[dict[str, Any]], expected: str | None
):
    dps, _ = dps_that_answers(
        monkeypatch,
        DpsAnswer(200, document={"registrationId": "reg-1"}),
        DpsAnswer(200, {"x-ms-continuation": "more"}, [{"enrollmentGroupId": "a"}]),
        DpsAnswer(200, document=second),
    )
    assert await Enrollments(dps).enrollment_group_of("reg-1") == expected


async def test_pages_that_do_not_end_are_a_fault_of_the_service(monkeypatch: pytest.MonkeyPatch):
    dps, sent = dps_that_answers(monkeypatch, *[DpsAnswer(200, {"x-ms-continuation": "more"})] * (MOST_PAGES + 1))
    with pytest.raises(InfrastructureFault, match="more than 100 pages"):
        await dps.list()
    assert len(sent) == MOST_PAGES
