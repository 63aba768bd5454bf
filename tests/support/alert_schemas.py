"""Whether an alert is what its schema says: as a receiver would check it, and as strictly as only we may."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from shared.contracts import ALERT_SCHEMAS, alert_schema
from shared.schemas.alerts import MODELS, document

_BUNDLE: dict[str, Any] = json.loads(document())


@cache
def registry() -> Registry[Any]:
    """The shipped document, from which any `dataschema` can be looked up."""
    return Registry().with_resource(ALERT_SCHEMAS, Resource.from_contents(_BUNDLE)).crawl()


def validate(dataschema: str, data: Any) -> None:
    """As a receiver does. Raises: jsonschema.ValidationError."""
    schema = {"$ref": dataschema}
    Draft202012Validator(schema, registry=registry(), format_checker=FormatChecker()).validate(data)


def require_known(kind: str, data: Mapping[str, Any]) -> None:
    """That the alert fits its schema, and that the schema tells of each of its members."""
    if kind not in MODELS:
        raise AssertionError(f"{kind} has no schema: add one to shared/schemas/alert_data.py and docs/alerts.md")
    validate(alert_schema(kind), dict(data))
    unknown = data.keys() - _BUNDLE["$defs"][kind]["properties"].keys()
    if unknown:
        raise AssertionError(f"{kind} holds {sorted(unknown)}, of which its schema in alert_data.py does not tell")
