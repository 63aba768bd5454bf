"""What is said of a change: once, when it is written, in the log, in the metrics and in its command's trace."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from support.fakes import NOON, FakeTable
from support.measuring import Note, id_of, links_of, trace_of, tracing_on

from shared import tracing
from shared.domain import reasons
from shared.errors import InfrastructureFault
from shared.logs import fields_of
from shared.services.counting import CountedTable
from shared.services.ports import Row, Write

COMMAND = "b5d0e1c2-7f0a-5d5e-9c55-0a4b3c2d1e0f"


def history(kind: str, event_id: str = "iot-events/3/7", reason: str = "", **details: str) -> Write:
    values = {
        "deviceId": "dev-1",
        "eventId": event_id,
        "at": NOON,
        "kind": kind,
        "actor": "fleetcert",
        "actorObjectId": "",
        "reason": reason,
        "details": json.dumps(details),
    }
    return Write("upsert", Row("s00", f"history!dev-1!{kind}", values))


async def test_a_change_is_one_line_with_its_fields(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "shared"):
        await CountedTable(FakeTable()).commit("s00", [history(reasons.HISTORY_DUE, reason="windowOpen\nand more")])
    [record] = caplog.records
    assert (record.getMessage(), record.levelname) == ("renewalDue dev-1: windowOpen and more", "INFO")
    assert fields_of(record) == {
        "fleetcert.device.id": "dev-1",
        "fleetcert.kind": "renewalDue",
        "fleetcert.reason": "windowOpen\nand more",
        "fleetcert.actor": "fleetcert",
        "fleetcert.event.id": "iot-events/3/7",
    }


async def test_what_was_not_written_is_not_said(caplog: pytest.LogCaptureFixture, noted: list[Note]):
    table = CountedTable(FakeTable(faults=[InfrastructureFault("table", "down")]))
    with caplog.at_level(logging.INFO, "shared"), pytest.raises(InfrastructureFault):
        await table.commit("s00", [history(reasons.HISTORY_DUE)])
    assert (caplog.records, noted) == ([], [])


async def test_other_rows_and_pruned_history_say_nothing(caplog: pytest.LogCaptureFixture):
    pruned = Write("delete", Row("s00", "history!dev-1!1", {}))
    audit = Write("upsert", Row("s00", "audit!1", history(reasons.HISTORY_DUE).row.values))
    with caplog.at_level(logging.INFO, "shared"):
        await CountedTable(FakeTable()).commit("s00", [pruned, audit])
    assert caplog.records == []


@pytest.mark.parametrize("kind", [reasons.HISTORY_EXPIRED, reasons.HISTORY_MISMATCH, reasons.HISTORY_EVALUATION_FAILED])
async def test_what_somebody_may_have_to_look_after_is_a_warning(kind: str, caplog: pytest.LogCaptureFixture):
    await CountedTable(FakeTable()).commit("s00", [history(kind)])
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    "change",
    [
        history(reasons.HISTORY_COMMANDED, COMMAND),
        history(reasons.HISTORY_COMMAND_SENT, COMMAND),
        history(reasons.HISTORY_COMMAND_REFUSED, COMMAND),
        history(reasons.HISTORY_COMMAND_ANSWERED, COMMAND),
        history(reasons.HISTORY_RENEWED, commandId=COMMAND),
    ],
    ids=lambda write: write.row.values["kind"],
)
async def test_a_change_about_a_command_is_a_moment_in_its_trace(change: Write):
    kind: Any = change.row.values["kind"]
    with tracing_on() as traced:
        with tracing.span("invocation"):
            await CountedTable(FakeTable()).commit("s00", [change])
        moment = traced.one(kind)
        assert trace_of(moment) == COMMAND.replace("-", "")
        assert links_of(moment) == {id_of(traced.one("invocation"))}
        assert (moment.attributes or {})["fleetcert.command.id"] == COMMAND


@pytest.mark.parametrize(
    "change", [history(reasons.HISTORY_DUE, COMMAND), history(reasons.HISTORY_RENEWED), history(reasons.HISTORY_ISSUED)]
)
async def test_other_changes_are_in_no_commands_trace(change: Write):
    with tracing_on() as traced:
        await CountedTable(FakeTable()).commit("s00", [change])
        assert traced.spans == []
