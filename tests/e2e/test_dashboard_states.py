"""What the dashboard shows where there is nothing, no permission, no answer; the answers are the API's own models."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from playwright.sync_api import Page, Route, expect
from support.browser import Window
from support.dashboard import (
    EMPTY_SUMMARY,
    EVERY_OPERATION,
    EVERY_RIGHT,
    EVERY_RULING,
    EVERY_STATE,
    FULL_SUMMARY,
    NO_DEVICES,
    NO_OPERATIONS,
    NO_RULINGS,
    contained,
    device,
    history,
    pause,
    problem,
    suppression,
)

from shared.errors import InfrastructureFault, SettingsError
from shared.schemas.access import Forbidden, Role
from shared.schemas.lists import PageAnswer
from shared.schemas.operations import OperationPageAnswer
from shared.schemas.rulings import PauseAnswer, RulingsAnswer, SuppressionAnswer

type WindowOf = Callable[..., Window]

RUNNING = EVERY_OPERATION.operations[0]
REFRESHES = 12_000
"""Milliseconds in which every view has asked again."""


def cut(route: Route) -> None:
    route.abort("connectionrefused")


def rows(page: Page) -> Any:
    return page.locator("tr[data-device]")


def fleet(window: Window) -> None:
    """A fleet with devices in every state, and work under way."""
    window.canned("fleet/summary", FULL_SUMMARY)
    window.canned("devices?**", EVERY_STATE)
    window.canned("operations?**", EVERY_OPERATION)


def refresh(window: Window) -> None:
    """All that is shown is asked for again. Before the first answers are all there, nothing is due."""
    expect(window.page.locator("#live-at")).to_have_text(re.compile("UTC"))
    window.page.clock.run_for(REFRESHES)


def test_an_empty_fleet_says_how_devices_come_into_it(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("fleet/summary", EMPTY_SUMMARY)
    window.canned("devices?**", NO_DEVICES)
    window.canned("operations?**", NO_OPERATIONS)
    window.sign_in("Fleet.Read")
    expect(window.page.get_by_text("No devices yet")).to_be_visible()
    expect(window.page.locator("[data-tile=all]")).to_have_text("0")
    expect(window.page.locator("canvas").first).to_be_hidden()
    expect(window.page.get_by_role("navigation", name="Pages of devices")).to_have_count(0)
    window.go("#/operations")
    expect(window.page.get_by_text("No operations")).to_be_visible()


def test_a_search_that_looked_at_a_part_of_the_fleet_can_be_gone_on_with(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("devices?**", PageAnswer([], "bmV4dA==", partial=True))
    window.sign_in("Fleet.Read")
    expect(window.page.get_by_text("Nothing found so far")).to_be_visible()
    with window.page.expect_request(lambda request: "cursor=bmV4dA" in request.url):
        window.page.get_by_role("button", name="Search on").click()


def test_who_may_not_read_is_told_which_role_is_missing(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.sign_in("Certificates.Renew")
    expect(window.page.get_by_text("You may not see devices")).to_be_visible()
    expect(window.page.get_by_text("This needs the role Fleet.Read").first).to_be_visible()
    window.go("#/device/pump-1")
    expect(window.page.get_by_text("You may not see the device")).to_be_visible()


def test_who_has_no_role_at_all_can_sign_in_as_somebody_else(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.canned("me", problem(Forbidden(list(Role))), 403)
    window.sign_in("Fleet.Read")
    expect(window.page.get_by_text("You may not see the fleet")).to_be_visible()
    expect(window.page.get_by_role("button", name="Sign in as somebody else")).to_be_visible()


def test_who_may_only_read_sees_which_role_each_action_needs(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("devices/*", device())
    window.canned("devices/*/history?**", history())
    window.sign_in("Fleet.Read")
    window.go("#/device/pump-0042")
    for action, role in (("Renew", "Certificates.Renew"), ("Disable", "Devices.Contain")):
        button = window.page.get_by_role("button", name=action)
        expect(button).to_have_attribute("aria-disabled", "true")
        reason = f"{action} is not possible: it needs the role {role}, which you do not have."
        expect(button).to_have_accessible_description(reason)
        button.focus()
        window.page.keyboard.press("Enter")
        expect(window.page.get_by_role("dialog")).to_have_count(0)


def test_a_role_that_was_taken_away_meanwhile_is_named_and_its_action_is_offered_no_more(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.canned("me", EVERY_RIGHT)
    window.canned("devices/*", device())
    window.canned("devices/*/history?**", history())
    window.canned("devices/*/disable", problem(Forbidden([Role.CONTAIN])), 403)
    window.sign_in("Fleet.Read")
    window.go("#/device/pump-0042")
    window.page.get_by_role("button", name="Disable").click()
    dialog = window.page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("stolen")
    dialog.get_by_label("Type the device id").fill("pump-0042")
    dialog.get_by_role("button", name="Disable the device").click()
    expect(dialog.get_by_role("alert")).to_contain_text("This needs the role Devices.Contain")
    expect(dialog.get_by_label("Reason")).to_have_value("stolen")
    dialog.get_by_role("button", name="Back").click()
    expect(window.page.get_by_role("button", name="Disable")).to_have_attribute("aria-disabled", "true")


def test_revoking_is_offered_only_where_it_can_be_done(window_of: WindowOf) -> None:
    for revocation, offered in ((True, 1), (False, 0)):
        window = window_of()
        window.canned("me", replace(EVERY_RIGHT, revocation=revocation))
        window.canned("devices/*", device())
        window.canned("devices/*/history?**", history())
        window.sign_in("Fleet.Read")
        window.go("#/device/pump-0042")
        expect(window.page.get_by_role("button", name="Disable")).to_be_visible()
        expect(window.page.get_by_role("button", name="Revoke")).to_have_count(offered)


def test_a_block_that_nobody_is_sure_of_is_told_as_such(window_of: WindowOf) -> None:
    window = window_of()
    window.canned("devices/*", contained())
    window.canned("devices/*/history?**", history())
    window.sign_in("all")
    window.go("#/device/pump-0042")
    expect(window.page.get_by_role("heading", name="Being shut out")).to_be_visible()
    expect(window.page.locator("li.tone-overdue")).to_contain_text("whether it does is not certain")
    expect(window.page.get_by_text("(not yet)").first).to_be_visible()
    expect(window.page.get_by_role("button", name="Enable")).to_be_visible()


def test_an_api_that_does_not_answer_is_said_so_and_is_asked_again(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.page.route("**/api/me", cut)
    window.sign_in("Fleet.Read")
    expect(window.page.get_by_text("The API does not answer")).to_be_visible()
    window.page.unroute("**/api/me")
    window.page.get_by_role("button", name="Try again").click()
    expect(window.page.get_by_role("heading", level=1)).to_have_text("Fleet")


def test_a_setting_that_is_wrong_is_named(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.canned("me", problem(SettingsError("SHARDS", "is out of bounds: set it to 1 to 1000")), 503)
    window.sign_in("Fleet.Read")
    expect(window.page.get_by_text("setting SHARDS")).to_be_visible()


def test_what_is_shown_stays_and_is_called_old_while_the_api_is_away(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.page.clock.install()
    fleet(window)
    window.sign_in("Fleet.Read")
    expect(rows(window.page)).to_have_count(len(EVERY_STATE.devices))
    window.page.unroute("**/api/devices?**")
    window.canned("devices?**", problem(InfrastructureFault("table storage", "down")), 503)
    refresh(window)
    expect(window.page.get_by_text("This is older")).to_be_visible()
    expect(window.page.get_by_role("button", name="Not up to date")).to_be_visible()
    expect(rows(window.page)).to_have_count(len(EVERY_STATE.devices))
    window.page.unroute("**/api/devices?**")
    window.canned("devices?**", EVERY_STATE)
    window.page.get_by_role("button", name="Try again").click()
    expect(window.page.get_by_text("This is older")).to_have_count(0)
    expect(window.page.get_by_role("button", name="Live")).to_be_visible()


def test_a_session_that_ends_leaves_what_is_shown_and_asks_to_sign_in(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    window.page.clock.install()
    fleet(window)
    window.sign_in("Fleet.Read")
    expect(rows(window.page).first).to_be_visible()
    window.page.unroute_all()
    window.page.context.clear_cookies()
    refresh(window)
    expect(window.page.get_by_text("Your session has ended")).to_be_visible()
    expect(rows(window.page).first).to_be_visible()
    window.page.get_by_role("button", name="Sign in").click()
    expect(window.page.get_by_role("heading", name="Local sign-in")).to_be_visible()


def test_nothing_is_asked_for_while_the_reader_has_stopped_it(window_of: WindowOf) -> None:
    window = window_of()
    window.page.clock.install()
    fleet(window)
    window.sign_in("Fleet.Read")
    expect(rows(window.page).first).to_be_visible()
    live = window.page.get_by_role("button", name="Live")
    live.click()
    expect(window.page.get_by_role("button", name="Paused")).to_have_attribute("aria-pressed", "false")
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    window.page.clock.run_for(10 * REFRESHES)
    assert asked == []
    window.page.get_by_role("button", name="Paused").click()
    expect(window.page.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    assert [url for url in asked if "/api/devices" in url]


def test_a_refresh_takes_neither_the_focus_nor_what_is_typed_nor_what_is_folded_open(window_of: WindowOf) -> None:
    window = window_of()
    window.page.clock.install()
    fleet(window)
    window.sign_in("Fleet.Read")
    link = rows(window.page).nth(4).get_by_role("link")
    window.page.get_by_text("As a table").first.click()
    link.focus()
    later = EVERY_STATE.devices[1:]  # the first has been renewed, and left the page
    window.page.unroute("**/api/devices?**")
    window.canned("devices?**", PageAnswer(later, None, partial=False))
    refresh(window)
    expect(rows(window.page)).to_have_count(len(later))
    expect(rows(window.page).nth(3).get_by_role("link")).to_be_focused()
    expect(window.page.get_by_role("table").first).to_be_visible()


def test_work_under_way_is_seen_on_the_fleets_page_and_can_be_cancelled(window_of: WindowOf) -> None:
    window = window_of()
    window.page.clock.install()
    fleet(window)
    window.canned("operations?**", OperationPageAnswer([replace(RUNNING, total=None)], None))
    window.sign_in("all")
    expect(window.page.get_by_role("heading", name="Under way")).to_be_visible()
    bar = window.page.get_by_role("progressbar", name="Bulk renew: progress")
    expect(bar).not_to_have_attribute("value", "18")
    window.canned("operations?**", EVERY_OPERATION)
    refresh(window)
    expect(bar).to_have_attribute("value", "18")
    window.page.get_by_role("link", name="All operations").click()
    window.canned("operations/*/cancel", RUNNING)
    window.page.get_by_role("button", name="Cancel").first.click()
    window.page.get_by_role("dialog").get_by_label("Reason").fill("they were found")
    with window.page.expect_request("**/api/operations/*/cancel") as sent:
        window.page.get_by_role("button", name="Cancel the operation").click()
    assert sent.value.post_data_json == {"reason": "they were found"}
    assert sent.value.headers["idempotency-key"]


def banner(page: Page) -> Any:
    return page.get_by_role("region", name="What operators have ruled")


def test_what_was_ruled_stands_above_every_place_and_only_while_it_stands(window_of: WindowOf) -> None:
    window = window_of()
    fleet(window)
    window.canned("fleet/rulings", EVERY_RULING)
    window.sign_in("Fleet.Read")
    page = window.page
    expect(banner(page)).to_contain_text("UTC by ann@contoso.example: DPS is <b>down</b>")
    expect(banner(page)).to_contain_text("Renewal commands for devices with one of 2 tags are paused.")
    expect(banner(page)).to_contain_text("2 kinds of alerts are suppressed for some devices.")
    banner(page).locator("summary").click()
    window.go("#/operations")
    expect(page.get_by_role("heading", name="Operations")).to_be_visible()
    expect(banner(page).get_by_role("listitem")).to_have_count(5)
    window.canned("fleet/rulings", RulingsAnswer([pause()], []))
    expect(banner(page).get_by_role("listitem")).to_have_count(1, timeout=REFRESHES + 10_000)
    expect(banner(page).get_by_role("listitem")).to_be_visible()  # what was folded open stays so
    window.canned("fleet/rulings", NO_RULINGS)
    expect(banner(page)).to_have_count(0, timeout=REFRESHES + 10_000)


@pytest.mark.parametrize(
    ("pauses", "suppressions", "says"),
    [
        ([pause("site=bern")], [], "Renewal commands for devices with site=bern are paused until"),
        ([], [suppression("T", "*")], "1 kind of alerts is suppressed."),
        ([], [suppression("*", "*"), suppression("T", "dev-1")], "Alerts of every kind are suppressed, but"),
        ([], [suppression("*", "dev-1")], "Alerts of every kind are suppressed for some devices, but for those about"),
    ],
)
def test_a_ruling_is_said_as_wide_as_it_is(
    window_of: WindowOf, pauses: list[PauseAnswer], suppressions: list[SuppressionAnswer], says: str
) -> None:
    window = window_of()
    fleet(window)
    window.canned("fleet/rulings", RulingsAnswer(pauses, suppressions))
    window.sign_in("Fleet.Read")
    expect(banner(window.page)).to_contain_text(says)


def test_who_may_not_read_is_not_asked_about_rulings(window_of: WindowOf) -> None:
    window = window_of()
    window.refusals = True
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    window.sign_in("Certificates.Renew")
    expect(window.page.get_by_text("You may not see devices")).to_be_visible()
    assert not [url for url in asked if "rulings" in url and not url.endswith(".js")]
