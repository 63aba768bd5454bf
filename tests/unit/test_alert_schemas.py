"""Every alert has a schema, an example that fits it, and a page that shows both; nothing of that is kept by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema import Draft202012Validator
from support.alert_schemas import require_known, validate

from fleetcert.local.cloudevents import problem_with
from shared.contracts import AlertType, alert_schema
from shared.domain.fleet_alerts import FleetAlertType
from shared.schemas import openapi
from shared.schemas.alert_examples import data_of, event_of
from shared.schemas.alerts import MODELS, document

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "alerts.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
TYPES = {
    value for place in (AlertType, FleetAlertType) for name, value in vars(place).items() if not name.startswith("_")
}


def shown() -> dict[str, Any]:
    """The examples of the page, by the heading above each."""
    parts = re.findall(r"^### (\S+)\n.*?```json\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
    return {kind: json.loads(example) for kind, example in parts}


def test_every_type_of_alert_has_a_schema():
    assert MODELS.keys() == TYPES


def test_the_shipped_document_is_what_the_models_say():
    shipped = (DOCS / "alerts.schema.json").read_bytes()
    assert shipped == document(), "run: python -m shared.schemas.alerts > docs/alerts.schema.json"


def test_each_schema_is_one():
    for kind, schema in json.loads(document())["$defs"].items():
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == alert_schema(kind)


def test_the_page_shows_each_type_with_its_example():
    assert shown() == {kind: event_of(kind) for kind in MODELS}
    told = set(re.findall(r"^\| `(Fleetcert\.[\w.]+)` \|", OPERATIONS, re.MULTILINE))
    assert told == TYPES


@pytest.mark.parametrize("kind", MODELS)
def test_an_example_is_a_cloud_event_whose_data_fit_their_schema(kind: str):
    event = event_of(kind)
    assert problem_with(event) is None
    validate(event["dataschema"], event["data"])
    require_known(kind, event["data"])
    webhook = json.loads(openapi.document())["webhooks"][kind]["post"]["requestBody"]["content"]
    assert webhook["application/cloudevents+json"]["example"] == event


@pytest.mark.parametrize("kind", MODELS)
def test_data_that_lack_a_member_or_misshape_one_do_not_fit(kind: str):
    data = data_of(kind)
    schema = json.loads(document())["$defs"][kind]
    for name in schema["required"]:
        with pytest.raises(jsonschema.ValidationError):
            validate(alert_schema(kind), {key: value for key, value in data.items() if key != name})
    for name in data:
        with pytest.raises(jsonschema.ValidationError):
            validate(alert_schema(kind), {**data, name: 5})


def test_a_receiver_is_not_broken_by_a_member_that_was_added():
    validate(alert_schema(AlertType.DEVICE_DISABLED), {**data_of(AlertType.DEVICE_DISABLED), "new": "x"})
