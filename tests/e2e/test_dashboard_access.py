"""The dashboard for everybody: axe-core on each view in light and dark, narrow and wide, by keyboard, its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect
from support.browser import Window
from support.dashboard import (
    EMPTY_SUMMARY,
    EVERY_OPERATION,
    EVERY_RIGHT,
    EVERY_RULING,
    EVERY_STATE,
    FULL_SUMMARY,
    NO_DEVICES,
    commanded,
    contained,
    history,
    problem,
)

from shared.errors import InfrastructureFault
from shared.schemas.access import Forbidden, Role

type WindowOf = Callable[..., Window]
type View = Callable[[Window], None]

NARROW = {"width": 400, "height": 800}
WIDE = {"width": 1600, "height": 900}


def started(window: Window) -> Window:
    window.canned("me", EVERY_RIGHT)
    window.canned("fleet/summary", FULL_SUMMARY)
    window.canned("devices?**", EVERY_STATE)
    window.canned("operations?**", EVERY_OPERATION)
    window.canned("devices/*/history?**", history())
    window.sign_in("Fleet.Read")
    return window


def fleet(window: Window) -> None:
    started(window)
    for fold in window.page.get_by_text("As a table").all():
        fold.click()
    window.page.get_by_text("More", exact=True).click()
    window.page.locator("#who summary").click()
    expect(window.page.locator("tr[data-device]").last).to_be_visible()


def empty(window: Window) -> None:
    started(window)
    window.canned("fleet/summary", EMPTY_SUMMARY)
    window.canned("devices?**", NO_DEVICES)
    window.page.reload()
    expect(window.page.get_by_text("No devices yet")).to_be_visible()


def no_match(window: Window) -> None:
    started(window)
    window.canned("devices?**", NO_DEVICES)
    window.go("#/?text=nobody")
    expect(window.page.get_by_text("No device fits")).to_be_visible()


def device_commanded(window: Window) -> None:
    window.canned("devices/*", commanded())
    started(window)
    window.go("#/device/pump-0042")
    expect(window.page.get_by_role("heading", name="Renewal command")).to_be_visible()


def device_contained(window: Window) -> None:
    window.canned("devices/*", contained())
    started(window)
    window.go("#/device/pump-0042")
    expect(window.page.get_by_role("heading", name="Being shut out")).to_be_visible()


def dialog_with_faults(window: Window) -> None:
    device_commanded(window)
    window.page.get_by_role("button", name="Disable").click()
    window.page.get_by_text("The device's onboarding certificate").click()
    window.page.get_by_role("button", name="Disable the device").click()
    expect(window.page.get_by_text("Say why")).to_be_visible()


def operations(window: Window) -> None:
    started(window)
    window.go("#/operations")
    for fold in window.page.get_by_text("Details").all():
        fold.click()
    expect(window.page.locator("tr[data-key]").last).to_be_visible()


def ruled(window: Window) -> None:
    window.canned("fleet/rulings", EVERY_RULING)
    started(window)
    window.page.get_by_text("Who ruled what, and why").click()
    expect(window.page.get_by_text("Renewal commands of the fleet: paused")).to_be_visible()


def refused(window: Window) -> None:
    window.refusals = True
    started(window)
    for path in ("fleet/summary", "devices?**", "operations?**"):
        window.canned(path, problem(Forbidden([Role.READ])), 403)
    window.page.reload()
    expect(window.page.get_by_text("You may not see devices")).to_be_visible()


def failing(window: Window) -> None:
    window.refusals = True
    started(window)
    for path in ("fleet/summary", "devices?**", "operations?**"):
        window.canned(path, problem(InfrastructureFault("table storage", "down")), 503)
    window.page.reload()
    expect(window.page.get_by_text("Devices cannot be shown")).to_be_visible()


def signed_out(window: Window) -> None:
    window.refusals = True
    window.page.goto(f"{window.base}/api/dashboard")
    window.page.wait_for_url("**/.auth/login/**")
    window.page.goto(f"{window.base}/api/dashboard")
    expect(window.page.get_by_text("You are not signed in")).to_be_visible()


VIEWS: list[View] = [
    fleet,
    empty,
    no_match,
    device_commanded,
    device_contained,
    dialog_with_faults,
    operations,
    ruled,
    refused,
    failing,
    signed_out,
]


def named(view: View) -> str:
    return view.__name__


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_axe_finds_nothing_wrong(window_of: WindowOf, view: View, scheme: str) -> None:
    window = window_of(color_scheme=scheme)
    view(window)
    assert window.axe() == []


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["400", "1600"])
@pytest.mark.parametrize("view", VIEWS, ids=named)
def test_no_view_needs_to_be_scrolled_sideways(window_of: WindowOf, view: View, size: dict[str, int]) -> None:
    window = window_of(viewport=size)
    view(window)
    needed, there = window.width()
    assert needed <= there
    assert there == size["width"]


def test_a_narrow_window_is_readable_by_axe_too(window_of: WindowOf) -> None:
    for view in (fleet, device_contained, operations, ruled):
        window = window_of(viewport=NARROW)
        view(window)
        assert window.axe() == []


def test_everything_is_reached_and_done_by_keyboard(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("devices/*", commanded())
    page = started(window).page
    expect(page.locator("tr[data-device]").last).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="All devices")).to_be_focused()
    page.locator("tr[data-device]").first.get_by_role("link").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    page.get_by_role("button", name="Disable").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Reason")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name="Disable")).to_be_focused()


def test_what_was_ruled_is_reached_by_keyboard_and_said_to_who_hears_the_page(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("fleet/rulings", EVERY_RULING)
    page = started(window).page
    ruled = page.get_by_role("region", name="What operators have ruled")
    expect(ruled).to_contain_text("Renewal commands are paused until")
    expect(page.locator("[aria-live=polite]").filter(has=ruled)).to_have_count(1)
    expect(ruled.get_by_role("listitem").first).to_be_hidden()
    page.locator("#who summary").focus()
    page.keyboard.press("Tab")
    expect(ruled.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(ruled.get_by_role("listitem")).to_have_count(5)
    expect(ruled.get_by_role("listitem").last).to_be_visible()


def test_the_page_runs_without_the_charting_library_and_says_so(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.page.route("**/chart.umd.min.js", lambda route: route.abort())
    started(window)
    expect(window.page.get_by_text("The chart cannot be drawn").first).to_be_visible()
    expect(window.page.locator("tr[data-device]").last).to_be_visible()
    window.complaints.clear()  # the browser warns of what is missing, as it should


def test_the_policy_would_refuse_what_a_careless_change_might_add(window_of: WindowOf) -> None:
    """That nothing else in these tests was refused means something only where the policy does refuse."""
    window = window_of("Fleet.Read")
    attempts: Any = window.page.evaluate("""async () => {
      const refused = [];
      document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
      const script = document.createElement("script");
      try { script.src = "https://cdn.example/x.js" } catch (error) { refused.push(`script: ${error.name}`) }
      document.body.append(Object.assign(document.createElement("style"), { textContent: "p { color: red }" }));
      document.body.append(Object.assign(document.createElement("img"), { src: "https://cdn.example/x.png" }));
      try { document.createElement("p").innerHTML = "<b>x</b>" } catch (error) { refused.push(error.name) }
      try { await fetch("https://cdn.example/") } catch { /* told by the event */ }
      await new Promise((resolve) => setTimeout(resolve, 100));
      return refused;
    }""")
    assert {
        "TypeError",
        "script: TypeError",
        "style-src-elem",
        "img-src",
        "connect-src",
        "require-trusted-types-for",
    } <= set(attempts)
    window.page.evaluate("window.violations = []")
    window.complaints.clear()
