"""The operator's page names every setting that the app reads, and none that it does not."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from shared.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/operations.md").read_text()
BY_THE_PLATFORM = {"IDENTITY_ENDPOINT", "WEBSITE_AUTH_ENABLED"}


def in_settings_table() -> set[str]:
    section = PAGE.split("## Settings")[1].split("The triggers also need")[0]
    cells = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    return {name for row in cells for name in re.findall(r"`(\w+)`", row[1] + row[3]) if not name.islower()}


def test_every_setting_stands_in_the_table_and_no_other() -> None:
    read = {info.encode_name for info in msgspec.structs.fields(Settings)} - BY_THE_PLATFORM
    assert in_settings_table() == read


def test_every_binding_of_a_trigger_is_named() -> None:
    bound = {n for f in (ROOT / "functions").glob("*.py") for n in re.findall(r'"%(\w+)%"', f.read_text())}
    assert {name for name in bound if f"`{name}`" not in PAGE} == set()
