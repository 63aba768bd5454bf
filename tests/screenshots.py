"""The README's pictures: a fleet that shows every state, looked at in Chromium. `make screenshots` runs it.

python tests/screenshots.py docs/images
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from playwright.sync_api import Browser
from support.browser import Window, launched
from support.local_azure import start_up
from support.showcase import act, show_fleet

DEVICES = 180
WIDE = {"width": 1440, "height": 1180}
NARROW = {"width": 400, "height": 860}
SETTLING = 1500
"""Milliseconds for charts and the last answers."""


def main(folder: Path) -> None:
    """Starts a local Azure of its own, brings the fleet up, and writes the pictures into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="fleetcert-screenshots-"))
    up = start_up(place)
    try:
        azure = up.wait_until_ready()
        os.environ.update(SSL_CERT_FILE=azure["ca_bundle"], REQUESTS_CA_BUNDLE=azure["ca_bundle"])
        os.environ["NO_PROXY"] = "localhost,127.0.0.1"
        show_fleet(azure, DEVICES)
        act(azure, "bulk/renew", {"selector": {"tag": "site=oslo"}, "reason": "new policy", "dryRun": False})
        with launched() as browser:
            take(browser, azure, folder)
    finally:
        up.stop(signal.SIGINT)
        shutil.rmtree(place)


def take(browser: Browser, azure: dict[str, Any], folder: Path) -> None:
    """The fleet in light and dark, a device that is shut out, and the fleet in a narrow window."""
    for name, size, scheme, place in (
        ("fleet-light", WIDE, "light", "#/"),
        ("fleet-dark", WIDE, "dark", "#/"),
        ("fleet-narrow", NARROW, "light", "#/?state=overdue"),
        ("device-light", WIDE, "light", "#/?state=disabled"),
    ):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        window = Window.open(context, azure["functions_url"])
        window.sign_in("all")
        window.go(place)
        window.page.wait_for_selector("tr[data-device]")
        if name.startswith("device"):
            window.page.locator("tr[data-device]").first.get_by_role("link").click()
            window.page.wait_for_selector("tr[data-kind]")
        window.page.wait_for_timeout(SETTLING)
        window.page.screenshot(path=folder / f"{name}.png")
        window.verify()
        context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
