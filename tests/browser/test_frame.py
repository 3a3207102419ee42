"""Signing in, the frame around every page, and the error pages."""

from __future__ import annotations

import pytest
from django.conf import settings
from playwright.sync_api import expect

from core.templatetags.muster import NAVIGATION
from tests.browser.conftest import PHONE, OpenAs
from tests.builders.people import PASSWORD, World


@pytest.mark.parametrize("javascript", [True, False])
def test_sign_in_and_out(world: World, open_as: OpenAs, javascript: bool) -> None:
    opened = open_as(None, javascript=javascript)
    page = opened.go("/")
    page.fill("#id_username", "administrator")
    page.fill("#id_password", "wrong")
    page.click("main button")
    assert "correct" in page.inner_text("[role=alert]")
    page.fill("#id_username", "administrator")
    page.fill("#id_password", PASSWORD)
    page.click("main button")
    assert "Asha Builders" in page.inner_text("body")
    page.click("text=Sign out")
    assert page.url.startswith(opened.base + "/accounts/login/")


def test_the_theme_is_remembered(world: World, open_as: OpenAs) -> None:
    page = open_as("root").go("/")
    assert page.get_attribute("html", "data-bs-theme") == "light"
    page.click("[data-theme-switch]")
    assert page.get_attribute("html", "data-bs-theme") == "dark"
    page.reload()
    assert page.get_attribute("html", "data-bs-theme") == "dark"


@pytest.mark.parametrize("javascript", [True, False])
def test_on_a_phone_a_menu_shows_every_page(world: World, open_as: OpenAs, javascript: bool) -> None:
    page = open_as("root", width=PHONE, javascript=javascript).go("/backup/log/")
    links = page.locator("nav[aria-label=Main] a")
    expect(links).to_have_count(len(NAVIGATION))
    for link in (*links.all(), page.get_by_role("button", name="Sign out")):
        expect(link).to_be_hidden()
    page.locator(".muster-menu summary").focus()
    page.keyboard.press("Enter")
    for link in (*links.all(), page.get_by_role("button", name="Sign out")):
        expect(link).to_be_in_viewport(ratio=1)
    page.keyboard.press("Tab")
    expect(links.first).to_be_focused()
    expect(page.locator("nav [aria-current=page]")).to_have_text("Backup log")
    links.filter(has_text="Companies").click()
    assert page.url.endswith("/companies/")
    page.set_viewport_size({"width": 800, "height": 800})
    for link in links.all():  # and on a wider screen they are all there
        expect(link).to_be_in_viewport(ratio=1)


LONG = "Büro <b>" + "W" * 84 + "</b> &amp;"
NAMES = {"long": LONG, "spaces": "Server of the head office " * 4, "rtl": "مكتب الموقع (أ) \u202e123"}


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_the_installation_is_on_every_page(
    world: World, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(settings, "INSTALLATION_NAME", NAMES[name][:100])
    shown = " ".join(settings.INSTALLATION_NAME.split())
    signed_out, opened = open_as(None, width=PHONE), open_as("root", width=PHONE)
    for frame in (signed_out, opened):
        page = frame.go("/")
        expect(page.locator(".muster-brand-name")).to_have_text(shown)
        expect(page.locator(".muster-brand")).to_be_in_viewport(ratio=1)
        assert page.title().startswith(f"{shown} · ")
        frame.look(f"name-{name}-{frame is opened}")


def test_two_installations_differ_in_colour_and_icon(
    world: World, open_as: OpenAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_as("root")
    seen = set()
    for colour in settings.INSTALLATION_COLOURS:
        monkeypatch.setattr(settings, "INSTALLATION_COLOUR", colour)
        page = opened.go("/accounts/password/")
        page.locator("link[rel=icon][href^='data:']").wait_for(state="attached")
        icon = page.get_attribute("link[rel=icon]", "href")
        band = page.evaluate("getComputedStyle(document.querySelector('header')).backgroundColor")
        seen.add((band, icon))
        opened.axe("color-contrast")
    assert len({band for band, _ in seen}) == len({icon for _, icon in seen}) == len(settings.INSTALLATION_COLOURS)


def test_frame_looks(world: World, open_as: OpenAs) -> None:
    signed_out = open_as(None, width=PHONE)
    signed_out.go("/accounts/login/")
    signed_out.look("login")
    opened = open_as("root", width=PHONE)
    opened.go("/accounts/password/").click("main button")
    opened.look("change_password")
    opened.allowed.add(404)
    opened.go("/nowhere/")
    opened.look("404")


def test_what_is_too_large_is_refused_on_a_page(world: World, open_as: OpenAs) -> None:
    opened = open_as("root")
    opened.allowed = {413}
    page = opened.go("/attendance/add/")
    page.evaluate(
        "() => { const form = document.querySelector('main form'); form.noValidate = true;"
        "const field = document.createElement('textarea'); field.name = 'more'; field.value = 'x'.repeat(300000);"
        "form.append(field); form.submit(); }"
    )
    page.wait_for_selector("text=larger than this page accepts (262,144 bytes)")
    opened.look("not-taken")
