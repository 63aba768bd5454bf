"""docs/deploy.md: its commands exist, its options are the deployment's, and what was not run says so."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
from support import bicep
from support.known_commands import complaint
from support.shell_commands import Block, blocks, commands, spans

PAGE = bicep.ROOT / "docs/deploy.md"
PAGES = [PAGE, *sorted((bicep.ROOT / "docs/runbooks").glob("*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page)]
DRILLS = bicep.ROOT / "docs/drills.md"
"""Its blocks run in tests/e2e/test_drills.py."""
ALL_PAGES, ALL_BLOCKS = [*PAGES, DRILLS], [*BLOCKS, *blocks(DRILLS)]
PROGRAMS = ("az", "azd", "fleetcert", "make")
RUN_HERE = {"fleetcert onboard", "make package"}
"""What the page shows as run: by the tests below, and by tests/component/app/test_package.py."""


def named(block: Block) -> str:
    return f"{block.page.name}: {block.text.splitlines()[0][:50]}"


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=named)
def test_every_block_is_shell(block: Block):
    assert block.language == "sh"
    checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=named)
def test_every_command_of_a_block_exists(block: Block):
    called = [command for command in commands(block.text, *PROGRAMS) if command.words]
    assert [problem for command in called if (problem := complaint(command))] == []


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_every_command_in_a_sentence_exists(page):
    called = [command for span in spans(page) for command in commands(span, *PROGRAMS) if command.words]
    assert [problem for command in called if (problem := complaint(command))] == []


@pytest.mark.parametrize("block", BLOCKS, ids=named)
def test_what_reaches_azure_is_marked_as_not_run(block: Block):
    reaches_azure = bool(re.search(r"\b(az|azd|curl)\b|--dps-endpoint|FLEETCERT_|hooks/|git pull|ask ", block.text))
    called = {f"{c.program} {c.words[0]}" for c in commands(block.text, "fleetcert", "make") if c.words}
    assert block.runs == (not reaches_azure and called <= RUN_HERE)


def test_the_blocks_that_are_not_marked_do_run(tmp_path):
    ran = [block for block in blocks(PAGE) if block.runs and "onboard" in block.text]
    assert ran
    for block in ran:
        fleetcert = f'fleetcert() {{ "{bicep.ROOT}/.venv/bin/fleetcert" "$@"; }}\n'
        run = subprocess.run(
            ["bash", "-e"], input=fleetcert + block.text, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
    assert (tmp_path / "certs/ca/intermediate-ca.pem").exists()
    assert (tmp_path / "certs/dev-1/device-full-chain.pem").exists()


def test_the_onboarding_ca_that_the_page_makes_is_the_one_that_the_hook_looks_for():
    assert "ONBOARDING_CA-certs/ca/intermediate-ca.pem" in (bicep.INFRA / "hooks/postprovision.sh").read_text()


def test_the_options_are_those_of_the_deployment():
    table = PAGE.read_text().split("<!-- options:")[1].split("<!-- end of options -->")[0]
    told = {
        n
        for line in table.splitlines()
        if line.startswith("| `")
        for n in re.findall(r"`([A-Z][A-Z0-9_]+)`", line.split("|")[1])
    }
    parameters = json.loads((bicep.INFRA / "main.parameters.json").read_text())["parameters"].values()
    assert told == {re.match(r"\$\{(\w+)", entry["value"])[1] for entry in parameters}


def test_every_output_that_a_command_uses_is_one():
    outputs = set(bicep.declarations(bicep.INFRA / "main.bicep", "output"))
    scripts = "".join(block.text for block in BLOCKS) + "".join(
        f.read_text() for f in (bicep.INFRA / "hooks").glob("*.sh")
    )
    used = set(re.findall(r"\$\{?((?:FLEETCERT|AZURE)_\w+)", scripts))
    by_azd_or_by_hand = {"AZURE_ENV_NAME", "AZURE_SUBSCRIPTION_ID", "FLEETCERT_URL", "FLEETCERT_TOKEN"}
    assert used - by_azd_or_by_hand <= outputs
    assert {name for name in outputs if name.startswith("FLEETCERT")} - used == set()


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            destination = (page.parent / file).resolve() if file else page
            assert destination.exists(), target
            headings = re.findall(r"^#+ (.+)$", destination.read_text(), re.MULTILINE) if heading else []
            assert not heading or heading in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}, (
                target
            )
