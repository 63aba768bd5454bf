"""The document says what the routes take and answer, by the models that do it; no word of it is kept by hand."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from msgspec import Struct
from openapi_spec_validator import OpenAPIV31SpecValidator

from shared.schemas import examples, openapi
from shared.schemas.access import Role
from shared.schemas.problems import KINDS, MEDIA_TYPE
from shared.schemas.routes import ROUTES
from shared.schemas.routing import JSON, Route

DOCUMENT: dict[str, Any] = json.loads(openapi.document())
BODIES = [route.body for route in ROUTES if route.body is not None]
JSON_ANSWERS: list[Any] = [answer.model for route in ROUTES for answer in route.answers if answer.media_type == JSON]


def described(route: Route[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][f"/{route.path}"][route.method.lower()]
    return operation


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """The node, or what it refers to."""
    if "$ref" not in node:
        return node
    found: Any = DOCUMENT
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def test_the_document_is_valid_openapi():
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_describes_every_route_and_nothing_else():
    told = {(path, method) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert told == {(f"/{route.path}", route.method.lower()) for route in ROUTES}
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert sorted(names) == sorted({route.name for route in ROUTES})


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_an_operation_names_the_roles_that_open_it(route: Route[Any, Any]):
    assert described(route)["security"] == [{"entra": [role]} for role in route.roles]
    assert set(route.roles) <= set(Role)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_parameters_of_an_operation_are_those_of_its_models(route: Route[Any, Any]):
    parameters = described(route)["parameters"]
    told = {(p["in"], p["name"]) for p in parameters if p["in"] != "header"}
    query = {info.encode_name for info in msgspec.structs.fields(route.query)}
    assert told == {("query", name) for name in query} | {("path", name) for name in route.parameters}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_body_is_that_of_the_model_that_reads_it(route: Route[Any, Any]):
    told = described(route).get("requestBody")
    if route.body is None:
        assert told is None
        return
    assert told["required"] is True
    schema = resolved(told["content"][JSON]["schema"])
    assert schema["additionalProperties"] is False
    assert schema["properties"].keys() == {info.encode_name for info in msgspec.structs.fields(route.body)}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_an_operation_tells_each_of_its_answers_and_problems(route: Route[Any, Any]):
    told = {int(status): resolved(response) for status, response in described(route)["responses"].items()}
    problems = openapi.problems_of(route)
    assert told.keys() == {*(int(answer.status) for answer in route.answers), *(int(kind.status) for kind in problems)}
    for answer in route.answers:
        schema = told[answer.status]["content"][answer.media_type]["schema"]
        assert schema == {"$ref": f"#/components/schemas/{answer.model.__name__}"} or answer.media_type != JSON
    for kind in problems:
        shown = told[kind.status]["content"][MEDIA_TYPE]["examples"][kind.name]["value"]
        assert (shown["type"], shown["status"]) == (kind.type, kind.status)


@pytest.mark.parametrize("model", [*BODIES, *JSON_ANSWERS], ids=lambda model: model.__name__)
def test_every_example_is_one_of_its_model(model: type[Struct]):
    schema = {"$ref": f"#/components/schemas/{model.__name__}", "components": DOCUMENT["components"]}
    example = examples.of(model)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(example)
    assert msgspec.convert(example, model)


def test_every_problem_is_told_by_some_operation_but_a_method_that_no_operation_has():
    told = {kind.name for route in ROUTES for kind in openapi.problems_of(route)}
    assert {kind.name for kind in KINDS} - told == {"method-not-allowed"}


def test_names_of_models_are_told_apart():
    models = {*BODIES, *JSON_ANSWERS, *(route.query for route in ROUTES)}
    assert len({model.__name__ for model in models}) == len(models)
