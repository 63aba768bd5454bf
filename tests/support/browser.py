"""The browser of the dashboard's tests: Debian's Chromium, headless, and what it must never say.

Playwright drives the Chromium of the system; its own builds are not in any package registry.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

from shared.schemas.answers import encode

ROOT: Final = Path(__file__).parents[2]
AXE: Final = ROOT / "node_modules" / "axe-core" / "axe.min.js"
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NOTE: Final = "there is no Chromium: the dashboard's tests did not run (Debian: apt-get install chromium)"
_LISTEN: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI} ${event.sourceFile}`));
"""


def chromium() -> str | None:
    """Where the system's Chromium is, or what FLEETCERT_CHROMIUM names; None where there is none."""
    named = os.environ.get("FLEETCERT_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """The browser. Raises: FileNotFoundError where there is none."""
    path = chromium()
    if path is None:
        raise FileNotFoundError(NOTE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Window:
    """A page of the dashboard, and everything that it complained of. refusals: answers of 4xx and 5xx are expected."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)
    refusals: bool = False

    @classmethod
    def open(cls, context: BrowserContext, base: str) -> Window:
        window = cls(context.new_page(), base)
        window.page.set_default_timeout(15_000)
        window.page.add_init_script(_LISTEN)
        window.page.on("console", lambda message: window.heard(message.type, message.text))
        window.page.on("pageerror", lambda error: window.complaints.append(f"uncaught: {error}"))
        return window

    def heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not (self.refusals and text.startswith("Failed to load resource")):
            self.complaints.append(f"{kind}: {text}")

    def sign_in(self, *roles: str) -> None:
        """As the local operator with these roles, and on to the fleet."""
        wanted = "&".join(f"role={role}" for role in roles)
        self.page.goto(f"{self.base}/.auth/login/local?{wanted}&post_login_redirect_uri=/api/dashboard")
        self.page.wait_for_selector("body[data-ready]")

    def go(self, place: str) -> None:
        """To a place behind `#`."""
        self.page.evaluate("place => { location.hash = place }", place)

    def canned(self, path: str, document: Any, status: int = 200) -> None:
        """Answers requests below `/api/` whose path is this glob with a document of the API's own models."""
        media_type = "application/json" if status < 400 else "application/problem+json"

        def fulfil(route: Route) -> None:
            route.fulfill(status=status, body=encode(document), content_type=media_type)

        self.page.route(f"**/api/{path}", fulfil)

    def width(self) -> tuple[int, int]:
        """What the page would need, and what it has."""
        wide = self.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        return wide[0], wide[1]

    def axe(self) -> list[str]:
        """What axe-core finds wrong, as rule and place. It is injected as a debugger would, past the page's policy."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        return [
            f"{rule['id']}: {node['target']} {node['failureSummary']}"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    def verify(self) -> None:
        """That nothing was complained of, and that the policy refused nothing."""
        assert self.page.evaluate("window.violations") == []
        assert self.complaints == []

    def seen_by(self, path: str) -> Any:
        """What the page gets at the next request of a path below `/api/`."""
        with self.page.expect_response(lambda answer: f"/api/{path}" in answer.url) as response:
            pass
        return json.loads(response.value.body())
