"""The dashboard's files: what is served and what never is, how they hang together, and what may not stand in them."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from http import HTTPStatus

import pytest

from functions.static_files import FOLDER, MEDIA_TYPES, PAGE, static_files, static_reply
from shared.errors import NotFound
from shared.schemas import openapi

BASE = "/api/dashboard/"
CHARTS = "chart.umd.min.js"
OURS = sorted(name for name in static_files() if name != CHARTS)
MODULES = [name for name in OURS if name.endswith(".js")]
DOCUMENT = json.loads(openapi.document())


def text(name: str) -> str:
    return (FOLDER / name).read_text()


class Elements(HTMLParser):
    """The tags of a page with their attributes, and the text of those that could hold code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.code = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in ("script", "style"):
            self.code += data.strip()


def page() -> Elements:
    elements = Elements()
    elements.feed(text(PAGE))
    return elements


def imports(name: str) -> set[str]:
    return set(re.findall(r'from "\./([\w.-]+)"', text(name)))


def test_all_that_is_served_is_of_a_kind_that_is_meant():
    assert {path.name for path in FOLDER.iterdir()} - {*static_files()} <= {"models.d.ts", "chart.LICENSE.md"}
    assert static_files()[PAGE].media_type == "text/html"
    assert {file.media_type for file in static_files().values()} == {*MEDIA_TYPES.values()}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../static_files.py",
        "../../host.json",
        "..%2f..%2fhost.json",
        "/etc/passwd",
        f"static/{PAGE}",
        f"./{PAGE}",
        f"{PAGE}/",
        f"{PAGE}\0",
        "INDEX.HTML",
        "models.d.ts",
        "chart.LICENSE.md",
        "__init__.py",
    ],
)
def test_a_name_that_is_not_on_the_list_is_no_file(name: str):
    with pytest.raises(NotFound):
        static_reply(name, None)


@pytest.mark.parametrize("name", static_files())
def test_a_file_is_sent_once_and_then_only_asked_for(name: str):
    reply = static_reply(name, None)
    assert reply.body == (FOLDER / name).read_bytes()
    assert reply.headers["Cache-Control"] == "no-cache"
    etag = reply.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = static_reply(name, known)
        assert (again.status, again.body, again.headers["ETag"]) == (HTTPStatus.NOT_MODIFIED, b"", etag)
    assert static_reply(name, '"other"').status == HTTPStatus.OK
    assert len({file.etag for file in static_files().values()}) == len(static_files())


@pytest.mark.parametrize("name", static_files())
def test_a_browser_may_load_from_the_app_alone_and_run_nothing_inline(name: str):
    headers = static_reply(name, None).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert {policy[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert "unsafe" not in str(policy)
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_document_of_the_api_admits_the_name_of_every_file():
    [parameter] = DOCUMENT["paths"]["/dashboard/{file}"]["get"]["parameters"]
    schema = parameter["schema"]
    assert all(re.search(schema["pattern"], name) and len(name) <= schema["maxLength"] for name in static_files())


def test_the_page_holds_no_code_and_names_files_that_are_served():
    elements = page()
    assert elements.code == ""
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith("on")]
    assert not [attributes for _, attributes in elements.found if "style" in attributes]
    named = {a.get("src") or a.get("href") for tag, a in elements.found if tag in ("script", "link", "img")}
    assert {str(name).removeprefix(BASE) for name in named} <= static_files().keys()


def test_the_page_asks_for_every_module_at_once_and_every_module_is_used():
    preloaded = {a["href"] for _, a in page().found if a.get("rel") == "modulepreload"}
    assert preloaded == {f"{BASE}{name}" for name in MODULES if name != "app.js"}
    assert {name for module in MODULES for name in imports(module)} == {*MODULES} - {"app.js"}


@pytest.mark.parametrize("name", MODULES)
def test_no_module_reads_html_or_writes_a_style_or_asks_another_site(name: str):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|Function\(|setAttribute\(\"style"
    )
    assert not re.search(forbidden, text(name))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text(name))


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_concept(name: str):
    assert text(name).startswith("/**")
    assert len(text(name).splitlines()) < 250


def test_the_page_reads_what_the_api_answers_and_nothing_else():
    """The interfaces that the modules are checked against are those of the OpenAPI document, or a part of them."""
    interfaces = re.findall(r"export interface (\w+) \{(.*?)\n\}", text("models.d.ts"), re.DOTALL)
    assert interfaces
    for name, members in interfaces:
        schema = DOCUMENT["components"]["schemas"][name]
        assert set(re.findall(r"^  (\w+):", members, re.MULTILINE)) <= schema["properties"].keys(), name


def test_the_states_of_the_page_are_those_of_the_api():
    listed = DOCUMENT["components"]["schemas"]["State"]["enum"]
    [told] = re.findall(r"export type State =(.*?);", text("models.d.ts"), re.DOTALL)
    assert sorted(re.findall(r'"(\w+)"', told)) == sorted(listed)
    grouped = [state for states in re.findall(r"states: \[(.*?)\]", text("states.js")) for state in states.split(", ")]
    assert sorted(state.strip('"') for state in grouped) == sorted(listed)
