"""The API's page names every route with its role, and every problem with its status, and none that there is not."""

from __future__ import annotations

import re
from pathlib import Path

from shared.schemas.access import Role
from shared.schemas.problems import KINDS
from shared.schemas.routes import ROUTES
from shared.schemas.routing import Route

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table behind a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[1:]]


def roles_of(route: Route) -> str:
    return {0: "none", 1: str(next(iter(route.roles), "")), len(Role): "any"}[len(route.roles)]


def test_every_route_stands_on_the_page_with_its_role():
    told = [(method, path, role) for method, path, role, _ in rows("Who may")]
    assert sorted(told) == sorted((route.method, route.path, roles_of(route)) for route in ROUTES)


def test_every_problem_stands_on_the_page_with_its_status():
    told = [(kind, int(status)) for kind, status, _ in rows("Problems")]
    assert sorted(told) == sorted((kind.type, int(kind.status)) for kind in KINDS)
    assert all(re.fullmatch(r"urn:fleetcert:problem:[a-z-]+", kind.type) for kind in KINDS)


def test_every_filter_of_a_list_stands_on_the_page():
    told = {name for names, _ in rows("Lists") for name in re.findall(r"\w+", names)}
    [listed] = [route for route in ROUTES if route.name == "list_devices"]
    assert told | {"limit", "cursor"} == {
        f.replace("_b", "B").replace("_a", "A") for f in listed.query.__struct_fields__
    }
