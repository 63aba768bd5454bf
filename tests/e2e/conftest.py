"""One local Azure for all end-to-end tests, started as an operator starts it, and its credentials."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import connector
from azure.identity import ManagedIdentityCredential
from playwright.sync_api import Browser
from support.browser import NOTE, Window, chromium, launched
from support.local_azure import Up, start_up

VALIDITY_SECONDS = 180


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The local Azure of the session, with the app where there is one."""
    root = Path(__file__).parents[2]
    options = () if (root / "function_app.py").exists() else ("--without-app",)
    up = start_up(tmp_path_factory.mktemp("local-azure"), *options, VALIDITY=str(VALIDITY_SECONDS), FEEDBACK="off")
    try:
        up.wait_until_ready()
        children = up.children()
        yield up
        assert up.stop() == 0, up.log.read_text()
    finally:
        up.stop(signal.SIGKILL)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []
    assert not up.azure_file.exists()


@pytest.fixture(scope="session")
def azure(running: Up) -> Iterator[dict[str, Any]]:
    """The parsed azure.json, with the environment that clients need: trust, and the managed identity."""
    description = running.wait_until_ready()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", description["ca_bundle"])
        patch.setenv("REQUESTS_CA_BUNDLE", description["ca_bundle"])
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        patch.setenv("IDENTITY_ENDPOINT", description["identity_endpoint"])
        patch.setenv("IDENTITY_HEADER", description["identity_header"])
        # aiohttp reads SSL_CERT_FILE once, when it is imported: the app's process has it by then, this one has not.
        connector._SSL_CONTEXT_VERIFIED.load_verify_locations(description["ca_bundle"])
        yield description


@pytest.fixture(scope="session")
def credential(azure: dict[str, Any]) -> ManagedIdentityCredential:
    """The managed identity, as azure-identity sees it."""
    return ManagedIdentityCredential()


collect_ignore_glob = [] if chromium() or os.environ.get("CI") else ["test_dashboard*.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if chromium() is None:
        terminalreporter.write_line(NOTE, red=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser of a module: Playwright's loop must have ended before the next module's own loops begin."""
    with launched() as browser:
        yield browser


@pytest.fixture
def window_of(browser: Browser, azure: dict[str, Any]) -> Iterator[Callable[..., Window]]:
    """Opens the dashboard: `window_of("Fleet.Read", color_scheme="dark")`. Without roles nobody is signed in."""
    windows: list[Window] = []

    def open_window(*roles: str, **options: Any) -> Window:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        window = Window.open(context, azure["functions_url"])
        windows.append(window)
        if roles:
            window.sign_in(*roles)
        return window

    yield open_window
    for window in windows:
        window.verify()
        window.page.context.close()
