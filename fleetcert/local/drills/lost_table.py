"""Drill: the fleet's table is deleted. Afterwards what came back is compared with what was there."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from azure.data.tables import TableServiceClient
from azure.storage.blob import ContainerClient

from fleetcert.local.drills.stage import DrillFailed, Stage
from fleetcert.operating.audit import entries
from shared.contracts import format_instant, parse_instant

_SYMPTOM_SECONDS: Final = 5.0

type Notes = Mapping[str, Mapping[str, Any]]
"""Device id -> `record` and `history`, as the app's API had them."""


def run(stage: Stage) -> None:
    """Notes what the app knows, deletes the table, and tells what the app says then. Raises: DrillFailed."""
    notes = _look(stage, stage.cloud.identities())
    if not notes:
        raise DrillFailed("the table holds no device: run another drill first")
    _file(stage).write_text(json.dumps(notes))
    shut_out = sum(_is_shut_out(note) for note in notes.values())
    changes = sum(len(note["history"]) for note in notes.values())
    stage.tell(f"the app knows {len(notes)} devices, {shut_out} of them shut out, and {changes} changes of theirs")
    with TableServiceClient.from_connection_string(stage.azure["storage_connection_string"]) as storage:
        storage.delete_table(stage.azure["settings"]["FLEET_TABLE"])
    stage.tell("the table is deleted")
    time.sleep(_SYMPTOM_SECONDS)
    stage.tell(f"the app's API says: {stage.cloud.answers()}")
    enabled = sum(status == "enabled" for status in stage.cloud.identities().values())
    stage.tell(f"IoT Hub has its {len(stage.cloud.identities())} identities, {enabled} of them enabled, as before")


def compare(stage: Stage) -> None:
    """Tells what of it is there again. Raises: DrillFailed where a record or a containment is not."""
    notes: Notes = json.loads(_file(stage).read_text())
    now = _look(stage, notes)
    wrong = [d for d in notes if _certificate(now.get(d)) != _certificate(notes[d])]
    stage.tell(f"certificates as before the loss: {len(notes) - len(wrong)} of {len(notes)}")
    let_in = [d for d, note in notes.items() if _is_shut_out(note) and not _is_shut_out(now.get(d, {}))]
    stage.tell(f"shut out as before the loss: {sum(map(_is_shut_out, now.values()))}; not any more: {let_in or 'none'}")
    known = {d: _changes(now.get(d, {})) for d in notes}
    _tell_of_the_lost(stage, [(d, *lost) for d, note in notes.items() for lost in sorted(_changes(note) - known[d])])
    if wrong or let_in:
        raise DrillFailed(f"not as before the loss: {', '.join(sorted({*wrong, *let_in}))}")


def _tell_of_the_lost(stage: Stage, lost: Sequence[tuple[str, str, str]]) -> None:
    """The changes (device, instant, kind) that the backup did not have: those that the audit has, and the others."""
    audited = _audited(stage)
    stage.tell(f"changes since the backup, which the audit has: {sum(change in audited for change in lost)}")
    stage.tell(f"changes that nobody has any more: {sum(change not in audited for change in lost)}")
    for change in lost:
        stage.tell(f"    {' '.join(change)}{'' if change in audited else '  LOST'}")


def _audited(stage: Stage) -> set[tuple[str, str, str]]:
    name, storage = stage.azure["settings"]["AUDIT"], stage.azure["storage_connection_string"]
    with ContainerClient.from_connection_string(storage, name) as blobs:
        found = [(str(e.get("deviceId")), parse_instant(str(e["at"])), str(e["kind"])) for e in entries(blobs)]
    return {(device_id, format_instant(at), kind) for device_id, at, kind in found}


def _look(stage: Stage, device_ids: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    records = {d: record for d in device_ids if (record := stage.cloud.record(d))}
    return {d: {"record": record, "history": stage.cloud.history(d)} for d, record in records.items()}


def _certificate(note: Mapping[str, Any] | None) -> tuple[str, str] | None:
    certificate = note and note["record"].get("certificate")
    return (certificate["thumbprint"], certificate["validUntil"]) if certificate else None


def _is_shut_out(note: Mapping[str, Any]) -> bool:
    return bool(note and note["record"].get("containment"))


def _changes(note: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(change["at"], change["kind"]) for change in note.get("history", ())}


def _file(stage: Stage) -> Path:
    return stage.folder / "before-the-loss.json"
