"""The drills' own judgement, on a cloud that is made of values: what they call lost is lost, and patience ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import ContainerClient

from fleetcert.local.drills import compromised_device, lost_table
from fleetcert.local.drills.stage import DrillFailed, Stage
from fleetcert.operating.audit import entries
from shared.contracts import parse_instant
from shared.domain.audit import Head, Line

CERTIFICATE = {"thumbprint": "aa", "validUntil": "2026-12-23T10:00:00Z"}
CONTAINED = {"certificate": CERTIFICATE, "containment": {"reason": "stolen"}}
OURS = {"certificate": CERTIFICATE, "containment": None}
ISSUED = {"at": "2026-11-23T10:00:00Z", "kind": "certificateIssued"}
DISABLED = {"at": "2026-11-23T10:00:05Z", "kind": "disableRequested"}
AUDITED = {"deviceId": "a", "at": "2026-11-23T10:00:05.120000Z", "kind": "disableRequested"}


@dataclass
class ValuesCloud:
    """The app's word, as values."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    twins: dict[str, str | None] = field(default_factory=dict)

    def record(self, device_id: str) -> dict[str, Any]:
        return self.records.get(device_id, {})

    def history(self, device_id: str) -> list[dict[str, Any]]:
        return self.histories.get(device_id, [])

    def reported(self) -> dict[str, str | None]:
        return self.twins

    def identities(self) -> dict[str, str]:
        return dict.fromkeys(self.twins, "enabled")


@pytest.fixture
def audit(storage: str) -> ContainerClient:
    """An audit of one blob with one change."""
    with ContainerClient.from_connection_string(storage, "drilled") as container:
        container.create_container()
        first = Line.after(Head(), ISSUED | {"deviceId": "a"})
        lines = [first, Line.after(first.head, AUDITED)]
        container.upload_blob("2026-11-23.0001.jsonl", b"".join(line.to_json() + b"\n" for line in lines))
        yield container
        container.delete_container()


def stage_on(cloud: ValuesCloud, folder: Path, storage: str, told: list[str]) -> Stage:
    azure = {"storage_connection_string": storage, "settings": {"AUDIT": "drilled"}}
    return Stage(azure, cloud, folder, told.append)


@pytest.mark.usefixtures("audit")
@pytest.mark.parametrize(
    ("restored", "complaint"),
    [
        (CONTAINED, None),
        (OURS, "not as before the loss: a"),
        (CONTAINED | {"certificate": CERTIFICATE | {"thumbprint": "bb"}}, "not as before the loss: a"),
        ({}, "not as before the loss: a"),
    ],
)
def test_a_restore_is_judged_by_certificates_and_by_who_is_shut_out(
    tmp_path: Path, storage: str, restored: dict[str, Any], complaint: str | None
):
    told: list[str] = []
    (tmp_path / "before-the-loss.json").write_text(json.dumps({"a": {"record": CONTAINED, "history": [ISSUED]}}))
    stage = stage_on(ValuesCloud({"a": restored}, {"a": [ISSUED]}), tmp_path, storage, told)
    if complaint is None:
        lost_table.compare(stage)
    else:
        with pytest.raises(DrillFailed, match=complaint):
            lost_table.compare(stage)


@pytest.mark.usefixtures("audit")
def test_changes_that_the_audit_has_are_told_from_those_that_nobody_has(tmp_path: Path, storage: str):
    told: list[str] = []
    unheard = {"at": "2026-11-23T10:00:07Z", "kind": "registrationBlocked"}
    note = {"record": OURS, "history": [unheard, DISABLED, ISSUED]}
    (tmp_path / "before-the-loss.json").write_text(json.dumps({"a": note}))
    lost_table.compare(stage_on(ValuesCloud({"a": OURS}, {"a": [ISSUED]}), tmp_path, storage, told))
    assert "which the audit has: 1" in told[2]
    assert "nobody has any more: 1" in told[3]
    assert told[4].endswith("2026-11-23T10:00:05Z disableRequested")
    assert told[5].endswith("2026-11-23T10:00:07Z registrationBlocked  LOST")


def test_the_audit_is_listed_from_an_instant_on_and_by_kind(audit: ContainerClient):
    assert [e["kind"] for e in entries(audit)] == ["certificateIssued", "disableRequested"]
    assert [e["kind"] for e in entries(audit, parse_instant("2026-11-23T10:00:01Z"))] == ["disableRequested"]
    assert list(entries(audit, parse_instant("2026-11-24T10:00:00Z"))) == []
    assert [e["deviceId"] for e in entries(audit, kind="disableRequested")] == ["a"]


def test_an_empty_table_is_not_worth_losing(tmp_path: Path, storage: str):
    with pytest.raises(DrillFailed, match="no device"):
        lost_table.run(stage_on(ValuesCloud(), tmp_path, storage, []))


def test_a_device_that_is_shut_out_is_not_stolen_again(tmp_path: Path, storage: str):
    with pytest.raises(DrillFailed, match="shut out already"):
        compromised_device.run(stage_on(ValuesCloud({"a": CONTAINED}), tmp_path, storage, []), "a", 1)


def test_a_record_is_behind_until_it_is_what_the_twin_reports(tmp_path: Path, storage: str):
    cloud = ValuesCloud({"a": OURS, "b": OURS, "c": {}}, twins={"a": "aa", "b": "bb", "c": None})
    assert stage_on(cloud, tmp_path, storage, []).behind(["a", "b", "c"]) == ["b", "c"]


def test_patience_ends_and_says_what_did_not_hold_and_no_answer_is_a_no(tmp_path: Path, storage: str):
    def unreachable() -> bool:
        raise httpx.ConnectError("nobody listens")

    with pytest.raises(DrillFailed, match="after 0 s it does not hold that the sky is green"):
        stage_on(ValuesCloud(), tmp_path, storage, []).wait_for("the sky is green", unreachable, 0)
