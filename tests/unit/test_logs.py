"""Lines of the log: fields, and texts from outside."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from support.measuring import id_of, tracing_on

from shared import tracing
from shared.logs import JsonLines, about, fields_of, is_ours, one_line


def a_record(message: str = "renewed", **fields: object) -> logging.LogRecord:
    return logging.getLogger("shared.tests").makeRecord(
        "shared.tests", logging.WARNING, "f.py", 1, message, (), None, extra=about(**fields)
    )


def test_fields_have_our_prefix_and_those_that_say_nothing_are_left_out():
    assert about(device_id="dev-1", actor_object_id="o-1", reason="", command_id=None, attempt=0) == {
        "fleetcert.device.id": "dev-1",
        "fleetcert.actor.object.id": "o-1",
        "fleetcert.attempt": "0",
    }
    assert fields_of(a_record(device_id="dev-1")) == {"fleetcert.device.id": "dev-1"}


def test_a_text_from_outside_stays_within_its_line():
    assert one_line("stolen\n2026-11-23 INFO all is well\x1b[2J\u2028x") == "stolen 2026-11-23 INFO all is well [2J x"
    assert one_line("Zürich, Gerät 7") == "Zürich, Gerät 7"


def test_a_json_line_is_one_object_on_one_line_and_names_the_span_around_it():
    with tracing_on() as traced, tracing.span("work"):
        line = JsonLines().format(a_record('say "so"\nnow', device_id="dev-1"))
    assert "\n" not in line
    members = json.loads(line)
    assert datetime.fromisoformat(members.pop("time")).tzinfo == UTC
    assert members.pop("traceparent").split("-")[2] == id_of(traced.one("work"))
    assert members == {
        "level": "WARNING",
        "logger": "shared.tests",
        "message": 'say "so"\nnow',
        "fleetcert.device.id": "dev-1",
    }


def test_whose_a_line_is():
    assert all(map(is_ours, ("shared.services.store", "functions.edge", "function_app")))
    assert not any(map(is_ours, ("azure.core", "sharedness", "root")))
